"""`VectorEnv` is a loop of single environments that are started again by hand, only faster."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import ALL_PARTS, make_example

from xworld import ConfigError, Env, EnvConfig, State, Task, TimeStep, VectorEnv
from xworld.core.vector import VectorState, VectorTimeStep, move_on_all_at_once, move_on_in_loops

ENV = Env(EnvConfig(height=5, width=5, max_objects=4, max_rules=3, max_doors=1, view_size=3))
NUM_ENVS, NUM_TASKS, MAX_LENGTH = 18, 8, 6
VEC = VectorEnv(ENV, NUM_ENVS)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pool:
    """A source of tasks: one of a few, all equally likely."""

    tasks: Task  # every leaf with leading axis NUM_TASKS

    def sample(self, key: jax.Array) -> Task:
        index = jax.random.randint(key, (), 0, NUM_TASKS)
        return jax.tree.map(lambda leaf: leaf[index], self.tasks)


def make_pool(first_seed: int) -> Pool:
    """Tasks of which half have one trial of 2 steps and half two trials of 3; `world_id` tells them apart."""
    tasks = [
        dataclasses.replace(
            make_example(ENV.config, first_seed + n, ALL_PARTS).task,
            trial_length=np.uint16(2 + n % 2),
            num_trials=np.uint16(1 + n % 2),
            world_id=np.int32(first_seed + n),
        )
        for n in range(NUM_TASKS)
    ]
    return Pool(jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks))


POOL = make_pool(0)
reset = jax.jit(chex.assert_max_traces(VEC.reset, n=1))
step = jax.jit(chex.assert_max_traces(VEC.step, n=1))
refill = jax.jit(chex.assert_max_traces(VEC.refill, n=1))
read_states = jax.jit(VEC.states)
read_briefings = jax.jit(VEC.briefings)
brief = jax.jit(jax.vmap(ENV.briefing))
single_reset = jax.jit(ENV.reset_from_seed)
single_step = jax.jit(ENV.step)


def random_actions(seed: int, num_steps: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 7, (num_steps, NUM_ENVS, 1), np.int32)


def at(tree: Any, index: int | tuple[int, int]) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def test_it_equals_a_loop_of_single_environments() -> None:
    state, timestep = reset(jax.random.key(0), POOL)
    singles, firsts = start_all(jax.device_get(read_states(state)), range(NUM_ENVS))
    chex.assert_trees_all_equal(read_states(state), stack(singles))
    chex.assert_trees_all_equal(timestep, stack([expected_timestep(first, first) for first in firsts]))

    num_ended = 0
    for t, actions in enumerate(random_actions(0, 15)):
        state, timestep = step(state, actions)
        if t % 5 == 4:
            state = refill(state, jax.random.key(t), POOL)
        stepped = jax.device_get([single_step(single, action) for single, action in zip(singles, actions, strict=True)])
        singles, lasts = [list(column) for column in zip(*stepped, strict=True)]
        shown = list(lasts)
        ended = [i for i, last in enumerate(lasts) if last.is_last]
        for i, *start in zip(ended, *start_all(jax.device_get(read_states(state)), ended), strict=True):
            singles[i], shown[i] = start
        num_ended += len(ended)
        chex.assert_trees_all_equal(read_states(state), stack(singles))
        wanted = [expected_timestep(last, now) for last, now in zip(lasts, shown, strict=True)]
        chex.assert_trees_all_equal(timestep, stack(wanted))
    assert num_ended > NUM_ENVS


def start_all(states: State, indices: Iterable[int]) -> tuple[list[State], list[TimeStep]]:
    """Starts by hand what the batch of states started: tasks and seeds are read from it."""
    starts = jax.device_get([single_reset(states.seed[i], at(states.task, i)) for i in indices])
    return [state for state, _ in starts], [timestep for _, timestep in starts]


def expected_timestep(last: TimeStep, shown: TimeStep) -> VectorTimeStep:
    """`last` is what the running episode hands out; `shown` the same, or the next one's first timestep if it ended."""
    if last.is_last:
        assert last.discount == 0 and shown.is_first and shown.is_trial_first
    return VectorTimeStep(
        observation=shown.observation,
        reward=last.reward,
        discount=last.discount,
        is_first=shown.is_first,
        is_trial_first=shown.is_trial_first,
        is_last=last.is_last,
        event=last.event,
        final_observation=last.observation,
    )


def play(state: VectorState, num_steps: int) -> tuple[VectorState, np.ndarray, list[tuple[int, int]]]:
    """Plays on, and says where an episode ended and which task and seed followed the first that did."""
    has_ended = np.zeros(NUM_ENVS, bool)
    followers = [(-1, -1)] * NUM_ENVS
    for actions in random_actions(7, num_steps):
        state, timestep = step(state, actions)
        singles = jax.device_get(read_states(state))
        for i in np.flatnonzero(timestep.is_last & ~has_ended):
            followers[i] = int(singles.task.world_id[i]), int(singles.seed[i])
        has_ended |= np.asarray(timestep.is_last)
    return state, has_ended, followers


def test_refill_prepares_where_a_task_was_used_and_depends_on_key_and_index_only() -> None:
    start, _ = reset(jax.random.key(3), POOL)
    early, was_used_early, _ = play(start, 2)
    late, was_used_late, _ = play(start, MAX_LENGTH)
    assert was_used_early.any() and not was_used_early.all() and was_used_late.all()

    _, _, unfilled = play(early, MAX_LENGTH)
    _, _, filled_early = play(refill(early, jax.random.key(4), POOL), MAX_LENGTH)
    _, _, filled_late = play(refill(late, jax.random.key(4), POOL), MAX_LENGTH)
    _, _, filled_otherwise = play(refill(early, jax.random.key(5), POOL), MAX_LENGTH)
    for i, was_used in enumerate(was_used_early):
        if was_used:
            assert filled_early[i] == filled_late[i]
            assert filled_early[i] not in (unfilled[i], filled_otherwise[i])
        else:
            assert filled_early[i] == filled_otherwise[i] == unfilled[i]
    assert len(set(filled_late)) == NUM_ENVS


