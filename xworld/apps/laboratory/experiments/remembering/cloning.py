"""Can each memory do what a teacher that remembers does, and which of its parts does it need for that?

The teacher plays whole episodes, and each arm's network learns from all of their steps to predict its actions:
likelihood alone, no rewards, and the same episodes in the same order. In the family `control` the teacher is the
pretrained agent, a GRU; in the others it is the searcher, whose plan needs all that was tried. An arm
`MEMORY-without-PART` is the network whose part is held where it does nothing. How near a network comes is asked in
episodes of held-out tasks: the Kullback-Leibler divergence of its policy from the teacher's, in nats a step, along what
the teacher did.

In `recall-four` and `search` networks are asked as well what makes the goal of the trial (`TaskInference`): what they
have to remember, whether or not they act on it. How many answers are right is measured too, at the first steps of the
last four trials, when nothing has been tried in them yet, in those whose goal was asked for before, by how many rules a
task has. In `recall-four` they also read their view as the goal asks (`modulates_view`). There what is learned from,
and what divergence and recall are measured on, has one to four rules; in the exam all tasks have four. Who knows the n
things that rules take, and not which takes which, is right in 1 of n.
An arm `MEMORY-vectors`, in `recall-four` `MEMORY-kinds`, is a network whose memory is also given the embeddings of the
kinds that are held, ahead and named by the goal (`kinds_to_memory`). The same with `-reinforced` starts with that arm's
network of the same seed, and trains it by PPO for 25 million steps on tasks like those that were learned from, with a
fresh head of `TaskInference`: does it come to act on what it remembers? What it recalls then is not measured.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

from xworld.agents import MEMORIES, AgentPolicy, LoadedAgent, Output, Params, Policy, load, make_agent, players
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering.memories import (
    FAMILIES,
    INFERENCE,
    KINDS,
    VECTORS,
    config_of,
    fields_of,
    with_universe,
)
from xworld.apps.laboratory.training import Exam, made_once, train_run, with_memory
from xworld.core.env import Env
from xworld.core.step.relations import NEVER
from xworld.evaluation import Scores, record_tasks, sample_tasks
from xworld.evaluation.scores.statistics import estimate
from xworld.histories import Dataset, DatasetHeader, Pieces, derive_windows, read_windows
from xworld.tasks import Universe
from xworld.training import (
    PRESETS,
    ImitateConfig,
    ImitationConfig,
    OptimiserConfig,
    Rollout,
    RunConfig,
    TaskInference,
    imitate,
    read_heads,
    unroll,
)
from xworld.training.imitation.imitate import REPORT
from xworld.training.imitation.windows import as_rollout

_SEED = 30_000  # of the exam, far from those of the episodes


@dataclass(frozen=True)
class _Lesson:
    """What is learned from, of a family of `memories`: every episode has as many steps, so that a window is one."""

    teacher: str  # a player: an agent that comes with xworld, or a scripted one that always does the same
    num_trials: int
    trial_length: int
    num_episodes: int = 60_000  # that are learned from ...
    num_passes: int = 1  # ... so often each, on average
    recorded: Mapping[str, Any] = field(default_factory=dict)  # of their universe, where it is not the exam's
    final_learning_rate: float = 0.0
    agent_fields: Mapping[str, Any] = field(default_factory=dict)  # of its `AgentConfig`
    asked: TaskInference | None = None  # learned beside the actions

    @property
    def num_steps(self) -> int:
        """Of an episode."""
        return self.num_trials * self.trial_length

    @property
    def agent(self) -> LoadedAgent | None:
        """The teacher, if it is a network."""
        return load(players.SHIPPED[self.teacher]) if self.teacher in players.SHIPPED else None

    @property
    def policy(self) -> Policy:
        """The teacher; a network draws its actions."""
        agent = self.agent
        return players.SCRIPTED[self.teacher] if agent is None else AgentPolicy(agent.params, agent.agent)


_ASKED: dict[str, Any] = {  # of lessons in which networks are asked as well
    "num_episodes": 20_000,
    "num_passes": 5,
    "final_learning_rate": 1e-3,  # so that what is learned late is still learned
    "asked": TaskInference(weight=1.0),
}
_LESSONS = {
    "control": _Lesson(players.PRETRAINED, 6, 24),
    "search": _Lesson(players.SEARCHER, 8, 15, **_ASKED),
    "recall": _Lesson(players.SEARCHER, 13, 20),
    "recall-four": _Lesson(
        players.SEARCHER,
        13,
        20,
        recorded={"num_chains": (1, 4)},  # with one there is something to remember, and nothing to be kept apart
        agent_fields={"modulates_view": True},
        **_ASKED,
    ),
}
_LAST_TRIALS = 4  # in which recall is measured


@dataclass(frozen=True)
class _Part:
    """Parameters of a network that do nothing when they have these values."""

    names: tuple[str, ...]  # of theirs
    values: Any  # broadcast to their shapes


_ONLY_NOW = np.array([[1.0], [0.0], [0.0], [0.0]])
_PARTS = {
    "convolution": _Part(("convolution",), _ONLY_NOW),  # over the last four steps
    "distance": _Part(("distance_bias",), 0.0),  # biases by how far back something is
    "scale": _Part(("attention_scale", "feed_forward_scale"), 1.0),  # of what a layer adds, small to begin with
    "age": _Part(("age_bias",), 0.0),  # biases by how many were kept since
}
_WITHOUT = {
    "transformer_xl": ("convolution", "distance", "scale"),
    "gru_txl": ("age",),
    "gated_delta": ("convolution",),
}
_WITHOUT_PART = "-without-"
_WITH_ALL_OR_WITHOUT = tuple(
    arm
    for memory in MEMORIES
    for arm in (memory, *(f"{memory}{_WITHOUT_PART}{part}" for part in _WITHOUT.get(memory, ())))
)
_REINFORCED = {f"{arm}-reinforced": arm for arm in (*KINDS, *VECTORS)}  # the arm whose network each starts with


def _and_reinforced(arms: tuple[str, ...]) -> tuple[str, ...]:
    return (*arms, *(arm for arm, begun in _REINFORCED.items() if begun in arms))


_REINFORCED_STEPS = 25_000_000  # of the environment
ARMS = (*_WITH_ALL_OR_WITHOUT, *KINDS, *VECTORS, *_REINFORCED)


@dataclass(frozen=True)
class _Sizes:
    most_episodes: int | None = None  # that are learned from
    batch_size: int = 16  # episodes of an update
    num_held_out: int = 512  # episodes
    num_exam_tasks: int = 512
    num_exam_trials: int = 13
    learning_rate: float = 2e-3


_SIZES = {False: _Sizes(), True: _Sizes(most_episodes=32, num_held_out=16, num_exam_tasks=16, num_exam_trials=4)}


def run(job: Job) -> Outcome:
    """Imitates the teacher, and measures how near the network has come; or goes on from there by reward.

    Raises:
      KeyboardInterrupt: a signal stopped it; what was done is kept.
    """
    if job.arm in _REINFORCED:
        return _reinforce(job)
    sizes, folder, lesson = _SIZES[job.is_quick], job.folder / "agent", _LESSONS[job.family]
    data = Dataset(made_once(job.beside("episodes"), partial(_record, job, "train", _num_episodes(job))))
    held_out = Dataset(made_once(job.beside("held-out"), partial(_record, job, "test", sizes.num_held_out)))
    config = _imitation(job, sizes)
    if not (folder / REPORT).exists():
        params = _first_params(job, config)
        terms = () if lesson.asked is None else (lesson.asked,)
        imitate(data, config, folder, params=params, terms=terms, show_progress=False)
    student = load(folder)
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(student.params))
    numbers = {**_divergences(student, held_out, lesson), "parameters": num_parameters}
    if lesson.asked is not None:
        numbers |= _recall(lesson.asked, student, folder, held_out, lesson)
    return Outcome(_exam(job).play(folder), numbers)


def _reinforce(job: Job) -> Outcome:
    """Learns on from reward, on tasks like those that were imitated."""
    arm = _REINFORCED[job.arm]
    begun = load(job.beside(arm) / "agent")
    config = config_of(dataclasses.replace(job, arm=arm))
    tasks = with_universe(_config(job.family), {**_LESSONS[job.family].recorded, "split": "train"})
    steps = config.total_steps if job.is_quick else _REINFORCED_STEPS
    config = dataclasses.replace(
        config, env=tasks.env, universe=tasks.universe, agent=begun.agent.config, total_steps=steps
    )
    numbers = train_run(config, job, terms=(INFERENCE,), params=begun.params)
    return Outcome(_exam(job).play(job.folder), numbers)


def baselines(job: Job) -> Scores:
    """The teacher, the scripted players, the searcher among them, and the expert, which scores 1."""
    exam = _exam(job)
    scores = exam.baselines(job.folder)
    name = _LESSONS[job.family].teacher
    if name in scores.returns:
        return scores
    teacher = {k: returns[None] for k, returns in exam.play(players.SHIPPED[name]).items()}
    return Scores({"teacher": teacher, **scores.returns}, scores.reference)


def _config(family: str) -> RunConfig:
    """Of whose environment and universe the tasks are."""
    return with_universe(PRESETS[FAMILIES[family].preset](), FAMILIES[family].examined)


def _exam(job: Job) -> Exam:
    sizes = _SIZES[job.is_quick]
    return Exam(_config(job.family), sizes.num_exam_tasks, sizes.num_exam_trials, _SEED)


def _num_episodes(job: Job) -> int:
    """That are learned from."""
    most, number = _SIZES[job.is_quick].most_episodes, _LESSONS[job.family].num_episodes
    return number if most is None else min(most, number)


def _record(job: Job, split: Literal["train", "test"], number: int, folder: Path) -> Dataset:
    """Episodes of the teacher, each of a task of its own."""
    lesson, key = _LESSONS[job.family], jax.random.key(job.seed)
    lengths = {"num_trials": (lesson.num_trials,) * 2, "trial_length": (lesson.trial_length,) * 2}
    config = with_universe(_config(job.family), {**lengths, **lesson.recorded, "split": split})
    tasks = sample_tasks(Universe(config.env, config.universe), key, number)
    return record_tasks(folder, DatasetHeader(config.env, players=(lesson.teacher,)), tasks, lesson.policy, key)


def _imitation(job: Job, sizes: _Sizes) -> ImitateConfig:
    """How the arm imitates."""
    memory, *_ = job.arm.split("-")
    _, _, without = job.arm.partition(_WITHOUT_PART)
    lesson = _LESSONS[job.family]
    window = lesson.num_steps
    agent = with_memory(_config(job.family), memory, window, FAMILIES[job.family].reach, job.is_quick).agent
    frozen = _PARTS[without].names if without else ()
    return ImitateConfig(
        agent=dataclasses.replace(agent, **{**lesson.agent_fields, **fields_of(job.arm)}),
        learner=ImitationConfig(
            window=window,
            batch_size=sizes.batch_size,
            num_updates=lesson.num_passes * _num_episodes(job) // sizes.batch_size,
            learning_rate=sizes.learning_rate,
            final_learning_rate=lesson.final_learning_rate,
            optimiser=OptimiserConfig(beta2=0.99, weight_decay=1e-3, max_gradient_norm=1.0, frozen=frozen),
        ),
        start_share=1.0,
        held_out_percent=0,
        num_evaluations=1,  # the last agent, chosen by nothing
        num_played=4,
        seed=job.seed,
    )


def _first_params(job: Job, config: ImitateConfig) -> Params:
    """What the arm begins with: fresh parameters, those of the part that it lacks with the part's values."""
    params = jax.jit(make_agent(config.agent, _config(job.family).env).init)(jax.random.key(job.seed))
    _, _, without = job.arm.partition(_WITHOUT_PART)
    if not without:
        return params
    part = _PARTS[without]

    def value_of(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        is_of_part = any(getattr(key, "key", None) in part.names for key in path)
        return jnp.broadcast_to(jnp.asarray(part.values, leaf.dtype), leaf.shape) if is_of_part else leaf

    return jax.tree_util.tree_map_with_path(value_of, params)


def _divergences(student: LoadedAgent, held_out: Dataset, lesson: _Lesson) -> Mapping[str, float]:
    """In nats a step, of the first trial and of the later ones, with 95 % intervals over tasks."""
    teacher = lesson.agent
    agents = student.agent, None if teacher is None else teacher.agent
    params = student.params, {} if teacher is None else teacher.params
    by_trial = _by_trial(_divergence(held_out.env, *agents, *params, _episodes(held_out, lesson)), lesson)
    return _bounded({"divergence_first": by_trial[0], "divergence_later": by_trial[1:].mean(0)})


def _recall(
    asked: TaskInference, student: LoadedAgent, folder: Path, held_out: Dataset, lesson: _Lesson
) -> Mapping[str, float]:
    """Share of right answers at the first steps of the last trials, by number of rules; 95 % intervals over tasks."""
    env, agent, pieces = held_out.env, student.agent, _episodes(held_out, lesson)
    _, output = jax.eval_shape(partial(_replay, env, agent), student.params, pieces)
    (own,) = read_heads(folder, (jax.eval_shape(asked.init, jax.random.key(0), output),))
    first = slice(None, None, lesson.trial_length)
    answer, kind = (np.asarray(values)[first] for values in _answer(env, agent, asked, student.params, own, pieces))
    is_known = np.array([(kind[:trial] == kind[trial]).any(0) for trial in range(len(kind))])
    is_right, is_known = ((values & is_known)[-_LAST_TRIALS:].sum(0) for values in (answer == kind, is_known))
    rules = (np.asarray(held_out.tasks(np.arange(held_out.num_episodes)).rules.relation) != NEVER).sum(-1)
    of_number = {number: (rules == number) & (is_known > 0) for number in np.unique(rules)}
    return _bounded({f"recalled_of_{n}": is_right[some] / is_known[some] for n, some in of_number.items()})


def _episodes(data: Dataset, lesson: _Lesson) -> Pieces:
    """All, whole."""
    number = data.num_episodes
    return read_windows(data, np.arange(number), np.zeros(number, np.int64), lesson.num_steps)


def _by_trial(by_step: jax.Array, lesson: _Lesson) -> np.ndarray:
    """[K, N] float64 means over the steps of each trial, of [T, N] values."""
    return np.asarray(by_step, np.float64).reshape(lesson.num_trials, lesson.trial_length, -1).mean(1)


def _bounded(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means of [N] values by name, and their 95 % intervals over tasks, NAME_low and NAME_high."""
    numbers = {}
    for name, of_tasks in values.items():
        found = estimate(of_tasks[None, :, None])
        for bound, value in (("", found.mean), ("_low", found.low), ("_high", found.high)):
            numbers[f"{name}{bound}"] = round(float(value[0]), 4)
    return numbers


@partial(jax.jit, static_argnums=(0, 1, 2))
def _divergence(
    env: Env, student: Any, teacher: Any, of_student: Params, of_teacher: Params, pieces: Pieces
) -> jax.Array:
    """[T, N] float32, of the student's policy from the teacher's; None is a teacher that always does the same."""
    rollout, output = _replay(env, student, of_student, pieces)
    learned = jax.nn.log_softmax(output.logits)
    if teacher is None:
        taught = jax.nn.one_hot(rollout.steps.action, learned.shape[-1])
    else:
        memory = teacher.start_memory(learned.shape[1])
        taught = jax.nn.softmax(unroll(teacher, of_teacher, rollout, memory).logits)
    return (xlogy(taught, taught) - taught * learned).sum(-1)[..., 0]


@partial(jax.jit, static_argnums=(0, 1))
def _answer(
    env: Env, agent: Any, asked: TaskInference, params: Params, own: Any, pieces: Pieces
) -> tuple[jax.Array, jax.Array]:
    """[T, N] kinds: the answers, and what is right."""
    rollout, output = _replay(env, agent, params, pieces)
    _, kind = asked.follow((), rollout)
    return asked.answer(own, output)[..., 0], kind[..., 0]


def _replay(env: Env, agent: Any, params: Params, pieces: Pieces) -> tuple[Rollout, Output]:
    """Episodes, and what the agent makes of them."""
    windows = derive_windows(env, pieces)
    rollout = as_rollout(env, agent, windows, windows.action, 0)
    return rollout, unroll(agent, params, rollout)


EXPERIMENT = Experiment(
    name="cloning",
    question="Can each memory do what a teacher that remembers does, and which of its parts does it need for that?",
    arms=ARMS,
    families=tuple(_LESSONS),
    arms_of={
        "control": _WITH_ALL_OR_WITHOUT,
        "search": (*MEMORIES, *_and_reinforced(VECTORS)),
        "recall": MEMORIES,
        "recall-four": (*MEMORIES, *_and_reinforced(KINDS)),
    },
    needs=_REINFORCED,
    seeds=(0, 1, 2),
    cost="105 runs of 3750 updates on recorded episodes, of `recall-four` and `search` 6250: of `control` 3 to 8 "
    "minutes of a core each, of `recall` 14 for `gated_delta`, beside others; and 30 of 25 million steps",
    run=run,
    baselines=baselines,
    trained_trials={family: lesson.num_trials for family, lesson in _LESSONS.items()},
    num_columns=1,  # names of arms are long
    why_no_steps="cloning imitates recorded episodes, and its arms that go on by reward all take 25 million steps",
)
