"""What a user may rely on in `Env` whatever the task: types, compilation, batching, chance, errors that explain."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparison import CONFIGS, Comparison
from hypothesis import given, settings
from strategies import ALL_PARTS, Example, examples, make_example, small_config

import xworld
from xworld import ConfigError, Env, EnvConfig, Task
from xworld.base.hashing import below, hash_words
from xworld.core.step.relations import opposite_directions
from xworld.core.types import episode_lengths
from xworld.tasks.sets import named as registry

CONFIG = small_config(num_agents=2)
ENV = Env(CONFIG)
SIMPLE = EnvConfig(height=5, width=5, max_objects=2, max_rules=1, max_doors=1, relations=("hold",), view_size=3)
SIMPLE_RESET, SIMPLE_STEP = jax.jit(Env(SIMPLE).reset), jax.jit(Env(SIMPLE).step)
COMPARISON = Comparison(CONFIGS["two agents, occluded"])


def make_task(seed: int, config: EnvConfig = CONFIG) -> Task:
    return make_example(config, seed, ALL_PARTS).task


def stack(trees: list[Any], axis: int = 0) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis), *trees)


# Compiled once in a process, in whatever order its tests run: chex counts traces by call site.
reset = jax.jit(ENV.reset)
step = jax.jit(chex.assert_max_traces(ENV.step, n=1))


# Types


def test_step_keeps_structure_shapes_dtypes_and_weak_types() -> None:
    state, first = jax.eval_shape(ENV.reset, jax.random.key(0), make_task(0))
    next_state, later = jax.eval_shape(ENV.step, state, jax.ShapeDtypeStruct((2,), jnp.int32))
    for before, after in ((state, next_state), (first, later)):
        assert jax.tree.structure(before) == jax.tree.structure(after)
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert (old.shape, old.dtype, old.weak_type) == (new.shape, new.dtype, new.weak_type)
            assert not old.weak_type


def test_states_and_timesteps_have_the_promised_types() -> None:
    state, timestep = jax.eval_shape(ENV.reset, jax.random.key(0), make_task(0))
    view = jax.eval_shape(
        lambda state: {
            "agent_position": state.agent_position,
            "agent_direction": state.agent_direction,
            "agent_held": state.agent_held,
            "object_kind": state.object_kind,
            "object_position": state.object_position,
            "door_state": state.door_state,
        },
        state,
    )
    shapes = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in view.items()}
    assert shapes == {
        "agent_position": ((2, 2), "int32"),
        "agent_direction": ((2,), "uint8"),
        "agent_held": ((2,), "int32"),
        "object_kind": ((8,), "uint8"),
        "object_position": ((8, 2), "int32"),
        "door_state": ((3,), "uint8"),
    }
    leaves = jax.tree_util.tree_leaves_with_path(timestep)
    assert {jax.tree_util.keystr(path): (leaf.shape, str(leaf.dtype)) for path, leaf in leaves} == {
        ".observation.view": ((2, 5, 5, 3), "uint8"),
        ".observation.held": ((2,), "uint8"),
        ".observation.direction": ((2,), "uint8"),
        ".observation.last_action": ((2,), "uint8"),
        ".observation.last_reward": ((2,), "float32"),
        ".observation.trial": ((), "int32"),
        ".observation.trials_left": ((), "int32"),
        ".observation.time_left": ((), "int32"),
        ".observation.trial_length": ((), "int32"),
        ".reward": ((2,), "float32"),
        ".discount": ((), "float32"),
        ".is_first": ((), "bool"),
        ".is_trial_first": ((), "bool"),
        ".is_last": ((), "bool"),
        ".event": ((), "int32"),
    }


def test_briefing_has_the_promised_types() -> None:
    briefing = jax.eval_shape(ENV.briefing, make_task(0))
    assert (briefing.goal.shape, briefing.goal.dtype) == ((2, 2, 2, 5), jnp.uint8)
    assert (briefing.rules.shape, briefing.rules.dtype) == ((2, 6, 7), jnp.uint8)
    assert (briefing.agent_id.shape, briefing.agent_id.dtype) == ((2,), jnp.uint8)


# Compilation and batching


def test_step_compiles_once() -> None:
    """For tasks of all kinds, states from reset and from step, and actions in and out of range."""
    for seed in range(3):
        state, _ = reset(jax.random.key(seed), make_task(seed))
        for action in (0, 3, -1, 300):
            state, _ = step(state, jnp.full(2, action, jnp.int32))


@pytest.mark.parametrize("axis", [0, -1])
def test_vmap_equals_a_loop(axis: int) -> None:
    num_envs, num_steps = 6, 25
    actions = np.random.default_rng(0).integers(0, 7, (num_steps, num_envs, 2), np.int32)
    keys = jax.random.split(jax.random.key(1), num_envs)
    starts = [reset(keys[i], make_task(i))[0] for i in range(num_envs)]

    batched_step = jax.jit(jax.vmap(ENV.step, in_axes=(axis, 0), out_axes=(axis, 0)))
    batch, singles = stack(starts, axis), starts
    for t in range(num_steps):
        batch, timesteps = batched_step(batch, actions[t])
        results = [step(state, actions[t, i]) for i, state in enumerate(singles)]
        singles = [state for state, _ in results]
        chex.assert_trees_all_equal(timesteps, stack([timestep for _, timestep in results]))
    chex.assert_trees_all_equal(batch, stack(singles, axis))


def test_environments_are_values() -> None:
    assert Env(small_config()) == Env(small_config())
    assert hash(Env(small_config())) == hash(Env(small_config()))
    assert Env(small_config()) != ENV
    assert EnvConfig(relations=("on", "hold")) == EnvConfig(relations=["hold", "on", "hold"])
    assert ENV.num_actions == 7


def test_tasks_in_the_hosts_memory_will_do() -> None:
    """Also where they are constants of what is compiled, alone or as one of a set."""
    task = jax.device_get(make_task(3))
    tasks = xworld.tasks.TaskSet(stack([task, task]))
    key = jax.random.key(0)
    wanted = jax.eval_shape(ENV.reset, key, task)
    assert jax.eval_shape(lambda key: ENV.reset(key, task), key) == wanted
    assert jax.eval_shape(lambda key: ENV.reset(key, tasks.sample(key)), key) == wanted


# Chance


def test_same_key_same_episode() -> None:
    def play(key: jax.Array) -> list[Any]:
        state, timestep = reset(key, make_task(3))
        timesteps = [timestep]
        for action in np.random.default_rng(0).integers(0, 7, (20, 2), np.int32):
            state, timestep = step(state, action)
            timesteps.append(timestep)
        return [state, timesteps]

    chex.assert_trees_all_equal(play(jax.random.key(5)), play(jax.random.key(5)))


def test_directions_at_trial_starts_are_uniform_and_independent() -> None:
    """Over keys, trials and agents; none of them decides the others."""
    num_keys, num_trials = 512, 4
    env = Env(dataclasses.replace(SIMPLE, num_agents=2))
    task = dataclasses.replace(
        make_task(0, env.config),
        agent_facing=np.full(2, 4, np.uint8),
        trial_length=np.uint16(1),
        num_trials=np.uint16(num_trials),
    )

    @jax.jit
    def directions(keys: jax.Array, task: Task) -> jax.Array:  # [num_keys, num_trials, A]
        def of_episode(key: jax.Array) -> jax.Array:
            state, _ = env.reset(key, task)

            def next_trial(state: Any, _: None) -> tuple[Any, jax.Array]:
                return env.step(state, jnp.full(2, 6))[0], state.agent_direction

            return jax.lax.scan(next_trial, state, length=num_trials)[1]

        return jax.vmap(of_episode)(keys)

    drawn = np.asarray(directions(jax.random.split(jax.random.key(0), num_keys), task)).reshape(num_keys, -1)
    for column in drawn.T:
        np.testing.assert_allclose(np.bincount(column, minlength=4) / num_keys, 0.25, atol=0.08)
    for a in range(drawn.shape[1]):
        for b in range(a):
            pairs = np.bincount(drawn[:, a] * 4 + drawn[:, b], minlength=16) / num_keys
            np.testing.assert_allclose(pairs, 1 / 16, atol=0.045)


def test_hashes_are_these_for_ever() -> None:
    """Task ids and episodes stand on these values: they may never change."""
    golden = {
        (): 608135816,
        (0,): 166093629,
        (1, 2): 1674912963,
        (2, 1): 4213020536,
        (-1,): 2026954383,
        (7, 0, 0): 1400922481,
        (2**31 - 1, 5): 3495412990,
    }
    assert {words: int(hash_words(*words)) for words in golden} == golden
    assert hash_words(3).dtype == jnp.uint32


def test_hashes_are_the_same_for_all_types_and_batches() -> None:
    words = np.arange(5)
    expected = [int(hash_words(9, int(word))) for word in words]
    for dtype in (np.uint8, np.uint16, np.int32, np.uint32):
        assert np.asarray(jax.jit(hash_words)(9, words.astype(dtype))).tolist() == expected


def test_hashes_are_uniform() -> None:
    hashes = np.asarray(hash_words(jnp.arange(256)[:, None], jnp.arange(256)))
    assert len(np.unique(hashes)) > 65536 - 10  # by chance 0.5 of them would be equal
    for bit in range(32):
        assert abs((hashes >> bit & 1).mean() - 0.5) < 0.01
    counts = np.bincount(np.asarray(below(hashes, 10)).reshape(-1), minlength=10)
    assert len(counts) == 10
    np.testing.assert_allclose(counts / hashes.size, 0.1, atol=0.005)
    neighbours = hashes[:, 1:] ^ hashes[:, :-1]
    assert abs(np.unpackbits(neighbours.view(np.uint8)).mean() - 0.5) < 0.005


# The world


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(example=examples(CONFIGS["two agents, occluded"]))
def test_matter_is_conserved_and_stays_where_it_may(example: Example) -> None:
    """Without looking at the oracle: only rules make objects come and go, and nothing ever stands in a wall."""
    _, _, got = COMPARISON.play(example)
    terrain = example.task.terrain >> 4
    for t in range(len(got["event"])):
        agents = [tuple(cell) for cell in got["agent_position"][t].tolist() if cell[0] >= 0]
        objects = [tuple(cell) for cell in got["object_position"][t].tolist() if cell[0] >= 0]
        held = [slot for slot in got["agent_held"][t].tolist() if slot >= 0]
        assert all(terrain[cell] in (1, 5) for cell in agents)
        assert all(terrain[cell] in (1, 3) for cell in objects)
        assert len(set(agents + objects)) == len(agents + objects)
        assert len(set(held)) == len(held)
        assert len(objects) + len(held) == np.count_nonzero(got["object_kind"][t])
        if t and not got["event"][t] and not got["is_trial_first"][t]:
            assert got["object_kind"][t].tolist() == got["object_kind"][t - 1].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint32, np.int64])
def test_any_integer_type_will_do_for_actions(dtype: type) -> None:
    """What does not fit into 0-6 is noop, and is not cut down to something that does."""
    state, _ = SIMPLE_RESET(jax.random.key(0), make_task(1, SIMPLE))
    noop = SIMPLE_STEP(state, np.array([6], np.int32))
    limits = np.iinfo(np.int32 if dtype == np.int64 else dtype)
    for action in (0, 1, 2, 3, 4, 5, 6):
        expected = SIMPLE_STEP(state, np.array([action], np.int32))
        chex.assert_trees_all_equal(SIMPLE_STEP(state, np.array([action], dtype)), expected)
    for action in (-1, 7, 8, 127, -128, 255, 256, 257, 512 + 1, -(2**31), limits.max):
        if limits.min <= action <= limits.max:
            chex.assert_trees_all_equal(SIMPLE_STEP(state, np.array([action], dtype)), noop)


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"view_size": 4},
            "view_size is 4, which has no middle column for the agent. Write an odd number, such as 5.",
        ),
        ({"view_size": -3}, "view_size is -3; write a whole number from 1 to 15."),
        ({"view_size": 17}, "view_size is 17; write a whole number from 1 to 15."),
        ({"view_size": 5.0}, "view_size is 5.0; write a whole number from 1 to 15."),
        ({"height": 0}, "height is 0; write a whole number from 1 to 127."),
        ({"width": 128}, "width is 128; write a whole number from 1 to 127."),
        ({"num_agents": 0}, "num_agents is 0; write a whole number from 1 to 4."),
        ({"num_agents": 5}, "num_agents is 5; write a whole number from 1 to 4."),
        ({"max_objects": True}, "max_objects is True; write a whole number from 1 to 128."),
        ({"max_rules": "many"}, "max_rules is 'many'; write a whole number from 1 to 254."),
        ({"max_doors": 0}, "max_doors is 0; write a whole number from 1 to 255."),
        ({"goal_clauses": 0}, "goal_clauses is 0; write a whole number from 1 to 255."),
        ({"goal_literals": 0}, "goal_literals is 0; write a whole number from 1 to 255."),
        ({"push": 1}, "push is 1; write True or False."),
        ({"see_through_walls": "no"}, "see_through_walls is 'no'; write True or False."),
        ({"relations": "touch"}, "relations is 'touch'; write a tuple of names, such as ('touch', 'hold')."),
        ({"relations": ("tuch",)}, "relations: 'tuch' is unknown. Did you mean 'touch'?"),
        (
            {"relations": ("touch", "xyz")},
            "relations: 'xyz' is unknown. Write one of: touch, near, hold, see, on.",
        ),
    ],
    ids=str,
)
def test_a_bad_configuration_is_explained(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        EnvConfig(**changes)
    assert str(error.value) == message


def test_every_named_environment_can_be_made() -> None:
    names = xworld.environment_names()
    assert "rooms4-13x13" in names
    assert all(isinstance(xworld.make(name), Env) for name in names)
    assert xworld.make("rooms4-13x13", view_size=7).config == EnvConfig(height=13, width=13, view_size=7)


def test_make_explains_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="No environment is called 'rooms4-13x31'. Did you mean 'rooms4-13x13'?"):
        xworld.make("rooms4-13x31")
    with pytest.raises(ConfigError, match="EnvConfig has no field 'viewsize'. Did you mean 'view_size'?"):
        xworld.make("rooms4-13x13", viewsize=7)
    with pytest.raises(ConfigError, match="view_size is 6, which has no middle column"):
        xworld.make("rooms4-13x13", view_size=6)


def test_register_adds_names_and_refuses_taken_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_NAMED", dict(registry._NAMED))
    xworld.register("mine", SIMPLE)
    assert xworld.make("mine") == Env(SIMPLE)
    assert "mine" in xworld.environment_names()
    with pytest.raises(ConfigError, match="An environment called 'mine' exists already; register yours under another"):
        xworld.register("mine", CONFIG)
    with pytest.raises(ConfigError, match="register takes an EnvConfig, not 'small'."):
        xworld.register("other", "small")
    for name in (5, "", "small:train", "mine.toml", "mine.npz"):
        with pytest.raises(ConfigError, match=f"{name!r} is no name for an environment"):
            xworld.register(name, SIMPLE)
    for name in ("v2", "probes", "two_doors"):
        with pytest.raises(ConfigError, match=f"{name!r} is a test set, or probe tasks"):
            xworld.register(name, SIMPLE)


def test_opposite_directions_of_numbers_and_arrays():
    """North is bit 0, then clockwise."""
    opposite = [int(f"{directions:04b}"[2:] + f"{directions:04b}"[:2], 2) for directions in range(16)]
    assert opposite[0b0001] == 0b0100 and opposite[0b1000] == 0b0010
    assert [opposite_directions(directions) for directions in range(16)] == opposite
    for array in (np.arange(16, dtype=np.uint8), jnp.arange(16, dtype=jnp.uint8)):
        found = opposite_directions(array)
        assert type(found) is type(array) and found.dtype == np.uint8 and found.tolist() == opposite


def test_the_longest_episodes_are_counted_without_overflow():
    most = jnp.full(2, 65_535, jnp.uint16)
    tasks = dataclasses.replace(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), make_task(0)), trial_length=most)
    assert episode_lengths(dataclasses.replace(tasks, num_trials=most)).tolist() == [65_535**2] * 2
