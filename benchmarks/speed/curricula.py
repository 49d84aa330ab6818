"""What a curriculum's own computation costs beside a training step: bookkeeping and draws, not what it tries out.

    python -m benchmarks.speed.curricula --preset s

In one process on one device, in turn: a training update with uniform tasks; and for each curriculum its bookkeeping of
an update (it follows a rollout and is updated; if it searches, it follows what was tried out and judges it), and the
draw of a task for each environment, from full archives. Arrays have the run's shapes; most hold zeros, which change no
time.
"""

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import measure
from xworld.core.env import Env
from xworld.core.vector import VectorEnv
from xworld.tasks import Universe
from xworld.tasks.variants.anatomy import task_info
from xworld.training import CURRICULA, PRESETS, RunConfig, Search, make_trainer
from xworld.training.rollouts.episodes import Tally
from xworld.training.rollouts.rollout import collect, start_actor
from xworld.training.rollouts.try_out import note, play_scouts, start_scouts

MOST = 0.05  # of a training step


def main() -> None:
    """Measures, and writes a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="s", choices=PRESETS)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "curricula.json")
    arguments = parser.parse_args()
    measure.use_devices(1)
    config = dataclasses.replace(PRESETS[arguments.preset](), updates_per_chunk=1)
    calls = {"training update": _training(config), "columns of tasks: bookkeeping": _columns(config)}
    for name in CURRICULA:
        if name != "uniform":
            calls |= _of_curriculum(name, config)
    seconds = measure.time_in_turn(calls, arguments.repetitions)
    found = {name: measure.summary(values, 6) for name, values in seconds.items()}
    update = found["training update"]["median"]
    shares = {name: round(of["median"] / update, 4) for name, of in found.items() if name.endswith("bookkeeping")}
    bars = [
        {"bar": f"{name}, share of an update", "value": share, "limit": MOST, "is_met": share <= MOST}
        for name, share in shares.items()
    ]
    about = {"benchmark": "curricula", "machine": measure.machine(), "preset": arguments.preset}
    measure.write(arguments.output, about | {"seconds": found, "bars": bars})


def _training(config: RunConfig) -> Callable[[], Any]:
    """An update with uniform tasks."""
    trainer = make_trainer(config)
    given = trainer.given(Universe(config.env, config.universe))
    state = trainer.start(given)
    compiled, _ = measure.compile_timed({"case": "training update"}, trainer.chunk, state, given)

    def update() -> Any:
        nonlocal state
        state, _, metrics, _ = compiled(state, given)
        return state, metrics

    return update


def _columns(config: RunConfig) -> Callable[[], Any]:
    """What is read off the tasks that are trained on, for the columns that every run has."""
    universe = Universe(config.env, config.universe)
    _, rollout = _zeros(partial(_rollout, config, universe), jax.random.key(0))
    tasks = rollout.context.tasks
    compiled, _ = measure.compile_timed(
        {"case": "columns of tasks"}, jax.jit(lambda tasks: [jax.vmap(task_info)(part) for part in tasks]), tasks
    )
    return lambda: compiled(tasks)


def _of_curriculum(name: str, config: RunConfig) -> dict[str, Callable[[], Any]]:
    """A curriculum's bookkeeping of an update, and its draws."""
    config = dataclasses.replace(config, curriculum=CURRICULA[name]())
    universe = Universe(config.env, config.universe)
    curriculum: Any = config.curriculum.make(universe, config.sizes)
    carry, rollout = _zeros(partial(_rollout, config, universe), jax.random.key(0))
    signals = {"td_error": rollout.steps.reward}
    search, key = config.search, jax.random.key(1)
    scouting = () if search is None else _zeros(partial(_scouting, config, curriculum, search), key)

    def keep_books(curriculum: Any, carry: Any, rollout: Any, scouting: Any) -> Any:
        carry, seen = curriculum.follow(carry, rollout, signals)
        after = curriculum.update(key, seen)
        if search is not None:
            scouts, tried_rollout = scouting
            scouts, tried = note(scouts, tried_rollout, tried_rollout.steps.reward)
            return carry, scouts.tally, after.judge(key, tried)
        return carry, after

    def draw(curriculum: Any, keys: jax.Array) -> Any:
        return jax.vmap(curriculum.sample)(keys)

    keys = jax.random.split(key, config.num_envs)
    full = jax.tree.map(jnp.asarray, _filled(curriculum))
    inputs = curriculum, carry, rollout, scouting
    books, _ = measure.compile_timed({"case": name, "what": "bookkeeping"}, jax.jit(keep_books), *inputs)
    draws, _ = measure.compile_timed({"case": name, "what": "draw"}, jax.jit(draw), full, keys)
    return {f"{name}: bookkeeping": lambda: books(*inputs), f"{name}: draw": lambda: draws(full, keys)}


def _filled(curriculum: Any) -> Any:
    """The curriculum with all places of its archives taken."""

    def fill(part: Any) -> Any:
        return dataclasses.replace(part, score=jnp.zeros_like(part.score)) if hasattr(part, "born") else part

    parts = {field.name: fill(getattr(curriculum, field.name)) for field in dataclasses.fields(curriculum)}
    if "weights" in parts:
        parts["weights"] = jnp.ones_like(parts["weights"])
    return type(curriculum)(**parts)


def _rollout(config: RunConfig, universe: Universe, key: jax.Array) -> Any:
    """What a curriculum carries, and a rollout."""
    agent, vec = make_trainer(config).agent, VectorEnv(Env(config.env), config.num_envs)
    actor = start_actor(agent, vec, key, universe)
    length = config.learner.rollout_length
    _, rollout, _ = collect(agent, agent.init(key), vec, actor, key, universe, length)
    return Tally.start(config.num_envs), rollout


def _scouting(config: RunConfig, curriculum: Any, search: Search, key: jax.Array) -> Any:
    """Who tries tasks out, and a rollout of theirs."""
    agent, vec = make_trainer(config).agent, VectorEnv(Env(config.env), search.num_envs, search.num_episodes)

    class Proposals:
        sample = staticmethod(curriculum.propose)

    scouts = start_scouts(agent, vec, key, Proposals(), search)
    return play_scouts(agent, agent.init(key), vec, scouts, key, Proposals(), search)


def _zeros(function: Callable[..., Any], *arguments: Any) -> Any:
    """Arrays of the shapes that a function gives, which is not run."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, *arguments))


if __name__ == "__main__":
    main()
