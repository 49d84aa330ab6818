"""Tabular learners: each learns one task from what happens to it, between trials; nothing else changes what it does.

They are policies whose memory is what they have learned, so that thousands of them play side by side, and so that the
stream of one, played to it again, gives the same probabilities: what they do follows from their history.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents.network import distribution
from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NOOP, NUM_ACTIONS, PUT_DOWN
from xworld.core.types import Briefing, State, TimeStep

_NEVER = -1e9  # the logit of what is not done
_ALL = 2**30  # more trials than there are


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Life:
    """What a learner has learned, and its trial so far. There are P places and N actions that it tells apart."""

    table: jax.Array  # [P, N] float32: values of actions, or logits
    baseline: jax.Array  # [P] float32: values of places; [0] of those who have none
    places: jax.Array  # [T] int32, where it was at the trial's steps
    actions: jax.Array  # [T] int32, which of its actions it took, or -1 for another one
    rewards: jax.Array  # [T] float32, that came after them
    time: jax.Array  # [] int32, steps of the trial so far


@dataclass(frozen=True)
class Tabular:
    """What all tabular learners have in common. Hashable and static; the first agent learns, others do nothing.

    A place is a cell, a direction, whether the hand is full, and whether the last step was paid.

    Raises:
      ConfigError: a value out of range.
    """

    height: int  # rows of the grid
    width: int
    max_trial_length: int  # at least that of the tasks: what happens after so many steps is not learned from
    actions: tuple[int, ...] = tuple(range(PUT_DOWN + 1))  # what it may do
    learning_rate: float = 0.3
    discount: float = 0.9  # per step; trials end it
    lambda_: float = 0.8  # of returns: 1 for what was earned, 0 for one step and what the table says of the next
    temperature: float = 0.1  # of the choice between actions, in the first trial ...
    final_temperature: float = 0.1  # ... and at last
    epsilon: float = 0.0  # share of the actions that are drawn uniformly, in the first trial ...
    final_epsilon: float = 0.0  # ... and at last
    num_annealed: int = 1  # trials until the last values are reached
    num_learned: int | None = None  # trials that it learns from; after them it does what it thinks best

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner=type(self).__name__)
        check(("height", "width", "max_trial_length", "num_annealed"), partial(check_whole, low=1))
        check(("temperature", "final_temperature"), partial(check_number, low=0, excludes_low=True))
        check(
            ("learning_rate", "discount", "lambda_", "epsilon", "final_epsilon"), partial(check_number, low=0, high=1)
        )
        if self.num_learned is not None:
            check(("num_learned",), partial(check_whole, low=0))
        if not self.actions or len(set(self.actions)) < len(self.actions):
            raise ConfigError(f"{type(self).__name__}.actions is {self.actions}; write different actions from 0 to 6.")
        for action in self.actions:
            check_whole(f"An action of {type(self).__name__}", action, 0, NUM_ACTIONS - 1)

    @property
    def num_places(self) -> int:
        """P."""
        return self.height * self.width * 4 * 2 * 2

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> Life:
        """Knows nothing."""
        steps = jnp.zeros(self.max_trial_length, jnp.int32)
        table = jnp.zeros((self.num_places, len(self.actions)), jnp.float32)
        return Life(table, self.first_baseline(), steps, steps, steps.astype(jnp.float32), jnp.int32(0))

    def act(self, memory: Life, key: jax.Array, state: State, timestep: TimeStep) -> tuple[Life, jax.Array]:
        """[A] actions; what was learned from the last trial counts from the first step on."""
        memory, actions, _, _ = self.decide(memory, key, state, timestep)
        return memory, actions

    def decide(
        self, memory: Life, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[Life, jax.Array, jax.Array, jax.Array]:
        """What `act` gives, and why: the next memory, [A] actions, [A, 7] logits and [A] zeros for values."""
        life = self._observe(memory, timestep)
        is_over = timestep.is_trial_first & ~timestep.is_first
        has_learned = timestep.observation.trial > (_ALL if self.num_learned is None else self.num_learned)
        temperature = self.temperature_in(timestep.observation.trial - 1)  # of the trial that is over
        table, baseline = self._learn(life, is_over & ~has_learned, temperature)
        time = jnp.where(is_over, 0, life.time)
        place = self.place(state, timestep)
        places = life.places.at[time].set(place, mode="drop")
        logits = self.logits(table[place], timestep.observation.trial)
        num_agents = state.last_action.shape[0]
        of_all = jnp.full((num_agents, NUM_ACTIONS), _NEVER).at[:, NOOP].set(0).at[0].set(logits)
        actions = distribution.sample(key, of_all)
        life = Life(table, baseline, places, life.actions, life.rewards, time + 1)
        return life, actions, of_all, jnp.zeros(num_agents, jnp.float32)

    def place(self, state: State, timestep: TimeStep) -> jax.Array:
        """[] int32, which of the P places it is at."""
        row, column = state.scene.agent_row[0].astype(jnp.int32), state.scene.agent_column[0].astype(jnp.int32)
        pose = (row * self.width + column) * 4 + state.scene.agent_direction[0]
        is_paid = (timestep.reward[0] > 0) & ~timestep.is_trial_first
        return (pose * 2 + (timestep.observation.held[0] > 0)) * 2 + is_paid

    def logits(self, row: jax.Array, trial: jax.Array) -> jax.Array:
        """[7] float32 logits of all actions, from the [N] row of a place, in a trial."""
        temperature = self.temperature_in(trial)
        epsilon = self.epsilon + self._share(trial) * (self.final_epsilon - self.epsilon)
        if self.num_learned is not None:
            best = jax.nn.one_hot(row.argmax(), len(self.actions))
            row = jnp.where(trial >= self.num_learned, -_NEVER * temperature * best, row)
            epsilon = jnp.where(trial >= self.num_learned, 0, epsilon)
        chosen = jnp.log((1 - epsilon) * jax.nn.softmax(row / temperature) + epsilon / len(self.actions) + 1e-30)
        return jnp.full(NUM_ACTIONS, _NEVER).at[jnp.array(self.actions)].set(chosen)

    def temperature_in(self, trial: jax.Array) -> jax.Array:
        """[] float32, of the choice between actions in a trial."""
        return self.temperature * (self.final_temperature / self.temperature) ** self._share(trial)

    def _share(self, trial: jax.Array) -> jax.Array:
        """[] float32, how far a trial is on the way from the first values to the last."""
        return jnp.clip(trial / self.num_annealed, 0, 1).astype(jnp.float32)

    def first_baseline(self) -> jax.Array:
        """[P] or [0] float32, what places are worth at first."""
        return jnp.zeros(0, jnp.float32)

    def improve(
        self,
        tables: tuple[jax.Array, jax.Array],
        place: jax.Array,
        action: jax.Array,
        return_: jax.Array,
        weight: Any,
        temperature: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """The table and the baseline once it is known what followed an action; as they are where `weight` is 0.

        The action was drawn at this temperature.
        """
        raise NotImplementedError

    def worth(self, tables: tuple[jax.Array, jax.Array], place: jax.Array) -> jax.Array:
        """[] float32, what the tables say that a place is worth."""
        raise NotImplementedError

    def _observe(self, life: Life, timestep: TimeStep) -> Life:
        """The trial with what was done last, and what came of it."""
        number = jnp.full(NUM_ACTIONS, -1).at[jnp.array(self.actions)].set(jnp.arange(len(self.actions)))
        last = jnp.where(life.time > 0, life.time - 1, self.max_trial_length)  # nothing at the start
        return Life(
            table=life.table,
            baseline=life.baseline,
            places=life.places,
            actions=life.actions.at[last].set(number[timestep.observation.last_action[0]], mode="drop"),
            rewards=life.rewards.at[last].set(timestep.observation.last_reward[0], mode="drop"),
            time=life.time,
        )

    def _learn(self, life: Life, is_over: jax.Array, temperature: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The tables after a trial, of which the last step is learned from first; as they were until it is over."""

        def learn(carry: Any, time: jax.Array) -> tuple[Any, None]:
            tables, return_, following = carry
            is_step = is_over & (time < life.time)
            place, action = life.places[time], life.actions[time]
            ahead = (1 - self.lambda_) * following + self.lambda_ * return_
            return_ = jnp.where(is_step, life.rewards[time] + self.discount * ahead, 0)
            weight = (is_step & (action >= 0)).astype(jnp.float32)
            tables = self.improve(tables, place, jnp.maximum(action, 0), return_, weight, temperature)
            return (tables, return_, jnp.where(is_step, self.worth(tables, place), 0)), None

        carry = (life.table, life.baseline), jnp.float32(0), jnp.float32(0)
        return jax.lax.scan(learn, carry, jnp.arange(self.max_trial_length)[::-1])[0][0]


