"""Cooperation, as far as events and hands tell: who brought about which rule, who handled what, hand-overs, waiting.

An agent *handles* a thing when it picks it up, puts it down or pushes it, and a door when it opens or closes it. A rule
about an agent is fired by that agent, any other rule by who handled something last in the trial. A *hand-over* is a
thing that one agent put down and another picked up in the same trial; what a rule made of it meanwhile is the same
thing. An agent *waits* in a step in which it neither moves, turns nor handles anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich import box
from rich.table import Table

from xworld.agents.policy import PairedPolicy, Policy
from xworld.base.xla.jit_key import jit_key
from xworld.core import kinds
from xworld.core.env import Env
from xworld.core.step.actions import NOOP, act, legal_actions
from xworld.core.types import HAND, HAND_STEP, Scene, State, Task
from xworld.evaluation.episodes import begin_episode, episode_key, in_order, make_batches
from xworld.evaluation.protocol import with_num_trials
from xworld.evaluation.scores.cross_play import tasks_for_two

_NOBODY = -1
SEATS = (0, 1)
ROLES = ("player", "partner")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Deeds:
    """What agents did in an episode: counts."""

    fired: jax.Array  # [A, R] int32, rules that each brought about
    handled: jax.Array  # [A] int32
    given: jax.Array  # [A] int32, things that it put down and another picked up
    taken: jax.Array  # [A] int32, things that another put down and it picked up
    waited: jax.Array  # [A] int32, steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Watch:
    """What has to be known of a trial so far."""

    put_by: jax.Array  # [N] int32, who put down what is in a slot and has not been picked up since, or nobody
    handler: jax.Array  # [] int32, who handled something last, or nobody


def count_deeds(
    env: Env, tasks: Task, policy: Policy, key: jax.Array, num_trials: int | None = None, batch_size: int = 256
) -> Deeds:
    """Plays one episode of every task; counts with leading axis [num_tasks], on the host.

    Task i is played as `evaluate` plays it with the same key.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks, leaves [num_tasks, ...].
      policy: who plays all seats.
      key: decides directions and chance.
      num_trials: play this many trials of every task instead of the task's own number.
      batch_size: how many tasks are played at a time.
    """
    tasks = jax.device_get(with_num_trials(tasks, num_trials))
    lengths = np.asarray(tasks.trial_length, np.int64) * np.asarray(tasks.num_trials, np.int64)
    batches = make_batches(lengths, batch_size)
    parts = []
    for episodes in batches:
        batch = jax.tree.map(lambda leaf, episodes=episodes: leaf[episodes], tasks)
        num_steps = jnp.int32(lengths[episodes].max())
        parts.append(jax.device_get(_play(env, jit_key(policy), batch, jnp.asarray(episodes), num_steps, policy, key)))
    return in_order(batches, parts)


@partial(jax.jit, static_argnums=(0, 1))
def _play(
    env: Env,
    _key: tuple[Any, ...],
    tasks: Task,
    episodes: jax.Array,
    num_steps: jax.Array,
    policy: Policy,
    key: jax.Array,
) -> Deeds:
    """The counts of a batch of episodes."""

    def play(task: Task, number: jax.Array) -> Deeds:
        state, timestep, memory, act_key = begin_episode(env, policy, task, episode_key(key, number))
        watch = _Watch(jnp.full(task.object_kind.shape, _NOBODY), jnp.int32(_NOBODY))
        num_agents = env.config.num_agents
        nothing = jnp.zeros(num_agents, jnp.int32)
        deeds = Deeds(jnp.zeros((num_agents, env.config.max_rules), jnp.int32), *(nothing,) * 4)

        def step(number: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            state, timestep, memory, watch, deeds = carry
            memory, actions = policy.act(memory, jax.random.fold_in(act_key, number), state, timestep)
            following, timestep = env.step(state, actions)
            watch, new = _look(env, state, actions, following, timestep.event, watch)
            is_on = ~state.is_over
            deeds = jax.tree.map(lambda old, more: old + jnp.where(is_on, more, 0), deeds, new)
            return following, timestep, memory, watch, deeds

        return jax.lax.fori_loop(0, num_steps, step, (state, timestep, memory, watch, deeds))[-1]

    return jax.vmap(play)(tasks, episodes)


def _look(
    env: Env, state: State, actions: jax.Array, following: State, event: jax.Array, watch: _Watch
) -> tuple[_Watch, Deeds]:
    """What was done in a step. The agents' actions are done once more, one after the other."""
    task, scene, agents = state.task, state.scene, range(env.config.num_agents)
    legal, ids = legal_actions(scene, actions), jnp.arange(env.config.num_agents)
    put_by, handler = watch.put_by, watch.handler
    given = taken = jnp.zeros(len(agents), jnp.int32)
    has_handled, has_waited = [], []
    for agent in agents:
        after = act(env.config, task, scene, jnp.where(ids == agent, legal, jnp.uint8(NOOP)))
        hand = HAND + HAND_STEP * agent
        is_moved = (after.object_row != scene.object_row) | (after.object_column != scene.object_column)  # [N]
        is_picked, is_put = is_moved & (after.object_row == hand), is_moved & (scene.object_row == hand)
        is_taken = is_picked & (put_by != _NOBODY) & (put_by != agent)
        given += (is_taken & (put_by == ids[:, None])).sum(1, dtype=jnp.int32)
        taken += jnp.where(ids == agent, is_taken.sum(dtype=jnp.int32), 0)
        put_by = jnp.where(is_put, agent, jnp.where(is_picked, _NOBODY, put_by))
        handles = is_moved.any() | (after.door_state != scene.door_state).any()
        handler = jnp.where(handles, agent, handler)
        has_handled.append(handles)
        has_waited.append(task.is_present[agent] & ~handles & ~_has_moved(scene, after, agent))
        scene = after
    first = task.rules.first[jnp.maximum(event - 1, 0)]
    by = jnp.where(first >= kinds.agent_kind(0), first - kinds.agent_kind(0), handler)
    is_fired = jnp.arange(env.config.max_rules) == event - 1
    deeds = Deeds(
        fired=((ids == by)[:, None] & is_fired).astype(jnp.int32),
        handled=jnp.stack(has_handled).astype(jnp.int32),
        given=given,
        taken=taken,
        waited=jnp.stack(has_waited).astype(jnp.int32),
    )
    is_gone = (following.scene.object_kind == kinds.NOTHING) | (following.trial != state.trial)
    handler = jnp.where(following.trial != state.trial, _NOBODY, handler)
    return _Watch(jnp.where(is_gone, _NOBODY, put_by), handler), deeds


