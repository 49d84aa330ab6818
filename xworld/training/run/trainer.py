"""A run's compiled functions: a learner on all devices of all processes, environments sharded over a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from xworld.agents import Agent, Output, Params, make_agent
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS, make_mesh
from xworld.core.env import Env
from xworld.core.types import TaskSource
from xworld.core.vector import VectorEnv
from xworld.training.devices.sharding import (
    gather,
    gather_batch,
    own_part,
    place,
    specs_of,
    specs_of_marked,
)
from xworld.training.learners.learner import Batch, Learner, Metrics, Trained
from xworld.training.learners.terms.term import Term, check_names
from xworld.training.logs.tasks import task_metrics
from xworld.training.rollouts.partners import Changing, Partners, seated
from xworld.training.rollouts.rollout import Actor, TrialReturns, collect, start_actor
from xworld.training.rollouts.taken import take
from xworld.training.rollouts.try_out import Scouts
from xworld.training.run.config import RunConfig
from xworld.training.run.given import Given
from xworld.training.run.scouting import Scouting, make_scouting


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on, beside what is given to it; what a checkpoint holds."""

    params: Params
    heads: tuple[Any, ...]  # for each term, its trained parameters
    learner: Any  # the learner's own state
    actor: Actor  # of the environments
    terms: tuple[Any, ...]  # what each term carries, arrays [num_envs, ...]
    curriculum: Any  # what a curriculum carries, arrays [num_envs, ...]
    scouts: Any  # who tries tasks out, arrays [search.num_envs, ...]; () where nobody does
    key: jax.Array  # [] random key, the same on all devices
    update: jax.Array  # [] int32, updates done


@dataclass(frozen=True)
class Trainer:
    """The functions of a run, made by `make_trainer`. Compiled at their first call."""

    agent: Agent
    learner: Learner
    start: jax.stages.Wrapped  # given -> the state before the first update
    # state, given -> state, given, [updates_per_chunk, ...] metrics, and `Taken` where that is recorded, else ()
    chunk: jax.stages.Wrapped
    place: Callable[[TrainState], TrainState]  # a state in the host's memory onto the devices
    whole_params: Callable[[Params], Params]  # a state's parameters, all of them on every device
    own_params: Callable[[Params], Params]  # whole parameters onto the devices, as a state has them

    def given(
        self, tasks: TaskSource, terms: tuple[Term, ...] = (), partners: Partners | Changing | None = None
    ) -> Given:
        """What `start` and `chunk` take, on all devices. A change of its leaves needs no recompile.

        Raises:
          ConfigError: two terms have one name.
        """
        check_names(terms)
        given = jax.tree.map(jnp.asarray, Given(tasks, terms, partners))
        return place(given, make_mesh(), jax.tree.map(lambda _: P(), given))


