"""Scaling, one axis at a time, with fits: how scores grow with the agent, its memory, its tasks, and its trials.

An axis is a family of tasks, and its arms are points on it; all else is the default agent, on `xworld-s`, or where an
axis is about remembering on the preset `memory`, on which agents of this size adapt. Each run measures where it lies on
its axis, and about how many floating-point operations its training took.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import Agent, AgentConfig, Expert, agent_preset, make_agent
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.report.fits import HELD_OUT, TRAINED_ON
from xworld.apps.laboratory.training import SweepExam, benchmark_exam, train_to_end
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.core.vector import VectorEnv
from xworld.evaluation import Scores, SweepConfig, expert_reference, sample_tasks
from xworld.tasks import TaskCollection, TaskPool, Universe, WorldConfig
from xworld.training import PRESETS, PPOConfig, RunConfig

AT = "point_on_the_axis"
_SEED_OF_TASKS, _NUM_TASKS = 80_000, 500  # of exams that are not the benchmark's
_MOST_TRIALS = 48
_APART, _NUM_POOLS = 2**26, 16  # ids between the pools of two seeds, and how many seeds have pools: ids end
_OF_MEMORY = ("memory", "trials")  # axes that are about remembering


@dataclass(frozen=True)
class _Point:
    """What is changed in the default run."""

    agent: Mapping[str, Any] = field(default_factory=dict)  # fields of its `AgentConfig`
    memory: str = "gru"
    pool: int | None = None  # logarithm to the base 2 of how many tasks are trained on
    most_trials: int | None = None  # of a training task
    num_rooms: int | None = None  # of every world; else as the benchmark has it


_WIDTHS = (32, 64, 144, 256, 512)
_SIZES = {f"width-{width}": _Point({"memory_size": width}) for width in _WIDTHS}
AXES: dict[str, dict[str, _Point]] = {
    "size": _SIZES,
    "memory": {
        f"reach-{steps}": _Point({"cache_size": steps}, memory="transformer_xl") for steps in (24, 48, 96, 192, 384)
    },
    "pool": {f"pool-2^{power}": _Point(pool=power) for power in (6, 9, 12, 16, 20)} | {"pool-unlimited": _Point()},
    "trials": {f"up-to-{most}": _Point(most_trials=most) for most in (6, 24)},
    "complexity-one-room": {name: dataclasses.replace(point, num_rooms=1) for name, point in _SIZES.items()},
    "complexity-four-rooms": {name: dataclasses.replace(point, num_rooms=4) for name, point in _SIZES.items()},
}
_QUICK_SHARE = 8  # of widths and of reaches in miniature


def run(job: Job) -> Outcome:
    """Trains the default agent, changed as the point has it."""
    point, config = AXES[job.family][job.arm], _config(job)
    pool = None if point.pool is None else _pool(config, point.pool, job.seed)
    outcome = train_to_end(config, job, _exam(job), tasks=pool)
    agent, numbers = make_agent(config.agent, config.env), dict(outcome.numbers)
    by_task: dict[str, np.ndarray] = {}
    steps = config.total_steps if job.total_steps is None else job.total_steps
    numbers["training_flops"] = float(steps * training_flops(agent, config))
    if job.family == "memory":
        numbers[AT] = agent.reach
    elif job.family == "trials":
        numbers[AT] = config.universe.num_trials[1]
    elif job.family != "pool":
        numbers[AT] = numbers["parameters"]
    else:
        universe = Universe(config.env, config.universe)
        by_task[TRAINED_ON] = _scores_on(universe if pool is None else pool, job)
        by_task[HELD_OUT] = _scores_on(universe.with_split("test"), job)
        numbers |= {name: round(float(scores.mean()), 4) for name, scores in by_task.items()}
        if pool is not None:  # no limit is no point on the axis
            numbers[AT] = len(pool)
    return dataclasses.replace(outcome, numbers=numbers, by_task=by_task)


def _config(job: Job) -> RunConfig:
    """The run of a point; the seed and the steps are the job's."""
    config, point = _preset(job), AXES[job.family][job.arm]
    agent = _agent(config.agent, point, job.is_quick)
    universe, env = config.universe, config.env
    if point.most_trials is not None:
        universe = dataclasses.replace(universe, num_trials=(1, point.most_trials))
    if point.num_rooms is not None and not job.is_quick:  # the miniature has one room
        universe = dataclasses.replace(universe, world=_world(universe.world, point.num_rooms))
    return dataclasses.replace(config, agent=agent, universe=universe, env=env)


def _preset(job: Job) -> RunConfig:
    if job.is_quick:
        return PRESETS["smoke"]()
    budget = PRESETS["s"]().total_steps
    return dataclasses.replace(PRESETS["memory" if job.family in _OF_MEMORY else "s"](), total_steps=budget)


