"""Checks of values that people give: what is right comes back in plain Python, the rest raises a `ConfigError`.

Numbers and bools may be numpy's. A frozen configuration replaces its fields by what the checks return:

    check_fields(self, ("num_envs", "total_steps"), partial(check_whole, low=1), "RunConfig")
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from xworld.base.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Range = tuple[int, int]  # lowest and highest, both included
T = TypeVar("T")


def check_fields(
    config: "DataclassInstance", names: Iterable[str], check: Callable[[str, object], object], owner: str = ""
) -> None:
    """Puts what `check(name, value)` returns in the place of fields, in place even if the configuration is frozen.

    Args:
      config: has the fields.
      names: of the fields.
      check: such as `partial(check_whole, low=1)`.
      owner: what comes before a field's name in messages: with "RunConfig", "RunConfig.num_envs is 0; ...".
    """
    for name in names:
        value = check(f"{owner}.{name}" if owner else name, getattr(config, name))
        object.__setattr__(config, name, value)


def check_whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """`value` as an int.

    Raises:
      ConfigError: it is no whole number in [low, high]; bools and floats are none. Without `high` there is no limit.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        value = int(value)
        if low <= value and (high is None or value <= high):
            return value
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise ConfigError(f"{name} is {value!r}; write a whole number {bounds}.")


def check_seed(value: object, name: str = "--seed") -> int:
    """`value` as an int that a random key can be made of; a larger one would give the key of a smaller one.

    Raises:
      ConfigError: it is no whole number below 2^32.
    """
    return check_whole(name, value, 0, 2**32 - 1)


def check_number(
    name: str,
    value: object,
    low: float,
    high: float = inf,
    *,
    excludes_low: bool = False,
    excludes_high: bool = False,
) -> float:
    """`value` as a float.

    Raises:
      ConfigError: it is no number in [low, high], whose ends may be excluded; bools and NaN are none.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        value = float(value)
        is_above = low < value if excludes_low else low <= value
        if is_above and (value < high if excludes_high else value <= high):
            return value
    lowest = f"above {low:g}" if excludes_low else f"{low:g}"
    highest = f"below {high:g}" if excludes_high else f"{high:g}"
    bounds = f"from {lowest} to {highest}"
    if high == inf:
        bounds = lowest if excludes_low else f"of at least {lowest}"
    raise ConfigError(f"{name} is {value!r}; write a number {bounds}.")


def check_bool(name: str, value: object) -> bool:
    """`value` as a bool.

    Raises:
      ConfigError: it is neither True nor False.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise ConfigError(f"{name} is {value!r}; write True or False.")


def check_flag(name: str, value: object) -> bool:
    """`value` as a bool; it may also be 0 or 1, as in a task's arrays. Configurations take bools only, not counts.

    Raises:
      ConfigError: it is neither.
    """
    if isinstance(value, int | np.integer) and value in (0, 1):
        return bool(value)
    return check_bool(name, value)


def check_range(name: str, value: object, low: int, high: int) -> Range:
    """`value` as a tuple of ints.

    Raises:
      ConfigError: it is no pair of ascending whole numbers in [low, high].
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} is {value!r}; write the lowest and the highest number, such as ({low}, {high}).")
    lowest, highest = (check_whole(f"An end of {name}", end, low, high) for end in value)
    if lowest > highest:
        raise ConfigError(f"{name} is ({lowest}, {highest}), lowest above highest; write ({highest}, {lowest}).")
    return lowest, highest


def check_word(name: str, value: object, known: tuple[T, ...]) -> T:
    """The known word that equals `value`; words may be numbers as well.

    Raises:
      ConfigError: there is none.
    """
    if isinstance(value, bool | np.bool_) or value not in known:
        raise ConfigError(f"{name}: {value!r} is unknown. {did_you_mean(str(value), map(str, known))}")
    return known[known.index(value)]


def check_set(name: str, value: object, known: tuple[T, ...]) -> tuple[T, ...]:
    """`value` as a tuple of known words.

    Raises:
      ConfigError: it is no tuple of known words, at least one and none of them twice.
    """
    if not isinstance(value, tuple | list) or not value:
        raise ConfigError(f"{name} is {value!r}; write a tuple of at least one, such as {known[:2]!r}.")
    words = tuple(check_word(name, entry, known) for entry in value)
    for word in words:
        if words.count(word) > 1:
            raise ConfigError(f"{name}: {word!r} is there twice; once is enough.")
    return words
