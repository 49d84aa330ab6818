"""What can be evaluated: the `Policy` protocol, and the policies that need no plan."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from xworld.agents.network import distribution
from xworld.agents.network.agent import Agent, Params
from xworld.agents.network.memory.memory import Memory
from xworld.core.step.actions import NOOP, NUM_ACTIONS
from xworld.core.types import Briefing, State, TimeStep

_DRAWN = -1  # in place of a seat


class Policy(Protocol):
    """How one environment is played. Pure; `jax.vmap` it for many. A pytree, so that parameters are data.

    The memory is any pytree of the policy's own. A learned agent looks at the timestep and the briefing only; the
    state is there for scripted policies, which may look at everything.
    """

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> Any:
        """The memory at the start of an episode."""
        ...

    def act(self, memory: Any, key: jax.Array, state: State, timestep: TimeStep) -> tuple[Any, jax.Array]:
        """The next memory, and [A] integer actions."""
        ...


@runtime_checkable
class Decider(Protocol):
    """A policy that says how likely its actions are."""

    def decide(
        self, memory: Any, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[Any, jax.Array, jax.Array, jax.Array]:
        """What `act` gives, and why: the next memory, [A] actions, the [A, 7] logits they are drawn by, [A] values."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RandomPolicy:
    """Every action equally likely, at every step."""

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def act(self, memory: tuple[()], key: jax.Array, state: State, timestep: TimeStep) -> tuple[tuple[()], jax.Array]:
        """[A] uniform actions."""
        return memory, jax.random.randint(key, state.last_action.shape, 0, NUM_ACTIONS, jnp.int32)

    def decide(
        self, memory: tuple[()], key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[tuple[()], jax.Array, jax.Array, jax.Array]:
        """As of a network without parameters."""
        memory, actions = self.act(memory, key, state, timestep)
        return memory, actions, jnp.zeros((*actions.shape, NUM_ACTIONS), jnp.float32), jnp.zeros(actions.shape)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NoopPolicy:
    """Does nothing: what a task pays by itself."""

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def act(self, memory: tuple[()], key: jax.Array, state: State, timestep: TimeStep) -> tuple[tuple[()], jax.Array]:
        """[A] noops."""
        return memory, jnp.full(state.last_action.shape, NOOP, jnp.int32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AgentPolicy:
    """A trained agent. It gets the timestep and, once an episode, the briefing; never the state."""

    params: Params
    agent: Agent = field(metadata={"static": True})
    is_greedy: bool = field(default=False, metadata={"static": True})  # the likeliest action, or one drawn
    clear_memory_at_trials: bool = field(default=False, metadata={"static": True})  # forgets at every trial's start

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[jax.Array, Memory]:
        """The encoded briefing and the empty memory."""
        return self.agent.encode_briefing(self.params, briefing), self.agent.start_memory()

    def act(
        self, memory: tuple[jax.Array, Memory], key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[tuple[jax.Array, Memory], jax.Array]:
        """[A] actions by the agent's logits."""
        memory, actions, _, _ = self.decide(memory, key, state, timestep)
        return memory, actions

    def decide(
        self, memory: tuple[jax.Array, Memory], key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[tuple[jax.Array, Memory], jax.Array, jax.Array, jax.Array]:
        """What `act` gives, and why: the next memory, [A] actions, [A, 7] logits and [A] values."""
        told, memory_ = memory
        is_reset = self.agent.is_reset(timestep)
        if self.clear_memory_at_trials:
            is_reset |= timestep.is_trial_first
        output = self.agent.step(self.params, timestep.observation, told, memory_, is_reset)
        actions = output.logits.argmax(-1) if self.is_greedy else distribution.sample(key, output.logits)
        return (told, output.memory), actions, output.logits, output.value


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PairedMemory:
    """What is remembered in an episode."""

    player: Any
    partner: Any
    seat: jax.Array  # [] int32, the player's


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PairedPolicy:
    """The player in one seat, the partner in all others. Each has a memory and a chance of its own.

    In a task for one the player has the only seat that is taken.
    """

    player: Policy
    partner: Policy
    seat: jax.Array = field(default_factory=lambda: jnp.int32(_DRAWN))  # [] int32, the player's; or drawn each episode

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> PairedMemory:
        """What both remember, and who sits where."""
        is_taken = state.task.is_present
        drawn = jnp.where(is_taken, jax.random.uniform(jax.random.fold_in(key, 1), is_taken.shape, jnp.float32), -1)
        asked = is_taken & (jnp.arange(is_taken.shape[0]) == self.seat)
        seat = jnp.where(asked.any(), asked, drawn).argmax().astype(jnp.int32)
        return PairedMemory(
            player=self.player.start(key, state, briefing),
            partner=self.partner.start(jax.random.fold_in(key, 2), state, briefing),
            seat=seat,
        )

    def act(
        self, memory: PairedMemory, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[PairedMemory, jax.Array]:
        """[A] int32 actions: the player's in its seat, the partner's elsewhere."""
        of_player, actions = self.player.act(memory.player, key, state, timestep)
        other_key = jax.random.fold_in(key, 1)
        of_partner, theirs = self.partner.act(memory.partner, other_key, state, timestep)
        is_own = jnp.arange(actions.shape[0]) == memory.seat
        return PairedMemory(of_player, of_partner, memory.seat), jnp.where(is_own, actions, theirs).astype(jnp.int32)
