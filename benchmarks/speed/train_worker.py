"""Times training and its parts for `train.py`: one setting, in a process of its own, a run at a time.

A step of training is one of the environment, one of the agent that acts, and a share of an update. What each of them
takes is found by timing three compiled functions: training; rollouts alone; and rollouts with an agent that has no
network.
"""

import json
import random
import sys
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import measure
from benchmarks.peer import rulesets
from xworld import Env, VectorEnv
from xworld.agents import AgentConfig, Output, Params, agent_preset
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Briefing, Observation, TaskSource, TimeStep
from xworld.tasks import TaskSet
from xworld.tasks.sets.named import make, make_universe
from xworld.training import PPOConfig, RunConfig
from xworld.training.rollouts.rollout import Actor, collect, start_actor
from xworld.training.run.trainer import make_trainer

GENERATED, RULESETS = "generated", "rulesets"
PEER_SIZE, PEER_PARAMETERS = "GRU 256", "GRU 256, and as many parameters"
# The peer's memory in the agent as it is by default; and with larger encoders and heads, to have the peer's parameters.
_PEER_AGENTS = {
    PEER_SIZE: {"memory_size": 256},
    PEER_PARAMETERS: {"memory_size": 256, "encoder_size": 160, "head_size": 256},
}
PPO = PPOConfig(rollout_length=32, num_epochs=1, num_minibatches=8)  # as XLand-MiniGrid trains
WORLD = rulesets.World(4, 13)
NUM_RULESETS = 1024
TRAINING, ACTING, ENVIRONMENT = "training", "acting", "environment"
_ROLLOUTS = {ACTING: 2, ENVIRONMENT: 10}  # in a run


@dataclass(frozen=True)
class Setting:
    """What is trained, and on how many devices."""

    memory: str
    size: str  # of an agent's preset, or of the peer's
    environments: int
    tasks: str  # `GENERATED` by the universe as training goes on, or those of XLand-MiniGrid's `RULESETS`
    devices: int
    updates: int  # in a run


def main() -> None:
    """Compiles, then runs as often as it is told."""
    setting = Setting(**json.loads(sys.argv[1]))
    measure.use_devices(setting.devices)
    config, tasks = run_config(setting), task_source(setting)
    training = training_case(config, tasks)
    training.run()
    about = {"compile_s": round(training.compile_s, 2), **memory_of(training), "machine": measure.machine()}
    about["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(training.state.params))
    cases = {TRAINING: training} | {name: rollout_case(config, tasks, name) for name in _ROLLOUTS}
    for case in cases.values():
        case.run()
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: case.num_steps / case.run() for name, case in cases.items()}), flush=True)


def run_config(setting: Setting) -> RunConfig:
    """The run, in worlds of four rooms."""
    if setting.size in _PEER_AGENTS:
        agent = AgentConfig(memory=setting.memory, **_PEER_AGENTS[setting.size])
    else:
        agent = agent_preset(setting.size, setting.memory)
    return RunConfig(
        env=rulesets.env_config(WORLD) if setting.tasks == RULESETS else make("rooms4-13x13").config,
        agent=agent,
        learner=PPO,
        num_envs=setting.environments,
        updates_per_chunk=setting.updates,
    )


def task_source(setting: Setting) -> TaskSource:
    """Where tasks come from."""
    if setting.tasks == GENERATED:
        return make_universe("rooms4-13x13")
    draw = random.Random(0)
    drawn = [rulesets.draw_ruleset(draw) for _ in range(NUM_RULESETS)]
    return TaskSet(jax.tree.map(jnp.asarray, rulesets.make_tasks(rulesets.env_config(WORLD), WORLD, drawn)))


def training_case(config: RunConfig, tasks: TaskSource) -> measure.Case:
    """A chunk of updates, as `train` runs it."""
    trainer = make_trainer(config)
    given = trainer.given(tasks)
    state = trainer.start(given)
    num_steps = config.updates_per_chunk * config.steps_per_update
    compiled, seconds = measure.compile_timed({"case": TRAINING}, trainer.chunk, state, given)
    return measure.Case({"case": TRAINING}, num_steps, compiled, seconds, state, given)


def rollout_case(config: RunConfig, tasks: TaskSource, name: str) -> measure.Case:
    """Rollouts by the run's agent, or by none, on all devices; refilled, and put out whole, as in training."""
    devices = jax.device_count()
    agent: Any = make_trainer(config).agent if name == ACTING else _NoAgent()
    vec = VectorEnv(Env(config.env), config.num_envs // devices)

    def start(key: jax.Array, tasks: TaskSource) -> Actor:
        return start_actor(agent, vec, key, tasks)

    def run(carry: tuple[Actor, Params], inputs: tuple[jax.Array, TaskSource]) -> tuple[tuple[Actor, Params], Any]:
        actor, params = carry
        keys, tasks = inputs

        def roll_out(actor: Actor, key: jax.Array) -> tuple[Actor, Any]:
            actor, *outputs = collect(agent, params, vec, actor, key, tasks, config.learner.rollout_length)
            return actor, outputs

        actor, outputs = measure.scan(roll_out, actor, keys)
        return (actor, params), outputs

    start_jit = jax.jit(start)
    actors = [start_jit(key, tasks) for key in jax.random.split(jax.random.key(1), devices)]
    actor = jax.tree.map(lambda *leaves: jnp.stack(leaves), *actors)
    params = jax.jit(agent.init)(jax.random.key(0))
    params, copies = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (devices, *jnp.shape(leaf))), (params, tasks))
    keys = jax.random.split(jax.random.key(2), (devices, _ROLLOUTS[name]))
    return measure.make_case(
        {"case": name}, run, (actor, params), (keys, copies), _ROLLOUTS[name] * config.steps_per_update
    )


def memory_of(case: measure.Case) -> dict[str, float]:
    """Megabytes: the process's peak until now, and what XLA allots on each device to the compiled function."""
    found = {"peak_process_mb": measure.peak_process_mb()}
    analysis = case.compiled.memory_analysis()
    if analysis is not None:
        found["xla_temporary_mb"] = round(analysis.temp_size_in_bytes / 1e6, 1)
        found["xla_arguments_mb"] = round(analysis.argument_size_in_bytes / 1e6, 1)
    return found


@dataclass(frozen=True)
class _NoAgent:
    """In an agent's place: all actions are as likely."""

    def init(self, key: jax.Array) -> Params:
        """No parameters."""
        return jnp.zeros(0)

    def start_memory(self, *batch: int) -> jax.Array:
        """Nothing."""
        return jnp.zeros(batch)

    def is_reset(self, timestep: TimeStep) -> jax.Array:
        """[...] bool."""
        return timestep.is_first

    def encode_briefing(self, params: Params, briefing: Briefing) -> jax.Array:
        """[..., A, 0]: nothing is told."""
        return jnp.zeros((*briefing.agent_id.shape, 0))

    def step(
        self, params: Params, observation: Observation, told: jax.Array, memory: jax.Array, is_reset: jax.Array
    ) -> Output:
        """Logits and values of 0."""
        shape = observation.held.shape
        return Output(jnp.zeros((*shape, NUM_ACTIONS)), jnp.zeros(shape), jnp.zeros((*shape, 0)), memory)


if __name__ == "__main__":
    main()
