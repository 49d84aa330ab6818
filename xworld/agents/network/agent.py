"""The agent: a network as pure functions of its parameters, with the memory passed in and out.

An agent is told its task once an episode (`encode_briefing`), and then maps what it sees, what it was told and its
memory to action logits, a value and the next memory: one timestep (`step`) or [T, ...] of them (`unroll`). A goal that
changes from trial to trial is part of what it sees.
Arrays have any leading batch axes, then the agent axis A; the A agents share parameters, each has its own memory.
"""

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.encoders import BriefingEncoder, ByteEmbedding, ObservationEncoder, kind_ahead
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory.memory import Memory, empty_memory, make_memory, unroll_in_windows
from xworld.core.config import EnvConfig
from xworld.core.keys import as_key
from xworld.core.step.actions import NOOP, NUM_ACTIONS
from xworld.core.types import Briefing, Observation, TimeStep


class Params(nnx.State[str, Any]):
    """Parameters: a pytree of arrays by the names of a network's layers."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Params":
        """Of the same structure; flax itself takes arrays out of their `nnx.Param`."""
        return jax.tree.map(lambda leaf: copy.deepcopy(leaf, memo), self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Output:
    """What an agent makes of a timestep, or of [T, ...] of them."""

    logits: jax.Array  # [..., A, 7] float32, of the actions
    value: jax.Array  # [..., A] float32, the return it expects, as training normalises returns
    features: jax.Array  # [..., A, M] float32, what the heads read; a head of one's own can read it too
    memory: Memory  # after the last timestep


class Network(nnx.Module):
    """Encoders, memory and heads. Keeps parameters only."""

    def __init__(self, config: AgentConfig, env_config: EnvConfig, rngs: nnx.Rngs):
        """A network of `config`'s sizes for the observations of `env_config`."""
        self.encoder_size, self.kinds_to_memory = config.encoder_size, config.kinds_to_memory
        self.kinds = ByteEmbedding(config, rngs)
        self.observation = ObservationEncoder(config, env_config, rngs)
        self.briefing = BriefingEncoder(config, rngs)
        self.memory = make_memory(config, rngs)
        hidden = nnx.initializers.orthogonal(2**0.5)
        self.policy = Linear(config.memory_size, config.head_size, kernel_init=hidden, rngs=rngs)
        self.value = Linear(config.memory_size, config.head_size, kernel_init=hidden, rngs=rngs)
        # A small last layer: the first policy is nearly uniform.
        small, plain = nnx.initializers.orthogonal(0.01), nnx.initializers.orthogonal(1.0)
        self.policy_output = Linear(config.head_size, NUM_ACTIONS, kernel_init=small, rngs=rngs)
        self.value_output = Linear(config.head_size, 1, kernel_init=plain, rngs=rngs)

    def tell(self, briefing: Briefing) -> jax.Array:
        """[..., A, told_size] the encoded briefing, in the dtype that is computed in."""
        return self.briefing(briefing, self.kinds)

    def encode(self, observation: Observation, told: jax.Array) -> jax.Array:
        """[..., A, input_size] what goes into the memory."""
        if observation.goal is not None:
            told = told + self.briefing.goal_part(observation.goal, self.kinds)
        told, named = told[..., : self.encoder_size], told[..., self.encoder_size :]
        encoded = nnx.relu(self.observation(observation, told, self.kinds) + told)
        if not self.kinds_to_memory:
            return encoded
        named = jnp.broadcast_to(named, (*encoded.shape[:-1], named.shape[-1]))
        held, ahead = self.kinds(observation.held), self.kinds(kind_ahead(observation))
        return jnp.concatenate([encoded, held, ahead, named], axis=-1)

    def decide(self, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logits [..., A, 7] and values [..., A], float32 as everything from the memory's output on."""
        logits = self.policy_output(nnx.relu(self.policy(memory)))
        return logits, self.value_output(nnx.relu(self.value(memory)))[..., 0]


@dataclass(frozen=True)
class Agent:
    """A network's structure with its pure functions; hashable, so it can be a static argument of `jit`."""

    config: AgentConfig
    env_config: EnvConfig
    graphdef: nnx.GraphDef

    def init(self, key: jax.Array) -> Params:
        """Fresh parameters."""
        return Params(nnx.state(Network(self.config, self.env_config, nnx.Rngs(as_key(key)))).raw_mapping)

    def start_memory(self, *batch: int) -> Memory:
        """The empty memory: a pytree of arrays [*batch, A, ...]."""
        return empty_memory(self.config, *batch, self.env_config.num_agents)

    def is_reset(self, timestep: TimeStep) -> jax.Array:
        """[...] bool, whether the memory is emptied before this timestep: at episode starts, never at trial starts.

        With `clear_memory_at_trials` at trial starts as well, which is the control experiment.
        """
        if self.config.clear_memory_at_trials:
            return timestep.is_first | timestep.is_trial_first
        return timestep.is_first

    def encode_briefing(self, params: Params, briefing: Briefing) -> jax.Array:
        """[..., A, told_size] what the agents are told, encoded; constant through an episode."""
        return self._network(params).tell(briefing)

    def step(
        self, params: Params, observation: Observation, told: jax.Array, memory: Memory, is_reset: jax.Array
    ) -> Output:
        """One timestep.

        Args:
          params: from `init`.
          observation: with leading batch axes.
          told: [..., A, told_size] from `encode_briefing`.
          memory: from `start_memory` or the step before.
          is_reset: [...] bool, from `is_reset`.

        Returns:
          The output, with the next memory.
        """
        observation, told, is_reset = jax.tree.map(lambda leaf: leaf[None], (observation, told, is_reset))
        output = self.unroll(params, observation, told, memory, is_reset)
        return Output(output.logits[0], output.value[0], output.features[0], output.memory)

    def unroll(
        self, params: Params, observation: Observation, told: jax.Array, memory: Memory, is_reset: jax.Array
    ) -> Output:
        """[T, ...] timesteps, as `step` one after the other; `memory` is the one before the first."""
        network = self._network(params)
        encoded = network.encode(self._seen(observation, is_reset), told)
        is_reset = jnp.broadcast_to(is_reset[..., None], encoded.shape[:-1])
        window = self.config.gradient_window
        features, memory = unroll_in_windows(network.memory, window, memory, encoded, is_reset)
        return Output(*network.decide(features), features, memory)

    @property
    def reach(self) -> int:
        """How many steps back each layer can look, the present one included; 0 of a memory that does not attend."""
        return self.config.reach

    def attention(
        self, params: Params, observation: Observation, told: jax.Array, memory: Memory, is_reset: jax.Array
    ) -> tuple[jax.Array, jax.Array] | None:
        """Where one timestep looks, with the arguments of `step`; None of a memory that does not attend.

        Returns:
          [..., A, L, H, D] weights for each layer and head, and [..., A, D] int32 how many steps back each is. Weights
          sum to 1, or to less where a head can look at nothing.
        """
        if not self.reach:
            return None
        network = self._network(params)
        module: Any = network.memory  # one that attends
        encoded = network.encode(self._seen(observation, is_reset), told)
        return module.attention(memory, encoded, jnp.broadcast_to(is_reset[..., None], encoded.shape[:-1]))

    def _seen(self, observation: Observation, is_reset: jax.Array) -> Observation:
        """What of an observation the network is given."""
        observation = _forget_last_step(observation, is_reset)
        if not self.config.sees_trial_number:
            nothing = jnp.zeros_like(observation.trial)
            observation = dataclasses.replace(observation, trial=nothing, trials_left=nothing)
        if not self.config.sees_things:
            view = observation.view.at[..., 1:].set(0)  # what stands there, and more about it
            observation = dataclasses.replace(observation, view=view)
        return observation

    def _network(self, params: Params) -> Network:
        return nnx.merge(self.graphdef, params)


def make_agent(config: AgentConfig, env_config: EnvConfig) -> Agent:
    """An agent for environments of `env_config`; `Agent.init` makes its parameters."""
    abstract = nnx.eval_shape(lambda: Network(config, env_config, nnx.Rngs(0)))
    return Agent(config, env_config, nnx.graphdef(abstract))


def resets(agent: Agent, observation: Observation, is_first: jax.Array) -> jax.Array:
    """[...] bool, where an agent empties its memory, by its own `is_reset`, for who has no timestep.

    Args:
      agent: ours, or a network of one's own.
      observation: with leading batch axes.
      is_first: [...] bool, whether an episode begins.
    """
    return agent.is_reset(
        TimeStep(
            observation=observation,
            reward=observation.last_reward,
            discount=jnp.ones(is_first.shape, jnp.float32),
            is_first=is_first,
            # A trial's first view is the only one that has all of its time left.
            is_trial_first=is_first | (observation.time_left == observation.trial_length),
            is_last=jnp.zeros_like(is_first),
            event=jnp.zeros(is_first.shape, jnp.int32),
        )
    )


def _forget_last_step(observation: Observation, is_reset: jax.Array) -> Observation:
    """The observation as at an episode's start: no last action and reward where the memory is emptied.

    At episode starts it is so already. In the control experiment the reward that ended a trial would tell the next.
    """
    return dataclasses.replace(
        observation,
        last_action=jnp.where(is_reset[..., None], jnp.uint8(NOOP), observation.last_action),
        last_reward=jnp.where(is_reset[..., None], 0.0, observation.last_reward),
    )
