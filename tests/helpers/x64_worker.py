"""Digests of what is drawn, stepped and loaded. `test_x64.py` runs it as a script, with 64 bits allowed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from tiny_rooms import SANITY_TASKS, TinyRooms, env_config, sanity_config

import xworld
from xworld import VectorEnv, agents
from xworld.agents import RandomPolicy, make_agent
from xworld.agents.network.config import MEMORIES
from xworld.base.digest import digest
from xworld.tasks import TaskSet
from xworld.training.run.presets import smoke
from xworld.training.run.trainer import make_trainer


def describe() -> list[str]:
    """Lines that say what is drawn, stepped and loaded."""
    source, vec = TinyRooms(), VectorEnv(xworld.Env(env_config()), 8)
    state, _ = jax.jit(vec.reset)(jax.random.key(0), source)
    actions = jnp.asarray(np.random.default_rng(0).integers(0, 7, (40, 8, 1)), jnp.int32)
    stepped = jax.jit(lambda state, actions: jax.lax.scan(vec.step, state, actions))(state, actions)
    sampled = jax.jit(xworld.make_universe("trivial").sample)(jax.random.key(1))
    tasks = TaskSet(vec.states(state).task)
    drawn = [tasks.sample(jax.random.key(seed)) for seed in range(6)]
    chance = RandomPolicy().act((), jax.random.key(3), vec.states(state), None)[1]
    config = smoke()
    fresh = {
        memory: make_agent(dataclasses.replace(config.agent, memory=memory), config.env).init(jax.random.key(0))
        for memory in MEMORIES
    }
    named = {
        "steps": stepped,
        "sampled": sampled,
        "drawn": drawn,
        "chance": chance,
        "pretrained": agents.load(agents.PRETRAINED).params,
        **fresh,
    }
    return [f"{name} {digest(tree)} {_dtypes(tree)}" for name, tree in named.items()]


def _dtypes(tree: object) -> list[str]:
    return sorted({str(leaf.dtype) for leaf in jax.tree.leaves(tree)})


if __name__ == "__main__":
    print("\n".join(describe()))
    # Tracing an update is enough: a loop whose carry changes its dtype is refused then, and nothing is compiled.
    trainer = make_trainer(sanity_config())
    given = trainer.given(SANITY_TASKS)
    before = jax.eval_shape(trainer.start, given)
    after, _, metrics, _ = jax.eval_shape(trainer.chunk, before, given)
    print(f"trained {_dtypes(after.params)} {_dtypes(metrics)} {_dtypes(before) == _dtypes(after)}")
