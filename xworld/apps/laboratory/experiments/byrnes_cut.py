"""Does an imitator of learners that were stopped early go on learning by itself, above all that it has seen?

The teachers are the families: each learns one task from its own stream, `q-learner-6x6` in a larger world. `ad-10`
imitates the first 10 % of their lives, and so on, `ad-level2` each life until its last five trials earned 2 on average,
and is run for twice the length of a whole one on held-out tasks. Beside it, what may explain a rise: `shuffled-10` is
the same on lives whose trials are shuffled, and `bc-10` clones the last tenth of what `ad-10` sees. Of the baselines,
`teacher` goes on, and `stopped-10` is each task's own teacher which stops learning at the cut and then takes what it
thinks best: argmax alone can beat a noisy demonstrator. A trial in the table is the mean of a block of them: 20 blocks
for twice a life.
"""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents import (
    AgentPolicy,
    Expert,
    Learner,
    Policy,
    RandomPolicy,
    Stopping,
    has_reached,
    load,
    make_learner,
)
from xworld.agents.learners.stopping import NUM_AVERAGED
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.base.errors import ConfigError
from xworld.base.files import read_text
from xworld.base.hashing import hash_words
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import Scores, TaskRows, evaluate, expert_reference, record_episodes, sample_tasks
from xworld.evaluation.protocol import with_num_trials
from xworld.evaluation.scores.statistics import interval
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, rearrange_trials
from xworld.tasks import TaskSet, Universe, UniverseConfig, WorldConfig
from xworld.training.imitation.config import AD, BC, ImitateConfig, imitator
from xworld.training.imitation.ends import derive_trials
from xworld.training.imitation.imitate import REPORT, imitate
from xworld.training.imitation.learner import ImitationConfig

CUTS = ("10", "25", "50", "100")  # percents of a teacher's life that are kept
LEVELS = {f"level{level}": float(level) for level in (1, 2, 3)}  # or until the last five trials earned so much
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
NUM_BLOCKS = 20  # of trials, for twice a life
_SEED = 70_000  # of what is played at the end
_HELD_OUT_PERCENT = 25  # of the layouts
_LEAST = 0.5  # what a life earns a trial that has learned anything
_FOLLOWED = slice(20, 40)  # of the trials after the first reward


@dataclass(frozen=True)
class World:
    """A room with as many free cells a side, things of which one turns into the goal's when it is held, and walls."""

    side: int = 3
    num_objects: int = 3
    trial_length: int = 8

    @property
    def env(self) -> EnvConfig:
        """Its environment."""
        size, most = self.side + 2, self.num_objects
        return EnvConfig(
            height=size, width=size, max_objects=most, max_rules=1, max_doors=1, push=False, relations=("hold",)
        )

    @property
    def universe(self) -> UniverseConfig:
        """Its tasks."""
        return UniverseConfig(
            split="all",
            world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),
            shapes=("ball", "cube"),
            colours=("red", "green", "blue"),
            negated_goal_percent=0,
            chain_length=(1, 1),
            num_distractors=(self.num_objects - 1,) * 2,
            num_dead_ends=(0, 0),
            frozen_task_percent=0,
            hide_percent=100,
            hidden_ways=("rule",),
            hide="all",
            trial_length=(self.trial_length,) * 2,
        )

    def tasks(self, split: str, seed: int, number: int, num_trials: int) -> Task:
        """Tasks on the host, of layouts for training or for tests, in which trials begin with the agent facing north.

        There are too few games to hold some of them out: a hash of where things lie decides, so that no teacher has had
        a layout of the test.
        """
        universe, key = Universe(self.env, self.universe), jax.random.key(seed)
        found: list[Task] = []
        while sum(len(tasks.trial_length) for tasks in found) < number:
            drawn = jax.device_get(sample_tasks(universe, jax.random.fold_in(key, len(found)), max(number, 64)))
            places = np.flatnonzero(_is_held_out(drawn) == (split == "test"))
            found.append(jax.tree.map(lambda leaf, places=places: leaf[places], drawn))
        tasks = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:number], *found)
        always: dict[str, Any] = {
            "agent_facing": np.zeros_like(tasks.agent_facing),
            "num_trials": np.full_like(tasks.num_trials, num_trials),
        }
        return dataclasses.replace(tasks, **always)


SMALL_WORLD = World()