@dataclass(frozen=True)
class _Loop:
    """One update and its start, on one device of the mesh axis `AXIS`."""

    config: RunConfig
    agent: Agent
    learner: Learner
    vec: VectorEnv  # with this device's share of the environments
    batch: Batch
    scouting: Scouting | None
    is_recorded: bool

    def start(self, given: Given) -> TrainState:
        """The state before the first update, whole."""
        params_key, key = jax.random.split(jax.random.key(self.config.seed))
        key, reset_key = jax.random.split(key)
        params = self.agent.init(params_key)
        actor = start_actor(
            self.agent, self.vec, reset_key, given.tasks, self.batch.first_index, partners=seated(given.partners)
        )
        learner_key, *keys = jax.random.split(jax.random.fold_in(reset_key, 1), 1 + len(given.terms))
        like = self._output(params, actor)
        heads = tuple(term.init(key, like) for term, key in zip(given.terms, keys, strict=True))
        curriculum = given.curriculum
        return TrainState(
            params=params,
            heads=heads,
            learner=self.learner.start(Trained(params, heads), learner_key),
            actor=actor,
            terms=tuple(term.start(self.vec.num_envs) for term in given.terms),
            curriculum=() if curriculum is None else curriculum.start(self.vec.num_envs),
            scouts=() if self.scouting is None else self.scouting.start(jax.random.fold_in(reset_key, 2), given),
            key=key,
            update=jnp.int32(0),
        )

    def update(self, state: TrainState, given: Given) -> tuple[TrainState, Given, Metrics, Any]:
        """Acts, has the terms follow, learns, tries tasks out, and tells the curriculum. `state.params` are whole."""
        key, act_key, learn_key = jax.random.split(state.key, 3)
        length, first_index = self.learner.rollout_length, self.batch.first_index
        given = given.after_partners(jax.random.fold_in(act_key, 4), state.params, state.update)
        players, drawn_from = seated(given.partners), given.tasks
        actor, rollout, trials = collect(
            self.agent, state.params, self.vec, state.actor, act_key, given.tasks, length, first_index, players
        )
        taken = take(state.actor.env_state, actor.env_state, rollout.steps) if self.is_recorded else ()
        curriculum, played = given.curriculum, rollout
        if curriculum is not None:
            is_learned_from = curriculum.is_learned_from(rollout.steps.task_id)[..., None]
            steps = dataclasses.replace(rollout.steps, weight=jnp.where(is_learned_from, rollout.steps.weight, 0.0))
            rollout = dataclasses.replace(rollout, steps=steps)
        followed = [term.follow(carry, rollout) for term, carry in zip(given.terms, state.terms, strict=True)]
        carries, extras = tuple(carry for carry, _ in followed), tuple(extra for _, extra in followed)

        progress = state.update / max(self.config.num_updates - 1, 1)
        trained, learner_state, report = self.learner.learn(
            Trained(state.params, state.heads),
            state.learner,
            rollout,
            extras,
            given.terms,
            learn_key,
            progress,
            self.batch,
        )
        carry, scouts = state.curriculum, state.scouts
        if curriculum is not None:
            carry, seen = curriculum.follow(carry, played, report.signals)
            given = dataclasses.replace(
                given, tasks=curriculum.update(jax.random.fold_in(act_key, 2), gather_batch(seen))
            )
        if self.scouting is not None:
            scouts, given = self.scouting.search(
                jax.random.fold_in(act_key, 3), trained.agent, learner_state, scouts, given
            )
        after = TrainState(
            trained.agent, trained.heads, learner_state, actor, carries, carry, scouts, key, state.update + 1
        )
        metrics = report.metrics | _sum_trials(trials) | task_metrics(rollout, drawn_from, given.tasks)
        return after, given, metrics, taken

    def _output(self, params: Params, actor: Actor) -> Output:
        """The shapes of one step's output."""

        def decide() -> Output:
            told = self.agent.encode_briefing(params, self.vec.briefings(actor.env_state)[0])
            return self.agent.step(params, actor.observation, told, actor.memory, actor.is_reset)

        return jax.eval_shape(decide)


def make_trainer(
    config: RunConfig, agent: Agent | None = None, learner: Learner | None = None, *, is_recorded: bool = False
) -> Trainer:
    """A trainer on all devices of all processes. Equal arguments share one, and what it compiled.

    `chunk` gives the memory of its first argument away: use what it returns.

    Args:
      config: the run.
      agent: hashable, with the methods of `Agent`, in place of the one that the configuration describes.
      learner: in place of the one that the configuration describes.
      is_recorded: whether chunks give what was done in them.

    Raises:
      ConfigError: the environments do not divide into equal minibatches on each device, or the learner's rollouts are
        not as long as those of the configuration, by which steps are counted.
    """
    return _make_trainer(config, agent, learner, is_recorded)


