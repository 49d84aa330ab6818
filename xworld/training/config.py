"""`RunConfig`: everything that decides what a training run does, and its form as JSON."""

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from xworld.agents import AgentConfig
from xworld.core.config import EnvConfig
from xworld.errors import ConfigError, did_you_mean
from xworld.tasks import UniverseConfig
from xworld.training.ppo import PPOConfig

T = TypeVar("T")


@dataclass(frozen=True)
class RunConfig:
    """A training run. Equal configurations on equal devices give equal parameters.

    Raises:
      ConfigError: a count below 1, or minibatches that do not divide the environments.
    """

    env: EnvConfig = field(default_factory=EnvConfig)
    universe: UniverseConfig = field(default_factory=UniverseConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    seed: int = 0  # of parameters, tasks and actions
    num_envs: int = 256  # on all devices together
    total_steps: int = 20_000_000  # of all environments together; rounded up to whole chunks
    updates_per_chunk: int = 20  # between two looks at the metrics; a chunk runs without the host
    chunks_per_checkpoint: int = 10

    def __post_init__(self) -> None:
        for name in ("num_envs", "total_steps", "updates_per_chunk", "chunks_per_checkpoint"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"RunConfig.{name} is {value!r}; write a whole number of at least 1.")
        self.check_devices(1)

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.ppo.rollout_length

    @property
    def num_chunks(self) -> int:
        """Chunks in the run."""
        return -(-self.total_steps // (self.steps_per_update * self.updates_per_chunk))

    @property
    def num_updates(self) -> int:
        """Updates in the run."""
        return self.num_chunks * self.updates_per_chunk

    def check_devices(self, num_devices: int) -> None:
        """Refuses a number of devices that the environments cannot be shared out to.

        Raises:
          ConfigError: the environments do not divide into equal minibatches on each device.
        """
        parts = num_devices * self.ppo.num_minibatches
        if self.num_envs % parts:
            nearest = -(-self.num_envs // parts) * parts
            raise ConfigError(
                f"{self.num_envs} environments do not divide into {self.ppo.num_minibatches} minibatches on each of "
                f"{num_devices} devices. Make num_envs a multiple of {parts}, such as {nearest}."
            )


def to_json(config: RunConfig) -> str:
    """The configuration as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> RunConfig:
    """The configuration from JSON text. Fields that are left out have their defaults.

    Raises:
      ConfigError: not JSON, an unknown field, or a value that the configuration refuses.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"The configuration is not JSON: {error}.") from error
    return _build(RunConfig, values, "RunConfig")


def differences(one: RunConfig, other: RunConfig) -> list[str]:
    """Lines such as "ppo.clip: 0.2 -> 0.1", one for each field in which two configurations differ."""
    ours, theirs = _flatten(dataclasses.asdict(one)), _flatten(dataclasses.asdict(other))
    return [f"{name}: {ours[name]} -> {theirs[name]}" for name in ours if ours[name] != theirs[name]]


def _build(kind: type[T], values: Any, name: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}; write an object with its fields.")
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{name} has no field {key!r}. {did_you_mean(key, hints)}")
    return kind(**{key: _convert(hints[key], value, f"{name}.{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, name)
    if isinstance(value, list):  # JSON has no tuples, configurations no lists
        return tuple(_convert(None, item, name) for item in value)
    if isinstance(value, dict):
        raise ConfigError(f"{name} is {value!r}; write a value.")
    return value


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