@jax.tree_util.register_static
@dataclass(frozen=True)
class QLearner(Tabular):
    """Q(lambda), Peng's: learns what actions are worth, and mostly takes the best."""

    def improve(
        self,
        tables: tuple[jax.Array, jax.Array],
        place: jax.Array,
        action: jax.Array,
        return_: jax.Array,
        weight: Any,
        temperature: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """A step towards the return."""
        table, baseline = tables
        error = return_ - table[place, action]
        return table.at[place, action].add(weight * self.learning_rate * error), baseline

    def worth(self, tables: tuple[jax.Array, jax.Array], place: jax.Array) -> jax.Array:
        """That of the best action."""
        return tables[0][place].max()


@jax.tree_util.register_static
@dataclass(frozen=True)
class ActorCritic(Tabular):
    """A softmax policy that learns by its gradient, with a table of values; REINFORCE with a baseline at lambda 1.

    Raises:
      ConfigError: a value out of range, or a share of uniform actions, of which the gradient knows nothing.
    """

    learning_rate: float = 0.2
    baseline_rate: float = 0.2
    lambda_: float = 1.0
    temperature: float = 1.0
    final_temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ["baseline_rate"], partial(check_number, low=0, high=1), type(self).__name__)
        for name in ("epsilon", "final_epsilon"):
            if getattr(self, name):
                raise ConfigError(
                    f"ActorCritic.{name} is {getattr(self, name)}, but it learns by the gradient of its softmax policy "
                    "alone. Write 0, and a higher temperature for more chance."
                )

    def first_baseline(self) -> jax.Array:
        """Nothing is worth anything."""
        return jnp.zeros(self.num_places, jnp.float32)

    def improve(
        self,
        tables: tuple[jax.Array, jax.Array],
        place: jax.Array,
        action: jax.Array,
        return_: jax.Array,
        weight: Any,
        temperature: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """A step up the gradient of the action's log-probability, as large as the return surprises."""
        table, baseline = tables
        surprise = weight * (return_ - baseline[place])
        chosen, chances = jax.nn.one_hot(action, len(self.actions)), jax.nn.softmax(table[place] / temperature)
        gradient = (chosen - chances) / temperature
        table = table.at[place].add(self.learning_rate * surprise * gradient)
        return table, baseline.at[place].add(self.baseline_rate * surprise)

    def worth(self, tables: tuple[jax.Array, jax.Array], place: jax.Array) -> jax.Array:
        """That of the place."""
        return tables[1][place]


def check_one_agent(config: EnvConfig) -> None:
    """Raises ConfigError unless there is one agent only: another one would be in the learner's world, and not seen."""
    if config.num_agents != 1:
        raise ConfigError(f"A learner learns alone, and the environment has {config.num_agents} agents. Take one of 1.")