@functools.lru_cache(maxsize=4)
def _make_trainer(config: RunConfig, agent: Agent | None, learner: Learner | None, is_recorded: bool) -> Trainer:
    mesh = make_mesh()
    config.check_devices(mesh.size)
    agent = make_agent(config.agent, config.env) if agent is None else agent
    learner = config.learner.make(agent) if learner is None else learner
    if learner.rollout_length != (length := config.learner.rollout_length):
        raise ConfigError(
            f"The learner's rollout_length is {learner.rollout_length}, and that of RunConfig.learner {length}, by "
            "which steps are counted. Write the same in both."
        )
    vec = VectorEnv(Env(config.env), config.num_envs // mesh.size)
    batch = Batch(vec.num_envs, config.num_groups // mesh.size, config.shard_params)
    loop = _Loop(config, agent, learner, vec, batch, make_scouting(config, agent, learner, mesh.size), is_recorded)
    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    shard = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
    specs_like = functools.partial(_specs, num_devices=mesh.size, is_sharded=config.shard_params)
    first_state = jax.jit(loop.start)  # so that it is traced once, for its shapes and to be compiled

    def start(given: Given) -> TrainState:
        specs = specs_like(jax.eval_shape(shard(first_state, in_specs=P(), out_specs=P()), given))
        part = functools.partial(_own_parts, specs=specs)
        return shard(lambda given: _batch_first(part(first_state(given))), in_specs=P(), out_specs=specs)(given)

    def chunk(state: TrainState, given: Given) -> tuple[TrainState, Given, Metrics, Any]:
        specs = specs_like(state)

        def update(carry: tuple[TrainState, Given], _: None) -> tuple[tuple[TrainState, Given], tuple[Metrics, Any]]:
            state, given = carry
            whole = dataclasses.replace(state, params=gather(state.params, specs.params))
            state, given, *seen = loop.update(whole, given)
            return (dataclasses.replace(state, params=own_part(state.params, specs.params)), given), tuple(seen)

        def updates(state: TrainState, given: Given) -> tuple[TrainState, Given, Metrics, Any]:
            carry = (_batch_last(state), given)
            (state, given), (metrics, taken) = jax.lax.scan(update, carry, length=config.updates_per_chunk)
            return _batch_first(state), given, metrics, taken

        by_env = P(None, None, AXIS)  # of arrays [updates, steps, environments, ...]
        return shard(updates, in_specs=(specs, P()), out_specs=(specs, P(), P(), by_env))(state, given)

    specs = specs_of(jax.eval_shape(agent.init, jax.random.key(0)), mesh.size, is_sharded=config.shard_params)
    parts = jax.jit(shard(functools.partial(own_part, specs=specs), in_specs=P(), out_specs=specs))
    return Trainer(
        agent=agent,
        learner=learner,
        start=jax.jit(start),
        chunk=jax.jit(chunk, donate_argnums=0),
        place=lambda state: place(state, mesh, _spread(specs_like(state), state)),
        whole_params=jax.jit(shard(functools.partial(gather, specs=specs), in_specs=(specs,), out_specs=P())),
        own_params=lambda params: parts(jax.tree.map(jnp.asarray, params)),
    )


def _specs(state: TrainState, num_devices: int, *, is_sharded: bool) -> TrainState:
    """How the state lies on the devices: a spec for each array, or for a whole part."""
    by_env: Any = P(AXIS)
    replicated: Any = P()
    return TrainState(
        params=specs_of(state.params, num_devices, is_sharded=is_sharded),
        heads=replicated,
        learner=specs_of_marked(state.learner, num_devices, is_sharded=is_sharded),
        actor=by_env,
        terms=by_env,
        curriculum=by_env,
        scouts=by_env,
        key=replicated,
        update=replicated,
    )


def _own_parts(state: TrainState, specs: TrainState) -> TrainState:
    """On a device: its parts of what is sharded."""
    return dataclasses.replace(
        state, params=own_part(state.params, specs.params), learner=own_part(state.learner, specs.learner)
    )


def _spread(specs: TrainState, state: TrainState) -> Any:
    """A spec for each leaf of the state, from one for each part of it."""
    return jax.tree.map(
        lambda spec, part: jax.tree.map(lambda _: spec, part), specs, state, is_leaf=lambda node: isinstance(node, P)
    )


def _sum_trials(trials: TrialReturns) -> Metrics:
    sums, counts = jax.lax.psum((trials.sums, trials.counts), AXIS)
    return {"trial_sums": sums, "trial_counts": counts}


def _batch_first(state: TrainState) -> TrainState:
    """With the environments in every array's first axis, the one that is sharded; `_batch_last` takes it back."""
    return _move_batch(state, -1, 0)


def _batch_last(state: TrainState) -> TrainState:
    return _move_batch(state, 0, -1)


def _move_batch(state: TrainState, source: int, target: int) -> TrainState:
    def move(actor: Actor) -> Actor:
        current = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, source, target), actor.env_state.current)
        return dataclasses.replace(actor, env_state=dataclasses.replace(actor.env_state, current=current))

    scouts = state.scouts
    if isinstance(scouts, Scouts):
        scouts = dataclasses.replace(scouts, actor=move(scouts.actor))
    return dataclasses.replace(state, actor=move(state.actor), scouts=scouts)
