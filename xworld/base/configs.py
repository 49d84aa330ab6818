"""Frozen configurations as JSON and back, and what tells two of them apart."""

import dataclasses
import json
import typing
from typing import Any, TypeVar

from xworld.base.errors import ConfigError, did_you_mean

T = TypeVar("T")


def to_json(config: Any) -> str:
    """A configuration, which is a dataclass of plain values, tuples and configurations, as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(kind: type[T], text: str) -> T:
    """The configuration of a kind from JSON text. Fields that are left out have their defaults.

    Raises:
      ConfigError: not JSON, an unknown field, a missing one without a default, or a value that the kind refuses.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"The configuration is not JSON: {error}.") from error
    return _build(kind, values, kind.__name__)


def differences(one: T, other: T) -> list[str]:
    """Lines such as "learner.clip: 0.2 -> 0.1", one for each field in which two configurations of a kind differ."""
    ours, theirs = (_flatten(dataclasses.asdict(typing.cast(Any, config))) for config in (one, other))
    return [f"{name}: {ours[name]} -> {theirs[name]}" for name in ours if ours[name] != theirs[name]]


def _build(kind: type[T], values: Any, name: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}; write an object with its fields.")
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{name} has no field {key!r}. {did_you_mean(key, hints)}")
    for field in dataclasses.fields(typing.cast(Any, kind)):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in values and not has_default:
            raise ConfigError(f"{name} has no {field.name!r}; write it.")
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