@pytest.mark.parametrize("num_ended", [0, 1, 3, NUM_ENVS])
def test_environments_move_on_alike_in_loops_and_all_at_once(num_ended: int) -> None:
    old, new = (reset(jax.random.key(key), POOL)[0] for key in (10, 11))
    is_last = np.random.default_rng(num_ended).permutation(np.arange(NUM_ENVS) < num_ended)
    following, ended = (new.prepared, new.first_observation), (old.current, old.first_observation)
    by_loop, by_selection = (jax.jit(f)(is_last, following, ended) for f in (move_on_in_loops, move_on_all_at_once))
    chex.assert_trees_all_equal(by_loop, by_selection)
    seeds = [np.asarray(states.seed) for states, _ in (by_loop, following, ended)]
    np.testing.assert_array_equal(seeds[0], np.where(is_last, seeds[1], seeds[2]))


def test_without_a_next_task_the_same_episode_starts_again() -> None:
    state, _ = reset(jax.random.key(1), POOL)
    state, _, _ = play(state, MAX_LENGTH)  # uses what reset prepared
    before = jax.device_get(read_states(state))
    _, has_ended, followers = play(state, MAX_LENGTH)
    assert has_ended.all()
    for i, (world_id, seed) in enumerate(followers):
        assert world_id == before.task.world_id[i]
        assert seed == before.seed[i]


def test_reset_prepares_another_task() -> None:
    """What follows was sampled, and by a key of its own: the ids differ from environment to environment."""
    state, _ = reset(jax.random.key(2), POOL)
    before = jax.device_get(read_states(state)).task.world_id.tolist()
    _, _, followers = play(state, MAX_LENGTH)
    after = [world_id for world_id, _ in followers]
    assert len(set(before)) > 3 and len(set(after)) > 3
    assert before != after


def test_new_arrays_in_the_task_source_take_effect_without_a_recompile() -> None:
    """`reset` and `refill` are traced once in this module; a second pool is other data of the same shape."""
    others = make_pool(100)
    state, _ = reset(jax.random.key(0), others)
    assert set(np.asarray(read_states(state).task.world_id).tolist()) <= set(range(100, 100 + NUM_TASKS))
    state, _, _ = play(state, MAX_LENGTH)
    state = refill(state, jax.random.key(0), POOL)
    _, _, followers = play(state, MAX_LENGTH)
    assert {world_id for world_id, _ in followers} <= set(range(NUM_TASKS))


def test_same_key_same_tasks_and_other_key_other_tasks() -> None:
    first, again, other = (reset(jax.random.key(key), POOL) for key in (0, 0, 1))
    chex.assert_trees_all_equal(first, again)
    assert (np.asarray(first[0].current.seed) != np.asarray(other[0].current.seed)).all()


def test_it_runs_inside_scan() -> None:
    actions = random_actions(0, 8)

    @jax.jit
    def run(key: jax.Array, pool: Pool) -> tuple[VectorState, VectorTimeStep]:
        state, _ = VEC.reset(key, pool)

        def play_and_refill(state: VectorState, actions: jax.Array) -> tuple[VectorState, VectorTimeStep]:
            state, timesteps = jax.lax.scan(VEC.step, state, actions)
            return VEC.refill(state, key, pool), timesteps

        return jax.lax.scan(play_and_refill, state, actions.reshape(2, 4, NUM_ENVS, 1))

    scanned, timesteps = run(jax.random.key(0), POOL)
    state, _ = reset(jax.random.key(0), POOL)
    for t, action in enumerate(actions):
        state, timestep = step(state, action)
        chex.assert_trees_all_equal(at(timesteps, (t // 4, t % 4)), timestep)
        if t % 4 == 3:
            state = refill(state, jax.random.key(0), POOL)
    chex.assert_trees_all_equal(state, scanned)


def test_step_and_refill_keep_types() -> None:
    state, first = jax.eval_shape(VEC.reset, jax.random.key(0), POOL)
    next_state, later = jax.eval_shape(VEC.step, state, jax.ShapeDtypeStruct((NUM_ENVS, 1), jnp.int32))
    refilled = jax.eval_shape(VEC.refill, state, jax.random.key(0), POOL)
    for before, after in ((state, next_state), (state, refilled), (first, later)):
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(after))
    assert all(leaf.shape[0] == NUM_ENVS for leaf in jax.tree.leaves(later))


def test_briefings_are_of_the_current_and_the_next_task() -> None:
    state, _ = reset(jax.random.key(0), POOL)
    pool = jax.device_get(brief(POOL.tasks))
    for _ in range(2):  # the second time some have no next task, and the same one follows
        now, following = jax.device_get(read_briefings(state))
        current = jax.device_get(read_states(state)).task.world_id
        _, _, followers = play(state, MAX_LENGTH)
        for i, (world_id, _) in enumerate(followers):
            chex.assert_trees_all_equal(at(now, i), at(pool, current[i]))
            chex.assert_trees_all_equal(at(following, i), at(pool, world_id))
        state, _, _ = play(state, 2)


@pytest.mark.parametrize("num_envs", [0, -1])
def test_a_bad_number_of_environments_is_explained(num_envs: int) -> None:
    with pytest.raises(ConfigError, match=f"num_envs is {num_envs}; write a whole number of at least 1."):
        VectorEnv(ENV, num_envs)
