"""Checks of configuration fields, and what they say when a value cannot be meant."""

from dataclasses import fields
from typing import TYPE_CHECKING

from xworld.base.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Range = tuple[int, int]  # lowest and highest, both included


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuses what is no whole number from `low` to `high`.

    Raises:
      ConfigError: so.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; write a whole number from {low} to {high}.")


def check_range(name: str, value: object, low: int, high: int) -> None:
    """Refuses what is no pair of ascending whole numbers from `low` to `high`.

    Raises:
      ConfigError: so.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} is {value!r}; write the lowest and the highest number, such as ({low}, {high}).")
    for end in value:
        check_whole(f"An end of {name}", end, low, high)
    if value[0] > value[1]:
        raise ConfigError(f"{name} is {value!r}, lowest above highest; write ({value[1]}, {value[0]}).")


def check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    """Refuses what is none of the known words.

    Raises:
      ConfigError: so.
    """
    if value not in known:
        raise ConfigError(f"{name}: {value!r} is unknown. {did_you_mean(str(value), known)}")


def check_set(name: str, value: object, known: tuple[object, ...]) -> None:
    """Refuses what is no tuple of known words, each at most once and at least one.

    Raises:
      ConfigError: so.
    """
    if not isinstance(value, tuple | list) or not value:
        raise ConfigError(f"{name} is {value!r}; write a tuple of at least one, such as {known[:2]!r}.")
    for entry in value:
        if entry not in known:
            raise ConfigError(
                f"{name}: {entry!r} is unknown. {did_you_mean(str(entry), [str(word) for word in known])}"
            )
        if value.count(entry) > 1:
            raise ConfigError(f"{name}: {entry!r} is there twice; once is enough.")


def make_hashable(config: "DataclassInstance") -> None:
    """Turns the lists among a frozen configuration's fields into tuples, in place."""
    for field in fields(config):
        if isinstance(getattr(config, field.name), list):
            object.__setattr__(config, field.name, tuple(getattr(config, field.name)))
