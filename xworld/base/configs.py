"""Frozen configurations as JSON and back, and what tells two of them apart."""

import dataclasses
import json
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.files import parse_json

T = TypeVar("T")

_KIND = "kind"  # in JSON


@dataclass(frozen=True, eq=False)
class OneOf:
    """Marks a field that has a configuration of one of several kinds, as `Annotated[Shape, OneOf(SHAPES)]`.

    In JSON the kind's name stands beside its fields: {"kind": "circle", "radius": 1}. One without it is of the kind of
    the field's default.
    """

    kinds: Mapping[str, type]  # by name; looked at when it is needed, so that kinds can be added

    def name_of(self, config: Any, where: str) -> str:
        """The name of a configuration's kind.

        Raises:
          ConfigError: it is of none of the kinds.
        """
        for name, kind in self.kinds.items():
            if type(config) is kind:
                return name
        known = ", ".join(kind.__name__ for kind in self.kinds.values())
        raise ConfigError(f"{where} is {config!r}; write one of: {known}.")


def as_dict(config: Any) -> dict[str, Any]:
    """A configuration, which is a dataclass of plain values, tuples and configurations, as JSON types."""
    hints, values = typing.get_type_hints(type(config), include_extras=True), dict[str, Any]()
    for field in dataclasses.fields(config):
        value, one_of = getattr(config, field.name), _one_of(hints[field.name])
        tag = {} if one_of is None else {_KIND: one_of.name_of(value, f"{type(config).__name__}.{field.name}")}
        values[field.name] = tag | as_dict(value) if dataclasses.is_dataclass(value) else value
    return values


def to_json(config: Any) -> str:
    """A configuration as JSON text."""
    return json.dumps(as_dict(config), indent=2) + "\n"


def from_json(kind: type[T], text: str) -> T:
    """The configuration of a kind from JSON text. Fields that are left out have their defaults.

    Raises:
      ConfigError: not JSON, an unknown field, a missing one without a default, or a value that the kind refuses.
    """
    return _build(kind, parse_json(text), kind.__name__)


def differences(one: T, other: T) -> list[str]:
    """Lines such as "learner.clip: 0.2 -> 0.1", one for each field in which two configurations of a kind differ.

    Of parts of different kinds that is the kind alone, and what both have.
    """
    ours, theirs = (_flatten(as_dict(config)) for config in (one, other))
    both = [name for name in ours if name in theirs]
    return [f"{name}: {ours[name]} -> {theirs[name]}" for name in both if ours[name] != theirs[name]]


def class_name(thing: object) -> str:
    """Module and name of its class, the same whether the module was imported or run as a script."""
    kind = type(thing)
    module = kind.__module__
    if module == "__main__":
        main = sys.modules[module]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec is not None else Path(file).stem if file is not None else module
    return f"{module}.{kind.__qualname__}"


def _build(kind: type[T], values: Any, name: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}; write an object with its fields.")
    hints = typing.get_type_hints(kind, include_extras=True)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{name} has no field {key!r}. {did_you_mean(key, hints)}")
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    for key, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if key not in values and not has_default:
            raise ConfigError(f"{name} has no {key!r}; write it.")
    return kind(**{key: _convert(hints[key], value, f"{name}.{key}", fields[key]) for key, value in values.items()})


def _convert(hint: Any, value: Any, name: str, field: "dataclasses.Field[Any]") -> Any:
    one_of = _one_of(hint)
    if one_of is not None:
        return _build_one_of(one_of, value, name, field)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, name)
    if isinstance(value, list):  # JSON has no tuples, configurations no lists
        return tuple(_convert(None, item, name, field) for item in value)
    if isinstance(value, dict):
        raise ConfigError(f"{name} is {value!r}; write a value.")
    return value


def _build_one_of(one_of: OneOf, values: Any, name: str, field: "dataclasses.Field[Any]") -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}; write an object with its fields.")
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    kind = values[_KIND] if _KIND in values else one_of.name_of(default, name)
    if kind not in one_of.kinds:
        raise ConfigError(f"{name}.{_KIND} is {kind!r}. {did_you_mean(str(kind), one_of.kinds)}")
    rest = {key: value for key, value in values.items() if key != _KIND}
    return _build(one_of.kinds[kind], rest, f"{name}, which is of the kind {kind!r},")


def _one_of(hint: Any) -> OneOf | None:
    marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, OneOf)), None)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