def _has_moved(scene: Scene, after: Scene, agent: int) -> jax.Array:
    """[] bool, whether an agent went somewhere or turned."""
    places = (scene.agent_row, after.agent_row), (scene.agent_column, after.agent_column)
    turns = (scene.agent_direction, after.agent_direction)
    return jnp.stack([one[agent] != other[agent] for one, other in (*places, turns)]).any()


def measure_cooperation(
    env: Env,
    tasks: Task,
    player: Policy,
    partner: Policy,
    key: jax.Array,
    *,
    seats: Sequence[int] = SEATS,
    num_trials: int | None = None,
    batch_size: int = 256,
) -> dict[str, Any]:
    """What a player and its partner did, as JSON types: means over tasks for two or more and ways to sit.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks; those for one agent are left out.
      player: in each of the seats in turn.
      partner: in all other seats.
      key: decides directions and chance.
      seats: of the player, from 0.
      num_trials: play this many trials of every task instead of the task's own number.
      batch_size: how many tasks are played at a time.

    Raises:
      ConfigError: no task is for two.
    """
    tasks = with_num_trials(tasks_for_two(tasks), num_trials)
    trials, present = np.asarray(tasks.num_trials, np.float64), np.asarray(tasks.is_present)
    steps = trials * np.asarray(tasks.trial_length)
    found = []
    for seat in seats:
        deeds = count_deeds(env, tasks, PairedPolicy(player, partner, jnp.int32(seat)), key, batch_size=batch_size)
        is_own = np.arange(env.config.num_agents) == seat  # of tasks for two agents 0 and 1 are there
        found.append([_of_role(deeds, is_role & present, trials, steps) for is_role in (is_own, ~is_own)])
    by_role = {role: [of_seat[place] for of_seat in found] for place, role in enumerate(ROLES)}
    means = {
        role: {name: _mean([one[name] for one in of_seats]) for name in _MEASURES} for role, of_seats in by_role.items()
    }
    fired = [
        {role: np.mean([one["fired"][task] for one in of_seats], axis=0).tolist() for role, of_seats in by_role.items()}
        for task in range(len(trials))
    ]
    about = {"num_tasks": len(trials), "num_trials": int(trials.max()), "seats": list(seats)}
    return {**about, **means, "fired_by_task": fired}


_MEASURES = {
    "rules_fired": "rules fired",
    "handled": "things handled",
    "share_of_work": "share of the work",
    "given": "handed over",
    "taken": "taken over",
    "waiting": "waits",
}


def _of_role(deeds: Deeds, is_role: np.ndarray, trials: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray]:
    """By measure [num_tasks] of the agents of a role, [num_tasks, A]: in a trial, or a share; and "fired" by rule."""

    def a_trial(counts: Any) -> np.ndarray:
        return np.asarray((np.asarray(counts) * is_role).sum(1) / trials)

    all_handled = np.asarray(deeds.handled).sum(1)
    own_handled = (np.asarray(deeds.handled) * is_role).sum(1)
    return {
        "rules_fired": a_trial(np.asarray(deeds.fired).sum(-1)),
        "handled": a_trial(deeds.handled),
        "share_of_work": own_handled / np.where(all_handled > 0, all_handled, np.nan),
        "given": a_trial(deeds.given),
        "taken": a_trial(deeds.taken),
        "waiting": a_trial(deeds.waited) * trials / steps / is_role.sum(1),
        "fired": (np.asarray(deeds.fired) * is_role[..., None]).sum(1) / trials[:, None],
    }


def _mean(values: list[np.ndarray]) -> float | None:
    """Over seats and tasks, without those that have none; None if none has."""
    together = np.concatenate(values)
    return None if np.isnan(together).all() else float(np.nanmean(together))


def cooperation_table(found: dict[str, Any]) -> Table:
    """A row for the player, and one for its partner."""
    seats = found["seats"]
    sitting = "both ways to sit" if len(seats) > 1 else f"seat {seats[0]}"
    title = f"What was done in a trial, mean over {found['num_tasks']} tasks, {sitting}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in _MEASURES.values():
        table.add_column(heading, justify="right")
    for role in ROLES:
        cells = (found[role][name] for name in _MEASURES)
        table.add_row(role, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    table.caption = "Share of the work: of all that was handled. Waits: share of steps."
    return table
