"""`FlatLayout`: what an agent sees and is told as one vector of numbers, the same in all adapters."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_bool, check_fields, check_word
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.xla.fusion import apart
from xworld.core.config import MAX_AGENTS, EnvConfig
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.step.goals import told_goal
from xworld.core.types import Briefing, Observation

FORMS = ("flat", "one_hot", "structured")
_BYTE = 255  # the highest code
_MOST_STEPS = 2**16 - 1  # of a trial; also the most trials of an episode
_HALF = 16  # values of half a byte
_NUM_CHOICES = {"direction": 4, "last_action": NUM_ACTIONS, "agent_id": MAX_AGENTS}
COUNTS = ("trial", "trials_left", "time_left", "trial_length")  # fields without an axis of agents


@dataclass(frozen=True)
class Field:
    """A part of the flat observation. Its lowest number is 0."""

    name: str  # of the field of `Observation` or `Briefing`
    start: int  # where it begins in the vector
    shape: tuple[int, ...]  # of the part
    high: int  # the highest number

    @property
    def span(self) -> slice:
        """Where it is in the vector."""
        return slice(self.start, self.start + math.prod(self.shape))


@dataclass(frozen=True)
class FlatLayout:
    """The flat observation of one agent: what is where in it.

    Fields come in the order of `Observation`, then those of `Briefing`: the first part is the same with and without
    the briefing. The goal is in the second part also where it changes from trial to trial. docs/adapters/flat.md has
    the table.

    Raises:
      ConfigError: `config` is no `EnvConfig`, or a switch is no bool.
    """

    config: EnvConfig
    briefing: bool = True  # whether what the agent is told follows what it sees
    one_hot: bool = False  # whether each code becomes 32 zeros and ones: its high half among 16, then its low half

    def __post_init__(self) -> None:
        if not isinstance(self.config, EnvConfig):
            raise ConfigError(f"config is {self.config!r}; write an EnvConfig, such as env.config.")
        check_fields(self, ("briefing", "one_hot"), check_bool)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """By name, in order."""
        config = self.config
        shapes: dict[str, tuple[int, ...]] = {
            "view": (config.view_size, config.view_size, 3),
            "held": (),
            "direction": (),
            "last_action": (),
            "last_reward": (),
            **dict.fromkeys(COUNTS, ()),
        }
        if self.briefing:
            goal = (config.goal_clauses, config.goal_literals, 5)
            shapes |= {"goal": goal, "rules": (config.max_rules, 7), "agent_id": ()}
        found: dict[str, Field] = {}
        start = 0
        for name, shape in shapes.items():
            found[name] = self._field(name, start, shape)
            start = found[name].span.stop
        return found

    def _field(self, name: str, start: int, shape: tuple[int, ...]) -> Field:
        if name == "last_reward":
            return Field(name, start, shape, 1)
        if name in COUNTS:
            return Field(name, start, shape, 1 if self.one_hot else _MOST_STEPS)
        if self.one_hot:
            return Field(name, start, (*shape, _NUM_CHOICES.get(name, 2 * _HALF)), 1)
        return Field(name, start, shape, _NUM_CHOICES.get(name, _BYTE + 1) - 1)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return max(field.span.stop for field in self.fields.values())

    @property
    def high(self) -> np.ndarray:
        """[size] float32, the highest value of each number; the lowest is 0."""
        parts = [np.full(field.shape, field.high, np.float32).reshape(-1) for field in self.fields.values()]
        return np.concatenate(parts)

    def encode(self, observation: Observation, briefing: Briefing | None = None) -> jax.Array:
        """[A, size] float32 of one environment; `jax.vmap` makes it of many.

        Args:
          observation: of one environment.
          briefing: of its task. Only needed where the layout has the briefing.

        Raises:
          ConfigError: it is needed and missing.
        """
        values = {**vars(observation)}
        if self.briefing:
            if briefing is None:
                raise ConfigError("This layout has the briefing: give env.briefing(task) as well, or briefing=False.")
            values |= {**vars(briefing), "goal": told_goal(observation, briefing)}
        if self.one_hot:
            values |= _fractions(observation)
        parts = [self._encode(field, values[field.name]) for field in self.fields.values()]
        # Bytes are put together as bytes, and then made numbers: a CPU moves a fourth as much.
        alike = [list(group) for _, group in groupby(parts, key=lambda part: part.dtype)]
        return jnp.concatenate([_join(group).astype(jnp.float32) for group in alike], axis=-1)

    def _encode(self, field: Field, value: jax.Array) -> jax.Array:
        """[A, n] the numbers of one field."""
        num_agents = self.config.num_agents
        if field.name in COUNTS:
            value = jnp.broadcast_to(value, (num_agents,))
        elif self.one_hot and field.name in _NUM_CHOICES:
            value = value[..., None] == jnp.arange(_NUM_CHOICES[field.name], dtype=value.dtype)
        elif self.one_hot and field.name != "last_reward":
            halves = jnp.stack([value >> 4, value & 15], axis=-1)
            value = halves[..., None] == jnp.arange(_HALF, dtype=value.dtype)
        return value.reshape(num_agents, -1)

    def part(self, flat: jax.Array | np.ndarray, name: str) -> jax.Array | np.ndarray:
        """[..., *shape] the field called `name` of [..., size] flat observations.

        Raises:
          ConfigError: there is none.
        """
        if name not in self.fields:
            raise ConfigError(f"The flat observation has no {name!r}. {did_you_mean(name, self.fields)}")
        found = self.fields[name]
        return flat[..., found.span].reshape(*flat.shape[:-1], *found.shape)


@dataclass(frozen=True)
class Observer:
    """The form in which adapters hand out observations: static, and one for all agents.

    Raises:
      ConfigError: an unknown form, or what `FlatLayout` refuses.
    """

    config: EnvConfig
    form: str = "flat"  # or "one_hot", a vector too; or "structured", a dict of the same fields with their own types
    briefing: bool = True  # whether it has what the agent is told

    def __post_init__(self) -> None:
        check_word("observation", self.form, FORMS)
        FlatLayout(self.config, self.briefing)

    @property
    def is_structured(self) -> bool:
        """Whether observations are dicts."""
        return self.form == "structured"

    @cached_property
    def layout(self) -> FlatLayout:
        """Of the vector; of a dict, names and shapes."""
        return FlatLayout(self.config, self.briefing, one_hot=self.form == "one_hot")

    def dtype(self, name: str) -> np.dtype:
        """Of a field of the dict."""
        return np.dtype(np.int32 if name in COUNTS else np.float32 if name == "last_reward" else np.uint8)

    def observe(self, observation: Observation, briefing: Briefing) -> Any:
        """[A, size] float32, or a dict of [A, ...] arrays, of one environment."""
        if not self.is_structured:
            return self.layout.encode(observation, briefing)
        values = {**vars(observation), **vars(briefing), "goal": told_goal(observation, briefing)}
        found = {name: values[name] for name in self.layout.fields}
        return found | {name: jnp.broadcast_to(found[name], (self.config.num_agents,)) for name in COUNTS}

    def observe_alone(self, observation: Observation, briefing: Briefing) -> Any:
        """`observe` of the only agent: without the axis of agents."""
        return jax.tree.map(lambda leaf: leaf[0], self.observe(observation, briefing))


@apart
def _join(parts: list[jax.Array]) -> jax.Array:
    return jnp.concatenate(parts, axis=-1)


def _fractions(observation: Observation) -> dict[str, jax.Array]:
    """Times and counts as numbers from 0 to 1, by name."""
    num_trials = observation.trial + observation.trials_left + 1
    longest = jnp.log1p(jnp.float32(_MOST_STEPS))
    return {
        "trial": observation.trial / num_trials,
        "trials_left": observation.trials_left / num_trials,
        "time_left": observation.time_left / observation.trial_length,
        "trial_length": jnp.log1p(observation.trial_length.astype(jnp.float32)) / longest,
    }
