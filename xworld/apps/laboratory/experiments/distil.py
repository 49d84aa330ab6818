"""Algorithm Distillation, DPT and RL^2: three ways to the same network, on the same tasks.

The families are how many tasks there are to train on. The arms are the methods, and how many steps back the network
looks. `ad` predicts the actions of scripted learners, each of which learned one of these tasks; `dpt` predicts,
in the same streams, what who knows the right object would do; `rl2` is trained by PPO on the same tasks, for at least
as many steps as the streams of all families together have, `rl2x4` for four times as many. All play the same held-out
tasks, their actions drawn.
"""

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from xworld.agents import AgentConfig, ScriptedLearner
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import Exam, made_once, train_to_end
from xworld.base.files import read_text
from xworld.evaluation import record_tasks, sample_tasks
from xworld.evaluation.protocol import with_num_trials
from xworld.evaluation.recording import EXPERT_ACTION
from xworld.histories import Dataset, DatasetHeader
from xworld.tasks import TaskSet, Universe
from xworld.training import PRESETS, ImitateConfig, ImitationConfig, PPOConfig, RunConfig, imitate
from xworld.training.imitation.config import AD, DPT, imitator
from xworld.training.imitation.imitate import REPORT

TEACHER = ScriptedLearner(num_trials=5)  # as good as the searcher once five trials have paid
RL2, LONGER = "rl2", "rl2x4"  # the latter for four times as many steps
NUM_TASKS = {"tasks-64": 64, "tasks-512": 512, "tasks-4096": 4096}  # of each family
REACHES = (24, 96)  # steps that the network looks back: two trials, eight trials
ARMS = (*(f"{method}-{reach}" for reach in reversed(REACHES) for method in (AD, DPT, RL2)), f"{LONGER}-{REACHES[1]}")
_MOST, _LONG_ARMS = "tasks-4096", ARMS[:3]  # how far back, and how long, is asked where there are most tasks
_SEED = 80_000  # of the exam


@dataclass(frozen=True)
class Sizes:
    """How large it is."""

    share: float = 1.0  # of the tasks of a family
    num_trials: int = 40  # of a stream
    num_updates: int = 3000
    window: int = 192
    batch_size: int = 8
    total_steps: int = 4_000_000  # of RL^2
    num_played: int = 20  # trials at the end
    num_exam_tasks: int = 512


SIZES = {False: Sizes(), True: Sizes(1 / 32, 20, 4, 192, 4, 2 * 32 * 96, 6, 8)}


def run(job: Job) -> Outcome:
    """Trains by the arm's method on the family's tasks, and plays the exam.

    Raises:
      KeyboardInterrupt: a signal stopped it; what was done is kept.
    """
    sizes = SIZES[job.is_quick]
    method, reach = job.arm.split("-")
    config, exam, tasks = _config(sizes, int(reach)), _exam(sizes), _tasks(job, sizes)
    if method in (RL2, LONGER):
        times = 4 if method == LONGER else 1
        config = dataclasses.replace(config, total_steps=times * config.total_steps)
        short = jax.tree.map(jnp.asarray, with_num_trials(tasks.tasks, sizes.num_played))
        return train_to_end(config, job, exam, TaskSet(short))
    agent = job.folder / "agent"
    data = Dataset(made_once(job.folder / "streams", partial(_record, tasks, sizes, job.seed)))
    if not (agent / REPORT).exists():
        imitate(data, _imitation(job, sizes, method, int(reach)), agent, show_progress=False)
    update = json.loads(read_text(agent / REPORT))["update"]
    return Outcome(exam.play(agent), {"updates_of_best": update, "recorded_steps": data.num_steps})


def _config(sizes: Sizes, reach: int) -> RunConfig:
    """The demo's rooms, in which episodes have as many trials as are played, and the network that all arms train."""
    config = PRESETS["demo"]()
    universe = dataclasses.replace(config.universe, num_trials=(sizes.num_played, sizes.num_played))
    learner = PPOConfig(rollout_length=sizes.window // 2)
    is_quick = sizes.num_updates < 100
    return dataclasses.replace(
        config,
        universe=universe,
        agent=_network(sizes.window // 2, reach),
        learner=learner,
        num_envs=32 if is_quick else config.num_envs,
        num_groups=4 if is_quick else config.num_groups,
        updates_per_chunk=1 if is_quick else config.updates_per_chunk,
        num_evaluation_tasks=8 if is_quick else config.num_evaluation_tasks,
        total_steps=sizes.total_steps,
    )


def _network(window: int, reach: int) -> AgentConfig:
    """The same for all arms but for the steps that are unrolled at once."""
    return imitator(window, min(reach, window))


def _imitation(job: Job, sizes: Sizes, method: str, reach: int) -> ImitateConfig:
    return ImitateConfig(
        method=method,
        agent=_network(sizes.window, reach),
        learner=ImitationConfig(window=sizes.window, batch_size=sizes.batch_size, num_updates=sizes.num_updates),
        num_evaluations=2 if job.is_quick else 5,
        num_played=4 if job.is_quick else 64,
        num_trials=sizes.num_played,
        held_out_percent=50 if job.is_quick else 10,
        seed=job.seed,
    )


def _exam(sizes: Sizes) -> Exam:
    return Exam(_config(sizes, REACHES[0]), sizes.num_exam_tasks, sizes.num_played, _SEED)


def _tasks(job: Job, sizes: Sizes) -> TaskSet:
    """The family's tasks for a seed, of the training split, on the host."""
    config = _config(sizes, REACHES[0])
    number = max(round(NUM_TASKS[job.family] * sizes.share), 8)
    return TaskSet(
        jax.device_get(sample_tasks(Universe(config.env, config.universe), jax.random.key(job.seed), number))
    )


def _record(tasks: TaskSet, sizes: Sizes, seed: int, folder: Path) -> Dataset:
    """A stream of a learner for each task, labelled."""
    env = _config(sizes, REACHES[0]).env
    header = DatasetHeader(env, players=("scripted-learner",), labels=(EXPERT_ACTION,))
    return record_tasks(folder, header, with_num_trials(tasks.tasks, sizes.num_trials), TEACHER, jax.random.key(seed))


EXPERIMENT = Experiment(
    name="distil",
    question="Which way to an agent that learns in context needs fewest tasks: imitating learners, experts, or RL^2?",
    arms=ARMS,
    seeds=(0, 1, 2),
    cost="39 runs: 24 imitators and 12 of PPO, 5 to 7 minutes of a core each, and 3 of PPO with 16 million steps",
    run=run,
    baselines=lambda job: _exam(SIZES[job.is_quick]).baselines(job.folder),
    families=tuple(NUM_TASKS),
    why_no_steps="distil gives all arms the experience of the same streams",
    arms_of={family: ARMS if family == _MOST else _LONG_ARMS for family in NUM_TASKS},
)
