"""The experiment that cuts learners short: its arms fit their data, and a tiny run of it."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_rooms import TinyRooms

from xworld import ConfigError
from xworld.agents import load
from xworld.apps.laboratory import Job, run_experiment
from xworld.apps.laboratory.experiments.byrnes_cut import arms
from xworld.apps.laboratory.experiments.byrnes_cut.arms import ARMS_OF, EXPERIMENT
from xworld.apps.laboratory.experiments.byrnes_cut.cuts import LEVELS, NUM_BLOCKS, SIZES, Sizes, trials_to_level
from xworld.apps.laboratory.experiments.byrnes_cut.learning import after_late, in_blocks, trials_to_master
from xworld.apps.laboratory.experiments.byrnes_cut.lives import FAMILIES, Lives
from xworld.apps.laboratory.experiments.byrnes_cut.worlds import SMALL_WORLD, World, interval_over_layouts
from xworld.histories import Dataset


@pytest.mark.parametrize("is_quick", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_windows_fit_into_what_is_kept(family, is_quick, tmp_path):
    lives = Lives(family, SIZES[is_quick])
    for arm in EXPERIMENT.arms_of[family]:
        kind, cut = arm.split("-")
        config = arms._config(Job(family, arm, 0, tmp_path, is_quick), lives)
        share = 100 if cut in LEVELS else int(cut)
        kept = max(lives.sizes.num_trials * share // 100 // (10 if kind == "bc" else 1), 1)
        assert config.learner.window <= kept * lives.world.trial_length
        assert config.agent.window == config.learner.window >= config.agent.reach > 0
        assert (config.method == "bc") == (kind == "bc") and not config.agent.sees_trial_number
        assert (config.stop_at is not None) == (cut in LEVELS)


def test_steps_in_an_environment_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Leave --total-steps out"):
        run_experiment(EXPERIMENT, tmp_path, total_steps=5)


def test_blocks_are_means_of_trials_in_a_row():
    sizes = Sizes(num_trials=40)
    blocks = in_blocks(np.arange(160.0).reshape(2, 80), sizes)
    assert blocks.shape == (2, NUM_BLOCKS) and blocks[0, 0] == 1.5 and blocks[1, -1] == 157.5


def test_intervals_are_over_layouts():
    """Twice as many tasks of the same layouts say no more about other layouts."""
    rooms = TinyRooms(side=5, trial_length=8, num_trials=1)
    tasks = jax.device_get(jax.jit(jax.vmap(rooms.sample))(jax.random.split(jax.random.key(0), 40)))
    values = np.random.default_rng(0).normal(size=40)
    once = interval_over_layouts(values, tasks)
    twice = interval_over_layouts(np.tile(values, 2), jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), tasks))
    assert once == pytest.approx(twice) and once[0] < values.mean() < once[1]


def test_after_a_stop_enough_trials_follow():
    def stop(*returns):
        return trials_to_level(np.array(returns), "level2")

    assert stop(*[2] * 12) == 5 and stop(*[0] * 4, *[2] * 20) == 9
    assert stop(*[0] * 12) == stop(*[0] * 7, *[2] * 5) == 7


def test_mastery_is_counted_from_the_first_reward():
    at_once, slowly, never, always = [0] * 9 + [4] * 11, [0, 0, 1, 1, 2, 2, 2, 3] + [4] * 12, [0] * 20, [4] * 20

    def count(*lives):
        return trials_to_master(np.array(lives), slice(15, 20))

    assert count(at_once) == count(always) == 0 and count(never) == 20
    assert count(slowly) == 5  # 2, 3, 4, 4, 4 are 0.85 of 4; 3, 4, 4, 4, 4 are 0.95
    assert count(at_once, slowly, never) == 2.5


def test_what_is_found_after_the_cut_is_followed():
    early, late, too_late = (np.zeros(100) for _ in range(3))
    early[5:], late[30:41], late[41:51], late[51:71], late[71:], too_late[80:] = 8, 1, 2, 4, 8, 8
    assert after_late(np.stack([early, late, too_late, np.zeros(100)]), 20) == 4
    assert after_late(np.stack([early, too_late]), 20) == 0


@pytest.mark.slow  # compiles the generator
def test_no_teacher_has_had_a_layout_of_the_test():
    taught, played = (SMALL_WORLD.tasks(split, 3, 40, 20) for split in ("train", "test"))
    cells = (np.concatenate([tasks.agent_position, tasks.object_position], axis=1) for tasks in (taught, played))
    layouts = [{layout.tobytes() for layout in some} for some in cells]
    assert layouts[0] and layouts[1] and not layouts[0] & layouts[1]
    assert (taught.agent_facing == 0).all() and (taught.num_trials == 20).all() and len(played.trial_length) == 40


@pytest.mark.slow  # compiles half a dozen players and an update
def test_a_tiny_run(tmp_path, monkeypatch):
    sizes = Sizes(num_lives=12, num_trials=40, num_tasks=3, num_updates=2, window=32, reach=16, batch_size=2)
    monkeypatch.setattr(arms, "SIZES", {True: sizes})

    def tasks(world, split, seed, number, num_trials):  # the generator takes long to compile
        rooms = TinyRooms(side=5, trial_length=world.trial_length, num_trials=num_trials)
        some = jax.device_get(jax.vmap(rooms.sample)(jax.random.split(jax.random.key(seed), number)))
        return dataclasses.replace(some, agent_facing=np.zeros((number, 1), np.uint8))

    monkeypatch.setattr(World, "tasks", tasks)
    job = Job("q-learner", "shuffled-100", 0, tmp_path / "run", is_quick=True)
    outcome = EXPERIMENT.run(job)
    (returns,) = outcome.returns.values()
    assert returns.shape == (3, NUM_BLOCKS) and (returns >= 0).all()
    numbers = outcome.numbers
    assert numbers["above_stopped_low"] <= numbers["above_stopped"] <= numbers["above_stopped_high"]
    assert 0 <= numbers["return_seen"] <= 8 and 0 <= numbers["policy_seen"] <= 8
    folders = tmp_path / "lives" / "q-learner-seed0", job.folder / "rearranged"
    assert [Dataset(folder).num_steps for folder in folders] == [12 * 40 * 8] * 2
    monkeypatch.setattr(arms, "imitate", None)  # it is done
    again = EXPERIMENT.run(job)
    assert again.numbers == numbers and load(job.folder / "agent")

    monkeypatch.setitem(ARMS_OF, "q-learner", ("ad-10", "ad-level2", "bc-10"))
    scores = EXPERIMENT.baselines(dataclasses.replace(job, folder=tmp_path / "baselines"))
    assert list(scores.returns) == ["teacher", "stopped-10", "stopped-level2", "random"]
    assert scores.returns["teacher"][NUM_BLOCKS].shape == (1, 3, NUM_BLOCKS)