@dataclass(frozen=True)
class Teacher:
    """Who is imitated, and where it learns."""

    learner: str  # by name
    world: World = SMALL_WORLD
    changes: Mapping[str, Any] = field(default_factory=dict)  # of its settings


FAMILIES = {
    "q-learner": Teacher("q-learner"),
    "reinforce": Teacher("reinforce"),
    "scripted-learner": Teacher("scripted-learner", changes={"num_trials": 5}),
    "q-learner-6x6": Teacher("q-learner", World(4, 4, 10)),
    "q-learner-slow": Teacher("q-learner", changes={"learning_rate": 0.03}),
    "reinforce-fast": Teacher("reinforce", changes={"learning_rate": 1.0}),
}


@dataclass(frozen=True)
class Sizes:
    """How large it is."""

    num_lives: int = 3446  # of teachers
    num_trials: int = 200  # of a life
    num_tasks: int = 512  # that are played at the end
    num_updates: int = 3000
    window: int = 160
    reach: int = 80
    batch_size: int = 8  # more updates of smaller batches came further at equal cost

    @property
    def late(self) -> slice:
        """Where the teachers are at the end of a life."""
        return slice(self.num_trials * 3 // 4, self.num_trials)

    @property
    def block(self) -> int:
        """Trials in a block."""
        return 2 * self.num_trials // NUM_BLOCKS


SIZES = {False: Sizes(), True: Sizes(32, 40, 8, 4, 32, 16, 4)}


@dataclass(frozen=True)
class Lives:
    """A teacher's tasks and lives, and what is played at the end."""

    family: str
    sizes: Sizes

    @property
    def world(self) -> World:
        """Where it learns."""
        return FAMILIES[self.family].world

    def policy(self, num_learned: int | None = None) -> Learner:
        """The teacher, which stops learning after so many trials."""
        teacher = FAMILIES[self.family]
        learner = make_learner(teacher.learner, self.world.env, self.world.trial_length)
        return dataclasses.replace(learner, num_learned=num_learned, **teacher.changes)

    def record(self, folder: Path, seed: int) -> Dataset:
        """Their lives, recorded unless they are there; several processes may do so at once."""
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                self._write(Path(temporary) / folder.name, seed)
                with suppress(OSError):  # somebody else was quicker, and has the same
                    (Path(temporary) / folder.name).rename(folder)
        return Dataset(folder)

    def _write(self, folder: Path, seed: int) -> None:
        sizes = self.sizes
        tasks = self.world.tasks("train", seed, sizes.num_lives, sizes.num_trials)
        header = DatasetHeader(self.world.env, players=(FAMILIES[self.family].learner,))
        with DatasetWriter(folder, header, TaskSet(tasks)) as writer:
            rows = TaskRows(tasks, np.arange(sizes.num_lives)[:, None])
            record_episodes(writer, rows, self.policy(), jax.random.key(seed), batch_size=1024)

    def play(self, policy: Policy, num_lives: int = 2) -> np.ndarray:
        """[num_tasks, num_lives * num_trials] returns on held-out tasks, by default for twice a life."""
        tasks = with_num_trials(self.held_out, num_lives * self.sizes.num_trials)
        return evaluate(Env(self.world.env), tasks, policy, jax.random.key(_SEED)).returns

    def stopped(self, cut: str) -> np.ndarray:
        """[num_tasks] mean returns of each task's own teacher that stops at the cut, from then on.

        Of a level they are late ones, and a teacher that never gets to it goes on learning.
        """
        if cut in LEVELS:
            return self.play(Stopping(self.policy(), LEVELS[cut]))[:, self.sizes.late].mean(1)
        num_learned = _kept(self.sizes.num_trials, int(cut))
        return self.play(self.policy(num_learned))[:, num_learned:].mean(1)

    @cached_property
    def taught(self) -> np.ndarray:
        """[num_tasks, 2 * num_trials] returns of each held-out task's own teacher, which goes on."""
        return self.play(self.policy())

    @cached_property
    def held_out(self) -> Task:
        """The tasks that are played at the end."""
        return self.world.tasks("test", _SEED, self.sizes.num_tasks, 2 * self.sizes.num_trials)


def run(job: Job) -> Outcome:
    """Records teachers, imitates them, and runs the imitator on.

    Raises:
      ConfigError: steps of a run are asked for: imitators take none.
    """
    if job.total_steps is not None:
        raise ConfigError("byrnes-cut trains on recorded lives, in no environment. Leave --total-steps out.")
    lives, sizes = Lives(job.family, SIZES[job.is_quick]), SIZES[job.is_quick]
    kind, cut = job.arm.split("-")
    agent = job.folder / "agent"
    data = lives.record(job.folder.parent / "lives" / f"{job.family}-seed{job.seed}", job.seed)  # for all arms
    if not (agent / REPORT).exists():
        shutil.rmtree(job.folder / "rearranged", ignore_errors=True)
        some = rearrange_trials(data, job.folder / "rearranged", order) if (order := _order(job, sizes)) else data
        imitate(some, _config(job, lives), agent, show_progress=False)
    loaded = load(agent)
    policy = AgentPolicy(loaded.params, loaded.agent)
    returns, late = lives.play(policy), sizes.late
    above = returns[:, late].mean(1) - lives.stopped(cut)
    low, high = _interval_over_layouts(above, lives.held_out)
    controls = {
        "greedy": lives.play(dataclasses.replace(policy, is_greedy=True), num_lives=1),
        "forgetful": lives.play(dataclasses.replace(policy, clear_memory_at_trials=True), num_lives=1),
    }
    numbers = {
        "gain": _gain(returns, late),
        "above_stopped": float(above.mean()),
        "above_stopped_low": low,
        "above_stopped_high": high,
        "return_seen": _return_seen(data, lives, cut),
        "policy_seen": _policy_seen(lives.taught, lives, cut),
        **learning_times(returns, lives),
        **{name: float(values[:, late].mean()) for name, values in controls.items()},
        "gain_forgetful": _gain(controls["forgetful"], late),
        "updates_of_best": json.loads(read_text(agent / REPORT))["update"],
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(loaded.params)),
    }
    return Outcome({NUM_BLOCKS: _in_blocks(returns, sizes)}, numbers)


