"""Prompting with a demonstration: somebody else plays the first trial, and the agent goes on from what it saw.

The agent's memory gets every timestep as if it had acted itself: its last action and reward are the demonstrator's.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents.expert.policy import task_hash
from xworld.agents.policy import AgentPolicy, Policy
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.types import Briefing, State, Task, TimeStep


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PromptedPolicy:
    """The agent, after a first trial that the demonstrator plays in the same task."""

    agent: AgentPolicy
    demonstrator: Policy

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[Any, Any]:
        """What both remember."""
        return self.agent.start(key, state, briefing), self.demonstrator.start(key, state, briefing)

    def act(
        self, memory: tuple[Any, Any], key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[tuple[Any, Any], jax.Array]:
        """[A] int32 actions: the demonstrator's in the first trial, then the agent's."""
        of_agent, of_demonstrator = memory
        of_agent, actions = self.agent.act(of_agent, key, state, timestep)
        shown_key = jax.random.fold_in(key, 1)
        of_demonstrator, shown = self.demonstrator.act(of_demonstrator, shown_key, state, timestep)
        is_shown = timestep.observation.trial == 0
        return (of_agent, of_demonstrator), jnp.where(is_shown, shown, actions).astype(jnp.int32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ElsewhereMemory:
    """What is remembered, and the other task as it is shown."""

    agent: tuple[jax.Array, Any]  # what it is told of its own task, and its memory
    told: jax.Array  # [A, ...], what it is told of the other task
    demonstrator: Any
    state: State
    timestep: TimeStep


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PromptedElsewherePolicy:
    """The control: the agent is shown the first trial of another task, while nobody acts in its own.

    What it is told in the meantime is of the other task too. Its own task then seems to be the second trial.
    """

    agent: AgentPolicy
    demonstrator: Policy
    hashes: jax.Array  # [n] uint32, of the tasks that are played
    others: Task  # leaves [n, ...], for each of them the one that is shown, with trials of the same length
    env: Env = field(metadata={"static": True})

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> ElsewhereMemory:
        """What all remember, at the start of the other task."""
        number = (self.hashes == task_hash(state.task)).argmax()
        other = jax.tree.map(lambda leaf: leaf[number], self.others)
        other = dataclasses.replace(other, num_trials=state.task.num_trials)
        other_state, timestep = self.env.reset(jax.random.fold_in(key, 1), other)
        other_briefing = self.env.briefing(other)
        return ElsewhereMemory(
            agent=self.agent.start(key, state, briefing),
            told=self.agent.start(key, other_state, other_briefing)[0],
            demonstrator=self.demonstrator.start(key, other_state, other_briefing),
            state=other_state,
            timestep=timestep,
        )

    def act(
        self, memory: ElsewhereMemory, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[ElsewhereMemory, jax.Array]:
        """[A] int32 actions: noops in the first trial, then the agent's."""
        is_shown = timestep.observation.trial == 0
        # At the boundary the agent is told what its own last step was: the demonstrator's.
        last = memory.timestep.observation
        is_next = timestep.is_trial_first & (timestep.observation.trial == 1)
        own = dataclasses.replace(
            timestep.observation,
            last_action=jnp.where(is_next, last.last_action, timestep.observation.last_action),
            last_reward=jnp.where(is_next, last.last_reward, timestep.observation.last_reward),
        )
        own_timestep = dataclasses.replace(timestep, observation=own)
        seen = jax.tree.map(partial(jnp.where, is_shown), memory.timestep, own_timestep)
        told, remembered = memory.agent
        told_now = jax.tree.map(partial(jnp.where, is_shown), memory.told, told)
        (_, remembered), actions, _, _ = self.agent.decide((told_now, remembered), key, state, seen)

        shown_key = jax.random.fold_in(key, 1)
        demonstrator, shown = self.demonstrator.act(memory.demonstrator, shown_key, memory.state, memory.timestep)
        other_state, other_timestep = self.env.step(memory.state, shown.astype(jnp.int32))
        after = ElsewhereMemory((told, remembered), memory.told, demonstrator, other_state, other_timestep)
        return after, jnp.where(is_shown, NOOP, actions).astype(jnp.int32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RecordedPolicy:
    """Does what was recorded, in every trial the same; nothing when there is no more."""

    actions: jax.Array  # [T, A] uint8

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def act(self, memory: tuple[()], key: jax.Array, state: State, timestep: TimeStep) -> tuple[tuple[()], jax.Array]:
        """[A] actions, by the time in the trial."""
        observation = timestep.observation
        time = observation.trial_length.astype(jnp.int32) - observation.time_left.astype(jnp.int32)
        num_steps = len(self.actions)
        return memory, jnp.where(time < num_steps, self.actions[jnp.minimum(time, num_steps - 1)], NOOP)
