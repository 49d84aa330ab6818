"""The arms of the experiment: what each is given, how it imitates, and what is found out about it."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from xworld.agents import AgentPolicy, Expert, RandomPolicy, load
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.byrnes_cut.cuts import CUTS, LEVELS, NUM_BLOCKS, SIZES, Sizes, kept_trials
from xworld.apps.laboratory.experiments.byrnes_cut.learning import (
    gain,
    in_blocks,
    learning_times,
    policy_seen,
    return_seen,
)
from xworld.apps.laboratory.experiments.byrnes_cut.lives import FAMILIES, Lives
from xworld.apps.laboratory.experiments.byrnes_cut.worlds import interval_over_layouts
from xworld.apps.laboratory.training import made_once
from xworld.base.files import read_text
from xworld.core.env import Env
from xworld.evaluation import Scores, expert_reference
from xworld.histories import Dataset, rearrange_trials
from xworld.training.imitation.config import AD, BC, ImitateConfig, imitator
from xworld.training.imitation.ends import derive_trials
from xworld.training.imitation.imitate import REPORT, imitate
from xworld.training.imitation.learner import ImitationConfig

ARMS = (*(f"ad-{cut}" for cut in (*CUTS, *LEVELS)), "shuffled-10", "shuffled-100", "bc-10")
_FEW_ARMS = ("ad-10", "ad-100", "shuffled-10")
ARMS_OF = {  # by teacher
    "q-learner": ARMS,
    "reinforce": tuple(arm for arm in ARMS if arm not in ("ad-level1", "ad-level3", "shuffled-100")),
    "scripted-learner": _FEW_ARMS,
    "q-learner-6x6": _FEW_ARMS,
    "q-learner-slow": ("ad-10",),
    "reinforce-fast": ("ad-10",),
}


def run(job: Job) -> Outcome:
    """Records teachers, imitates them, and runs the imitator on."""
    lives, sizes = Lives(job.family, SIZES[job.is_quick]), SIZES[job.is_quick]
    kind, cut = job.arm.split("-")
    agent = job.folder / "agent"
    recorded = job.folder.parent / "lives" / f"{job.family}-seed{job.seed}"  # for all arms
    data = Dataset(made_once(recorded, partial(lives.record, job.seed)))
    if not (agent / REPORT).exists():
        shutil.rmtree(job.folder / "rearranged", ignore_errors=True)
        some = rearrange_trials(data, job.folder / "rearranged", order) if (order := _order(job, sizes)) else data
        imitate(some, _config(job, lives), agent, show_progress=False)
    loaded = load(agent)
    policy = AgentPolicy(loaded.params, loaded.agent)
    returns, late = lives.play(policy), sizes.late
    above = returns[:, late].mean(1) - lives.stopped(cut)
    low, high = interval_over_layouts(above, lives.held_out)
    controls = {
        "greedy": lives.play(dataclasses.replace(policy, is_greedy=True), num_lives=1),
        "forgetful": lives.play(dataclasses.replace(policy, clear_memory_at_trials=True), num_lives=1),
    }
    numbers = {
        "gain": gain(returns, late),
        "above_stopped": float(above.mean()),
        "above_stopped_low": low,
        "above_stopped_high": high,
        "return_seen": return_seen(np.stack(derive_trials(data)[1]), sizes, cut),
        "policy_seen": policy_seen(lives.taught, sizes, cut),
        **learning_times(returns, lives.taught, sizes),
        **{name: float(values[:, late].mean()) for name, values in controls.items()},
        "gain_forgetful": gain(controls["forgetful"], late),
        "updates_of_best": json.loads(read_text(agent / REPORT))["update"],
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(loaded.params)),
    }
    return Outcome({NUM_BLOCKS: in_blocks(returns, sizes)}, numbers)


def baselines(job: Job) -> Scores:
    """The teacher going on, the teachers that stop, and chance; 1 is the expert's best known return."""
    sizes = SIZES[job.is_quick]
    lives = Lives(job.family, sizes)
    returns = {"teacher": in_blocks(lives.taught, sizes)}
    for cut in dict.fromkeys(arm.split("-")[1] for arm in ARMS_OF[job.family]):
        returns[f"stopped-{cut}"] = np.repeat(lives.stopped(cut)[:, None], NUM_BLOCKS, axis=1)
    returns["random"] = in_blocks(lives.play(RandomPolicy()), sizes)
    reference = expert_reference(lives.held_out, Expert(Env(lives.world.env)), job.folder)
    return Scores({player: {NUM_BLOCKS: values[None]} for player, values in returns.items()}, reference)


def _order(job: Job, sizes: Sizes) -> Callable[[int], np.ndarray] | None:
    """Which trials of a life an arm is given, in which order; None for the first ones, as they were lived."""
    kind, cut = job.arm.split("-")
    if kind == "ad":
        return None
    kept = kept_trials(sizes.num_trials, cut)
    if kind == "bc":
        return lambda _: np.arange(kept - max(kept // 10, 1), kept)
    shuffle = np.random.default_rng(job.seed).permutation
    return lambda _: shuffle(kept)


def _config(job: Job, lives: Lives) -> ImitateConfig:
    """How an arm imitates."""
    kind, cut = job.arm.split("-")
    sizes = lives.sizes
    kept = sizes.num_trials if cut in LEVELS else kept_trials(sizes.num_trials, cut)
    num_steps = lives.world.trial_length * (max(kept // 10, 1) if kind == "bc" else kept)
    window = min(sizes.window, num_steps)
    reach = min(sizes.reach, window)
    return ImitateConfig(
        method=BC if kind == "bc" else AD,
        agent=imitator(window, reach),
        learner=ImitationConfig(window=window, batch_size=sizes.batch_size, num_updates=sizes.num_updates),
        keep=kept / sizes.num_trials if kind == "ad" else 1.0,
        stop_at=LEVELS.get(cut),
        num_evaluations=2 if job.is_quick else 5,
        num_played=4 if job.is_quick else 64,
        num_trials=sizes.num_trials,
        seed=job.seed,
    )


EXPERIMENT = Experiment(
    name="byrnes-cut",
    question="Does an imitator of learners that were stopped early go on learning, above all that it has seen?",
    arms=ARMS,
    seeds=(0, 1, 2),
    cost="75 runs of 5.5 million recorded steps and 3000 updates, about 5 minutes of a core each",
    run=run,
    baselines=baselines,
    families=tuple(FAMILIES),
    arms_of=ARMS_OF,
    why_no_steps="byrnes-cut trains on recorded lives, in no environment",
    unit=f"block of {SIZES[False].block} trials",
)