def baselines(job: Job) -> Scores:
    """The teacher going on, the teachers that stop, and chance; 1 is the expert's best known return."""
    sizes = SIZES[job.is_quick]
    lives = Lives(job.family, sizes)
    returns = {"teacher": _in_blocks(lives.taught, sizes)}
    for cut in dict.fromkeys(arm.split("-")[1] for arm in ARMS_OF[job.family]):
        returns[f"stopped-{cut}"] = np.repeat(lives.stopped(cut)[:, None], NUM_BLOCKS, axis=1)
    returns["random"] = _in_blocks(lives.play(RandomPolicy()), sizes)
    reference = expert_reference(lives.held_out, Expert(Env(lives.world.env)), job.folder)
    return Scores({player: {NUM_BLOCKS: values[None]} for player, values in returns.items()}, reference)


def _order(job: Job, sizes: Sizes) -> Callable[[int], np.ndarray] | None:
    """Which trials of a life an arm is given, in which order; None for the first ones, as they were lived."""
    kind, cut = job.arm.split("-")
    if kind == "shuffled":
        kept, shuffle = _kept(sizes.num_trials, int(cut)), np.random.default_rng(job.seed).permutation
        return lambda _: shuffle(kept)
    if kind == "bc":
        kept = _kept(sizes.num_trials, int(cut))
        return lambda _: np.arange(kept - max(kept // 10, 1), kept)
    return None


def _config(job: Job, lives: Lives) -> ImitateConfig:
    """How an arm imitates."""
    kind, cut = job.arm.split("-")
    sizes = lives.sizes
    kept = sizes.num_trials if cut in LEVELS else _kept(sizes.num_trials, int(cut))
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


def _kept(num_trials: int, cut: int) -> int:
    return num_trials * cut // 100


def _gain(returns: np.ndarray, late: slice) -> float:
    """From the first four trials to late ones."""
    return float(returns[:, late].mean() - returns[:, :4].mean())


def _return_seen(data: Dataset, lives: Lives, cut: str) -> float:
    """The best quarter of a block of trials in what is kept, mean over lives; at a level, the last five of each."""
    sizes, returns = lives.sizes, np.stack(derive_trials(data)[1])  # [lives, trials]
    if cut in LEVELS:
        return float(np.mean([life[: _stop(life, cut)][-NUM_AVERAGED:].mean() for life in returns]))
    by_trial = returns[:, : _kept(sizes.num_trials, int(cut))].mean(0)
    size = max(min(sizes.block, len(by_trial)) // 4, 1)
    return float(max(by_trial[start : start + size].mean() for start in range(len(by_trial) - size + 1)))


def learning_times(returns: np.ndarray, lives: Lives) -> dict[str, float]:
    """How long the teacher takes to learn what it has found, and whether what is found after the first cut is learned.

    Args:
      returns: [tasks, trials] of an imitator.
      lives: its teacher's.
    """
    seen = _kept(lives.sizes.num_trials, int(CUTS[0]))
    return {
        "trials_to_master": trials_to_master(lives.taught, lives.sizes.late),
        "after_late": after_late(returns, seen),
        "after_late_teacher": after_late(lives.taught, seen),
    }


def after_late(returns: np.ndarray, seen: int) -> float:
    """What is earned in trials 21 to 40 after the first that paid, mean over lives in which that was not `seen`.

    Lives that are found to pay too late to be followed are left out; 0 if none is left.
    """
    first = np.where((returns > 0).any(1), (returns > 0).argmax(1), returns.shape[1])
    late = np.flatnonzero((first >= seen) & (first + _FOLLOWED.stop < returns.shape[1]))
    found = [returns[life, first[life] + 1 :][_FOLLOWED] for life in late]
    return float(np.mean(found)) if found else 0.0


def trials_to_master(returns: np.ndarray, late: slice) -> float:
    """How long learning takes once there is something to learn from: the median over lives.

    It is counted from the first trial that paid until five in a row earn 0.9 of what the life earns in late trials.
    Lives that earn next to nothing then are left out; without any others it is as long as all trials.

    Args:
      returns: [lives, trials].
      late: the late trials.
    """
    counts = []
    for life in returns[returns[:, late].mean(1) > _LEAST]:
        first = int(np.flatnonzero(life > 0)[0])
        means = np.convolve(life[first:], np.full(NUM_AVERAGED, 1 / NUM_AVERAGED), "valid")
        is_master = means >= 0.9 * life[late].mean()
        counts.append(int(is_master.argmax()) if is_master.any() else len(means))
    return float(np.median(counts)) if counts else float(returns.shape[1])


def _policy_seen(returns: np.ndarray, lives: Lives, cut: str) -> float:
    """What teachers of held-out tasks earn in the five trials that follow the cut, of [tasks, trials] returns."""
    starts = [_stop(life, cut) if cut in LEVELS else _kept(lives.sizes.num_trials, int(cut)) for life in returns]
    after = [life[start : start + NUM_AVERAGED] for life, start in zip(returns, starts, strict=True)]
    return float(np.mean(after))


def _stop(returns: np.ndarray, cut: str) -> int:
    """After how many trials a life got to the level; at most so many that enough of them follow to be averaged."""
    reached = np.flatnonzero(has_reached(returns, LEVELS[cut]))
    return min([*(reached[:1] + 1).tolist(), len(returns) - NUM_AVERAGED])


def _in_blocks(returns: np.ndarray, sizes: Sizes) -> np.ndarray:
    """[num_tasks, NUM_BLOCKS] means of [num_tasks, 2 * num_trials] returns."""
    return returns.reshape(len(returns), NUM_BLOCKS, sizes.block).mean(2)


def _interval_over_layouts(values: np.ndarray, tasks: Task) -> tuple[float, float]:
    """The 95 % interval of the mean of [num_tasks] values, for other layouts: all tasks of one are drawn together."""
    _, layout = np.unique(_cells(tasks), axis=0, return_inverse=True)
    sums, numbers = np.bincount(layout.ravel(), values), np.bincount(layout.ravel())
    return interval(np.arange(len(sums)), lambda drawn: sums[drawn].sum(-1) / numbers[drawn].sum(-1))


def _is_held_out(tasks: Task) -> np.ndarray:
    """[n] bool, by a hash of the cells of the agent and of the objects."""
    return np.asarray(hash_words(*_cells(tasks).T)) % 100 < _HELD_OUT_PERCENT


def _cells(tasks: Task) -> np.ndarray:
    """[n, X] uint8 where the agent and the objects are."""
    cells = np.concatenate([np.asarray(tasks.agent_position), np.asarray(tasks.object_position)], axis=1)
    return cells.reshape(len(cells), -1)


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
)
