"""Further losses of an imitation."""

import dataclasses
import json
import signal
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from devices_worker import untrained_teacher
from imitate_worker import imitate_on_devices
from seams import Zero
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import Searcher, load
from xworld.evaluation import record_tasks, sample_tasks
from xworld.histories import DatasetHeader, draw_windows
from xworld.training import TaskInference, read_heads
from xworld.training.imitation.config import ImitateConfig
from xworld.training.imitation.imitate import imitate
from xworld.training.imitation.learner import ImitationConfig

ENV = Env(env_config(5))
CONFIG = ImitateConfig(
    method="bc",
    agent=SMALL_AGENT,
    learner=ImitationConfig(window=24, batch_size=32, num_updates=60, learning_rate=1e-2),
    held_out_percent=0,
    num_evaluations=2,
    num_played=4,
)
TERMS = (TaskInference(weight=0.5),)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rooms = TinyRooms(side=5, num_candidates=3, trial_length=8, num_trials=3)
    tasks = jax.device_get(sample_tasks(rooms, jax.random.key(0), 64))
    folder = tmp_path_factory.mktemp("searcher") / "data"
    return record_tasks(folder, DatasetHeader(ENV.config), tasks, Searcher(), jax.random.key(1))


@pytest.fixture(scope="module")
def informed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imitation") / "agent"
    return folder, imitate(data, CONFIG, folder, terms=TERMS, show_progress=False)


def test_a_term_is_learned_beside_what_was_done(data, informed):
    """Of all that a kind may be, those that may make a goal of these rooms; and actions as well."""
    first, last = informed[1]["evaluations"]
    assert 0.5 * np.log(256) > first["term_inference"] > last["term_inference"] > 0
    assert last["term_inference"] < 0.75 * 0.5 * np.log(256) and last["agreement"] > first["agreement"]
    assert first["loss"] - first["term_inference"] > last["loss"] - last["term_inference"] > 0


def heads_in(folder):
    own = TERMS[0].init(jax.random.key(0), SimpleNamespace(features=np.zeros((1, SMALL_AGENT.memory_size))))
    return read_heads(folder, (own,))


def test_who_is_stopped_goes_on_with_the_same_terms_only(data, informed, tmp_path, monkeypatch):
    """Bit for bit, with the head as it was."""
    number = 0

    def draw(*args, **options):
        nonlocal number
        number += 1
        if number == 1 + 40:  # the first is drawn to see whether there are windows
            signal.raise_signal(signal.SIGTERM)
        return draw_windows(*args, **options)

    monkeypatch.setattr("xworld.training.imitation.imitate.draw_windows", draw)
    folder = tmp_path / "agent"
    with pytest.raises(KeyboardInterrupt):
        imitate(data, CONFIG, folder, terms=TERMS, show_progress=False)
    for terms, message in (
        ((), r"\(terms: \['inference \(TaskInference: weight 0.5\)'\] there, \[\] here\)"),
        ((TaskInference(weight=0.25),), "weight 0.5.* there, .*weight 0.25.* here"),
    ):
        with pytest.raises(ConfigError, match=message):
            imitate(data, CONFIG, folder, terms=terms)
    imitate(data, CONFIG, folder, terms=TERMS, show_progress=False)
    assert json.loads((folder / "imitation.json").read_text()) == informed[1]
    found, wanted = ((load(one).params, heads_in(one)) for one in (folder, informed[0]))
    for leaf, expected in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(leaf, expected)
    assert np.abs(wanted[1][0]["output"]).max() > 0  # it was zeros


@pytest.mark.slow
def test_on_several_devices_terms_learn_the_same(data, tmp_path):
    """In three updates, whose sums over devices are added in another order."""
    learner = dataclasses.replace(CONFIG.learner, num_updates=3)
    config = dataclasses.replace(CONFIG, learner=learner, num_evaluations=1)
    found = []
    for number in (1, 4):
        folder = tmp_path / f"on-{number}"
        report = imitate_on_devices(number, data.folder, config, folder, TERMS)
        found.append((report["evaluations"][0]["loss"], load(folder).params, heads_in(folder)))
    one, several = map(jax.tree.leaves, found)
    for value, expected in zip(several, one, strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-3, atol=2e-5)
    assert any(np.any(value != expected) for value, expected in zip(several, one, strict=True))


@jax.tree_util.register_static
class Nothing(Zero):
    def init(self, key, output):
        return ()


def test_a_term_may_have_nothing_of_its_own(data, tmp_path):
    config = dataclasses.replace(CONFIG, learner=dataclasses.replace(CONFIG.learner, num_updates=1), num_evaluations=1)
    imitate(data, config, tmp_path / "agent", terms=(Nothing(),), show_progress=False)
    assert load(tmp_path / "agent").params
    with pytest.raises(ConfigError, match="holds no 'heads'"):
        read_heads(tmp_path / "agent", ((),))


def test_terms_that_cannot_be_taken_are_refused(data, tmp_path, monkeypatch):
    for terms, message in (
        ((untrained_teacher(),), "The term 'teacher' changes with the evaluations of a run"),
        ((TaskInference(), dataclasses.replace(TERMS[0])), "2 terms have the name 'inference'"),
    ):
        with pytest.raises(ConfigError, match=message):
            imitate(data, CONFIG, tmp_path / "agent", terms=terms)
    header = dataclasses.replace(data.header, labels=(*data.header.labels, "expert_action"))
    monkeypatch.setattr(data, "header", header)
    with pytest.raises(ConfigError, match="dpt learns what an expert would do"):
        imitate(data, dataclasses.replace(CONFIG, method="dpt"), tmp_path / "agent", terms=TERMS)
    assert not (tmp_path / "agent").exists()
