"""A short run in a process of its own, on as many devices as it is told: `python devices_worker.py JSON FOLDER`."""

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

from xworld.training import RunConfig, train, use_host_devices
from xworld.training.devices.devices import join_processes


def short_config(**changes: object) -> RunConfig:
    """Four updates of the sanity task, in two chunks."""
    from tiny_rooms import sanity_config

    config = sanity_config()
    steps = 4 * config.steps_per_update
    return dataclasses.replace(
        config, total_steps=steps, updates_per_chunk=2, chunks_per_checkpoint=1, chunks_per_evaluation=2, **changes
    )


def everything() -> dict[str, Any]:
    """A curriculum, a term with a head, a teacher and partners, all of which change what is learned."""
    from seams import Favourites, RandomPartners
    from tiny_rooms import SANITY_TASKS

    from xworld.training.learners.terms.prediction import Prediction

    return {
        "tasks": Favourites.start_with(SANITY_TASKS, 4),
        "terms": (Prediction(), untrained_teacher()),
        "partners": RandomPartners(),
    }


def untrained_teacher(**changes: Any) -> Any:
    """A teacher for runs of `short_config`: smaller than the student, with values that mean something else."""
    import jax
    import numpy as np
    from tiny_rooms import SMALL_AGENT, env_config

    from xworld.agents import make_agent
    from xworld.agents.return_scale import ReturnScale
    from xworld.training.learners.terms.teacher import Teacher, TeachingConfig

    agent = make_agent(dataclasses.replace(SMALL_AGENT, memory_size=16, head_size=16), env_config(side=5))
    shapes, generator = jax.eval_shape(agent.init, jax.random.key(0)), np.random.default_rng(9)
    params = jax.tree.map(lambda leaf: generator.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    scale = ReturnScale(np.float32(0.5), np.float32(4.0), np.float32(1.0))
    return Teacher(params, agent, scale, TeachingConfig(**changes))


def small_curricula() -> dict[str, Any]:
    """Of each kind one for runs of few updates; with `plr` nearly all that is trained on comes from its archive."""
    from xworld.training import AccelConfig, LearnabilityConfig, NoopConfig, PLRConfig, ProgressConfig

    return {
        "plr": PLRConfig(capacity=64, min_filled=4, decay=0.9),
        "noop": NoopConfig(
            num_episodes=2, num_idle_episodes=1, capacity=32, margin=0.0, spread=0.0, num_training_episodes=4
        ),
        "learnability": LearnabilityConfig(capacity=16, updates_per_refresh=2, num_episodes=2),
        "progress": ProgressConfig(capacity=64),
        "accel": AccelConfig(capacity=32, min_filled=4, edited=1.0),
    }


def curriculum_config(name: str = "plr") -> RunConfig:
    """Four updates with one of the small curricula, in two chunks."""
    from tiny_rooms import sanity_config

    curriculum = small_curricula()[name]
    changes = {"updates_per_chunk": 2, "chunks_per_checkpoint": 1, "chunks_per_evaluation": 2}
    config = dataclasses.replace(sanity_config(), curriculum=curriculum, **changes)
    return dataclasses.replace(config, total_steps=4 * config.steps_per_update)


def known_tasks() -> Any:
    """A set of tasks of the sanity task, of episodes that end within a rollout."""
    import jax
    from tiny_rooms import TinyRooms

    from xworld.tasks import TaskSet

    tasks = TinyRooms(side=5, num_candidates=1, trial_length=6, num_trials=2)
    return TaskSet.from_source(tasks, jax.random.key(5), 96)


def two_agents() -> tuple[Any, Any]:
    """An environment for two, with tasks in half of which, of game 1, the second agent is absent: 2 trials of 9."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from xworld.tasks import TaskSet, probes

    probe = probes("joint_production")[0]
    task = probe.task()
    task = dataclasses.replace(task, trial_length=np.uint16(9), num_trials=np.uint16(2))
    alone = dataclasses.replace(task, agent_position=task.agent_position.at[1].set(255))
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), task, alone)
    return probe.config, TaskSet(dataclasses.replace(tasks, game_id=jnp.arange(2, dtype=jnp.int32)))


def pool_config() -> RunConfig:
    """Six updates with a pool that changes before the third and the fifth; an episode outlasts a rollout."""
    from tiny_rooms import SMALL_AGENT

    from xworld.tasks import UniverseConfig
    from xworld.training import PoolConfig, PPOConfig

    config = RunConfig(
        env=two_agents()[0],
        universe=UniverseConfig(trial_length=(9, 9), num_trials=(2, 2)),  # of the tasks, which are given
        agent=dataclasses.replace(SMALL_AGENT, encoder_size=16, memory_size=16, head_size=16),
        learner=PPOConfig(rollout_length=10, num_minibatches=2, num_epochs=1),
        partners=PoolConfig(capacity=2, updates_per_draw=2, draws_per_snapshot=1),
        num_envs=32,
        num_evaluation_tasks=4,
        updates_per_chunk=2,
        chunks_per_checkpoint=1,
        chunks_per_evaluation=3,
    )
    return dataclasses.replace(config, total_steps=6 * config.steps_per_update)


def main() -> None:
    """Trains, or goes on, and stops after the first chunk if told so."""
    options, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    use_host_devices(options["num_devices"])
    if "coordinator" in options:
        join_processes(options["coordinator"], 2, options["process"])
    sys.path.append(str(Path(__file__).parents[1]))
    import conftest  # the compilation cache; it starts jax
    import jax

    assert conftest and jax.device_count() == options["total_devices"]

    def stop(row: dict[str, float]) -> None:
        if options.get("stops") and jax.process_index() == 0:  # the other process has to follow
            signal.raise_signal(signal.SIGTERM)

    if "curriculum" in options:
        config, given = curriculum_config(options["curriculum"]), {"tasks": known_tasks()}
    else:
        config, given = short_config(**options.get("changes", {})), everything()
    if options.get("has_pool", False):
        config, given = pool_config(), {"tasks": two_agents()[1]}
    resume = options.get("resumes", False)
    is_finished = train(config, folder, resume=resume, **given, show_progress=False, on_row=stop)
    assert is_finished != options.get("stops", False)


if __name__ == "__main__":
    main()