def _agent(agent: AgentConfig, point: _Point, is_quick: bool) -> AgentConfig:
    changes = dict(point.agent)
    if is_quick:
        changes = {name: max(value // _QUICK_SHARE, 2) for name, value in changes.items()}
        if point.memory == "transformer_xl":
            changes |= {"memory": point.memory, "num_heads": 2, "feed_forward_size": 16, "window": 12}
        return dataclasses.replace(agent, **changes)
    return dataclasses.replace(agent_preset("mini", point.memory), **changes)


def _world(world: WorldConfig, num_rooms: int) -> WorldConfig:
    return dataclasses.replace(world, rooms=(num_rooms,), floor_colours=("black", "grey"))  # a rug tells worlds apart


def _pool(config: RunConfig, power: int, seed: int) -> TaskPool:
    """2^power tasks of the run's universe, of about as many worlds as games: others for each seed.

    Raises:
      ConfigError: a seed that has no pool of its own.
    """
    if seed >= _NUM_POOLS:
        raise ConfigError(f"On the axis pool a seed is at most {_NUM_POOLS - 1}, not {seed}: others have no own tasks.")
    universe, num_worlds = Universe(config.env, config.universe), 2 ** (power // 2)
    return TaskPool(universe, num_worlds, 2**power // num_worlds, first=seed * _APART)


def _exam(job: Job) -> SweepExam:
    """The benchmark, or held-out tasks of the axis' own universe."""
    exam = benchmark_exam(job.is_quick)
    if job.family in ("size", "pool"):
        return exam
    sweep = exam.config
    if job.family == "trials":
        numbers = (1, 8) if job.is_quick else (1, 6, 13, 24, _MOST_TRIALS)
        sweep = dataclasses.replace(sweep, num_trials=numbers)
    any_arm = next(iter(AXES[job.family]))
    config = _config(dataclasses.replace(job, arm=any_arm))
    universe = Universe(config.env, config.universe).with_split("test")
    return SweepExam(lambda: _collection(job.family, universe, job.is_quick), sweep)


def _collection(name: str, source: Universe | TaskPool, is_quick: bool) -> TaskCollection:
    """Some tasks of a universe or a pool, always the same."""
    num_tasks = 16 if is_quick else _NUM_TASKS
    if isinstance(source, TaskPool):
        return TaskCollection(name, Env(source.universe.env_config), _some_of(source, num_tasks))
    return TaskCollection(name, Env(source.env_config), sample_tasks(source, jax.random.key(_SEED_OF_TASKS), num_tasks))


def _some_of(pool: TaskPool, num_tasks: int) -> Task:
    """So many tasks of a pool, or all if there are fewer; always the same, each once, stacked."""
    places = np.random.default_rng(_SEED_OF_TASKS).choice(len(pool), min(num_tasks, len(pool)), replace=False)
    world_ids, game_ids = (pool.first + part for part in divmod(places, pool.num_games))
    return jax.tree.map(jnp.asarray, pool.universe.stacked(world_ids, game_ids)[0])


def _scores_on(source: Universe | TaskPool, job: Job) -> np.ndarray:
    """[n] scores of the last of most trials on tasks of a source; best returns are kept beside the runs, for all."""
    collection = _collection("pool", source, job.is_quick)
    most = benchmark_exam(job.is_quick).config.num_trials[-1]
    sweep = SweepConfig((most,), num_repetitions=2 if job.is_quick else 10)
    returns = SweepExam(lambda: collection, sweep).play(job.folder)
    reference = expert_reference(collection.tasks, Expert(collection.env), job.folder.with_name("best-returns"))
    scores = Scores({job.arm: {most: returns[most][None]}}, reference).score(job.arm, most)
    last = scores[0, :, -1]
    return last[~np.isnan(last)]


def training_flops(agent: Agent, config: RunConfig) -> float:
    """Floating-point operations of training for each environment step.

    XLA's count for one step of the network, once for acting, and three times for each pass over it, as a gradient costs
    twice what the values do.
    """
    assert isinstance(config.learner, PPOConfig)  # of the presets
    vec = VectorEnv(Env(config.env), config.num_groups)
    universe = Universe(config.env, config.universe)

    def shapes() -> tuple[Any, ...]:
        params = agent.init(jax.random.key(0))
        state, timestep = vec.reset(jax.random.key(0), universe)
        told = agent.encode_briefing(params, vec.briefings(state)[0])
        return params, timestep.observation, told, agent.start_memory(config.num_groups), agent.is_reset(timestep)

    step: Callable[..., Any] = agent.step
    cost: Any = jax.jit(step).lower(*jax.eval_shape(shapes)).compile().cost_analysis()
    return float(cost["flops"]) / config.num_groups * (1 + 3 * config.learner.num_epochs)


EXPERIMENT = Experiment(
    name="scale",
    question="How do scores grow with the size of the agent, its memory, the pool of its tasks, and its trials?",
    arms=tuple(dict.fromkeys(arm for points in AXES.values() for arm in points)),
    seeds=(0, 1, 2),
    cost="84 runs of 50 million steps, half an hour of a core each for the default agent, hours for the widest",
    run=run,
    baselines=lambda job: _exam(job).baselines(job.folder),
    families=tuple(AXES),
    arms_of={family: tuple(points) for family, points in AXES.items()},
    course=tuple(("validation_last_trial", along) for along in ("steps", "seconds", "training_flops")),
    fit_along=AT,
)
