"""`LoadedAgent`: a trained agent for anyone's loop, which keeps its memory itself."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents.network import distribution
from xworld.agents.network.agent import Agent, Params, resets
from xworld.agents.network.config import AgentConfig
from xworld.agents.network.memory.memory import Memory
from xworld.agents.return_scale import ReturnScale
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.keys import as_key
from xworld.core.types import Briefing, Observation


class LoadedAgent:
    """An agent with its parameters, in an episode: `start` when one begins, then `act` at every timestep.

    Not for `jit`: compiled loops use `agent` and `params` (see `Agent.step`). Briefings and observations may have
    leading batch axes; episodes then begin together.
    """

    def __init__(
        self,
        agent: Agent,
        params: Params,
        return_scale: ReturnScale | None = None,
        env_config: EnvConfig | None = None,
    ):
        """Not in an episode yet.

        Args:
          agent: ours, or a network of one's own with the methods of `Agent`.
          params: of the agent.
          return_scale: how its values become returns; without it they stay as they are.
          env_config: the environments it was trained in; by default `agent.env_config`.
        """
        self.agent, self.params, self.return_scale = agent, params, return_scale
        self._env_config = agent.env_config if env_config is None else env_config
        self._key = jax.random.key(0)
        self._batch: tuple[int, ...] = ()
        self._is_greedy = False
        self._episode: _Episode | None = None
        self._decision: _Decision | None = None

    @property
    def config(self) -> AgentConfig:
        """Sizes of its network."""
        return self.agent.config

    @property
    def env_config(self) -> EnvConfig:
        """The environments it was made for."""
        return self._env_config

    def start(self, briefing: Briefing, key: jax.Array | None = None, *, is_greedy: bool = False) -> None:
        """Begins an episode: the memory is emptied, and the agents are told their task.

        Args:
          briefing: from `Env.briefing`, for each of A agents.
          key: decides the actions that are drawn. By default every episode has a new one, in an order that is the same
            whenever the agent is loaded.
          is_greedy: whether to take the likeliest action instead of drawing one.

        Raises:
          ConfigError: the briefing is for another number of agents.
        """
        *batch, num_agents = np.shape(briefing.agent_id) or (0,)
        if num_agents != self.env_config.num_agents:
            raise ConfigError(
                f"The briefing is for {num_agents} agents, but {self.env_config.num_agents} were trained. Use "
                "environments of the agent's env_config."
            )
        if key is None:
            self._key, key = jax.random.split(self._key)
        self._batch, self._is_greedy, self._decision = tuple(batch), is_greedy, None
        self._episode = _begin(self.agent, self.params, briefing, as_key(key))

    def act(self, observation: Observation) -> np.ndarray:
        """[A] int32 actions at the next timestep of the episode, the first being the one of `Env.reset`.

        Raises:
          ConfigError: `start` was not called, or the observation is one of another environment.
        """
        if self._episode is None:
            raise ConfigError("The agent is in no episode. Call start(briefing) before act(observation).")
        self._check_shapes(observation)
        self._episode, decision = _act(self.agent, self.params, self._episode, observation, self._is_greedy)
        self._decision = decision
        return np.asarray(decision.actions)

    @property
    def value(self) -> np.ndarray:
        """[A] float32 of the last `act`: the discounted return that it expected.

        In units of reward, or as training normalised returns if the agent was saved without its `return_scale`.
        """
        value = self._last_decision().value
        return np.asarray(value if self.return_scale is None else self.return_scale.to_returns(value))

    @property
    def probabilities(self) -> np.ndarray:
        """[A, 7] float32 of the last `act`: how likely each action was to be drawn."""
        return np.asarray(self._last_decision().probabilities)

    def _last_decision(self) -> "_Decision":
        if self._decision is None:
            raise ConfigError("The agent has not acted in this episode. Call act(observation) first.")
        return self._decision

    def _check_shapes(self, observation: Observation) -> None:
        one, view = (*self._batch, self.env_config.num_agents), self.env_config.view_size
        of_agents = {name: one for name in ("held", "direction", "last_action", "last_reward")}
        of_all = {name: self._batch for name in ("trial", "trials_left", "time_left", "trial_length")}
        for name, expected in ({"view": (*one, view, view, 3)} | of_agents | of_all).items():
            shape = np.shape(getattr(observation, name))
            if shape != expected:
                raise ConfigError(
                    f"Observation.{name} has shape {list(shape)}, but the agent's are {list(expected)}. Use "
                    "environments of the agent's env_config, as many as start was given briefings."
                )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Episode:
    """What is kept from step to step."""

    told: jax.Array  # [..., A, told_size]
    memory: Memory
    is_first: jax.Array  # [] bool, whether no step was taken
    key: jax.Array  # [] random key


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Decision:
    actions: jax.Array  # [..., A] int32
    value: jax.Array  # [..., A] float32
    probabilities: jax.Array  # [..., A, 7] float32


@functools.partial(jax.jit, static_argnums=0)
def _begin(agent: Agent, params: Params, briefing: Briefing, key: jax.Array) -> _Episode:
    batch = briefing.agent_id.shape[:-1]
    return _Episode(agent.encode_briefing(params, briefing), agent.start_memory(*batch), jnp.bool(True), key)


@functools.partial(jax.jit, static_argnums=0)
def _act(
    agent: Agent, params: Params, episode: _Episode, observation: Observation, is_greedy: bool
) -> tuple[_Episode, _Decision]:
    time_left = jnp.asarray(observation.time_left)
    is_reset = resets(agent, observation, jnp.broadcast_to(episode.is_first, time_left.shape))
    output = agent.step(params, observation, episode.told, episode.memory, is_reset)
    key, sample_key = jax.random.split(episode.key)
    likeliest = output.logits.argmax(-1).astype(jnp.int32)
    actions = jnp.where(is_greedy, likeliest, distribution.sample(sample_key, output.logits))
    after = _Episode(episode.told, output.memory, jnp.bool(False), key)
    return after, _Decision(actions, output.value, jax.nn.softmax(output.logits))
