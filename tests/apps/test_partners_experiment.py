"""The experiment `partners`: what its arms train with, and how pairs are examined, in tasks of which all is known."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import toy_experiment
from pair_tasks import CONFIG, LENGTH, PAIR, always

from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job, run_experiment
from xworld.apps.laboratory.experiments import partners
from xworld.apps.laboratory.experiments.partners import EXPERIMENT, PairExam
from xworld.core.step.actions import NOOP, PICK_UP
from xworld.evaluation import SweepConfig, evaluate, scores
from xworld.evaluation.scores.store import ReturnsStore
from xworld.tasks import parse
from xworld.training import PRESETS, FixedConfig, NoisySelfConfig, PoolConfig, RunConfig, SelfConfig

MILLION = 1_000_000


@pytest.fixture(scope="module")
def exam():
    """Two tasks for two, of which only the first agent can reach what is asked for, and one for the first alone."""
    pair, alone = parse(PAIR, CONFIG), parse(PAIR.replace("1", "."), CONFIG)
    tasks = jax.tree.map(lambda *leaves: np.stack(leaves), pair, pair, alone)
    exam = PairExam(RunConfig(env=CONFIG), 3, SweepConfig((1, 2), num_repetitions=1), seed=0)
    exam.__dict__["_made"] = tasks, np.array([False, True, False])
    return exam


def test_pairs_are_examined_in_both_seats(exam):
    played = exam.play(always(PICK_UP))
    assert list(played) == [*(f"{part}, with {name}" for part in ("needs both", "one could do")
                              for name in ("itself", "random", "noop")), "for one"]  # fmt: skip
    for name, expected in (("itself", LENGTH), ("noop", LENGTH / 2)):
        for part in ("needs both", "one could do"):
            np.testing.assert_allclose(played[f"{part}, with {name}"][2], [[expected] * 2])
    np.testing.assert_allclose(played["for one"][1], [[LENGTH]])


@pytest.mark.slow
def test_the_expert_scores_1_with_itself_and_nobody_scores_without_the_one_who_can(exam, tmp_path):
    found = exam.baselines(tmp_path)
    assert set(found) == set(exam.play(always(NOOP)))
    for name, of_exam in found.items():
        if name.endswith("random"):  # who may happen to pick up the ball
            continue
        np.testing.assert_allclose(of_exam.score("noop", 2)[..., -1], 0)
        np.testing.assert_allclose(of_exam.score("expert", 2)[..., -1], 0.5 if name.endswith("noop") else 1)


def test_agents_of_several_seeds_score_shares_of_the_experts_return(exam, tmp_path):
    players = {"seed 0": always(PICK_UP), "seed 1": always(NOOP)}
    found = exam.cross_play(players, tmp_path, ReturnsStore(tmp_path, {}))
    np.testing.assert_allclose(found.matrix, [[1, 0.5], [0.5, 0]], atol=1e-6)
    assert found.measure == "score" and found.returns.shape == (2, 2, 2)


def test_a_cross_play_that_was_stopped_goes_on_and_no_pair_plays_twice(exam, tmp_path, monkeypatch):
    begun, last = [], 3

    def play(*given, **named):
        if len(begun) == last:
            raise KeyboardInterrupt
        begun.append(1)
        return evaluate(*given, **named)

    def together(jobs, store):
        players = {f"{job.arm} {job.seed}": always(PICK_UP if job.arm == "high" else NOOP) for job in jobs}
        return exam.cross_play(players, tmp_path / "best", store)

    monkeypatch.setattr(scores.cross_play, "evaluate", play)
    experiment = dataclasses.replace(toy_experiment.EXPERIMENT, cross_play=together)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, tmp_path / "lab")
    last = 100
    found = run_experiment(experiment, tmp_path / "lab")["cross_play"]
    assert len(begun) == 4 * 4 == len(list((tmp_path / "lab" / "cross-play" / "all" / "returns").glob("*.npy")))
    assert set(found) == {"high", "low", "all arms"}
    expected = [[1, 0.5, 1, 0.5], [0.5, 0, 0.5, 0]] * 2  # high and low of either seed
    np.testing.assert_allclose(found["all arms"]["matrix"], expected, atol=1e-4)


@pytest.mark.parametrize(("is_quick", "of_both"), [(False, 1_800_000), (True, 1_500_000)])  # 80 and 50 % are for two
def test_arms_differ_in_their_partners_and_who_is_alone_has_as_many_steps_of_its_own(
    is_quick, of_both, tmp_path, monkeypatch
):
    trained = []
    monkeypatch.setattr(partners, "train_run", lambda config, job: trained.append((config, job)) or {})
    monkeypatch.setattr(partners, "newest_policy", lambda folder: None)
    monkeypatch.setattr(PairExam, "play", lambda self, policy: {"one": {1: np.zeros((1, 1))}})
    numbers = {}
    for arm in EXPERIMENT.arms:
        outcome = EXPERIMENT.run(Job("all", arm, 0, tmp_path, is_quick, MILLION))
        numbers[arm] = outcome.numbers["environment_steps"], outcome.numbers["own_steps_about"]
    assert [type(config.partners) for config, _ in trained] == [
        SelfConfig, NoisySelfConfig, PoolConfig, FixedConfig, SelfConfig, FixedConfig,
    ]  # fmt: skip
    assert [trained[place][0].partners.player for place in (3, 5)] == ["random", "noop"]
    others = dict.fromkeys(("noisy-self", "pool", "with-random"), (MILLION, MILLION))
    shorter = round(MILLION**2 / of_both)
    assert numbers.pop("self-shorter") == (shorter, pytest.approx(MILLION, abs=1))
    assert numbers == {"self": (MILLION, of_both), **others, "alone": (of_both, of_both)}
    assert [job.total_steps for _, job in trained] == [*[MILLION] * 4, shorter, of_both]
    env = {config.env for config, _ in trained}
    assert len(env) == 1 and (is_quick or env == {PRESETS["duo"]().env})


@pytest.mark.slow  # quicker: the tests above, and those of `test_laboratory`
def test_the_experiment_runs(tmp_path, capsys):
    arguments = ["lab", "partners", "--quick", "--arms", "self", "pool", "--seeds", "0", "1", "--output", str(tmp_path)]
    assert main(arguments) == 0
    content = json.loads((tmp_path / "partners.json").read_text())
    assert len(content["families"]) == 7 and set(content["cross_play"]) == {"self", "pool", "all arms"}
    for of_family in content["families"].values():
        assert set(of_family["scores"]) == {"self", "pool", "random", "noop", "expert"}
    for name in ("partners.png", "partners-numbers.png", "partners-cross-play.png", "partners-course.png"):
        assert Path(tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert np.shape(content["cross_play"]["self"]["matrix"]) == (2, 2)
    assert np.shape(content["cross_play"]["all arms"]["matrix"]) == (4, 4)
    assert "Wrote partners.json" in capsys.readouterr().out
