"""Which key does what, by default and as a file of the user's says."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xworld.base.errors import ConfigError, did_you_mean, located
from xworld.base.files import as_path, parse_toml, read_text
from xworld.core.step.actions import ACTION_NAMES
from xworld.rendering.drawing.backend import pygame

# The key that a keyboard of the US has at a place, by its scancode.
KEY_AT: dict[int, int] = {
    getattr(pygame, name): getattr(pygame, key)
    for name in dir(pygame)
    if name.startswith("KSCAN_")
    for key in (f"K_{name[6:]}", f"K_{name[6:].lower()}")
    if hasattr(pygame, key)
}

# Names of keys are those of pygame's constants, without K_ and in small letters.
KEYS: dict[str, int] = {name[2:].lower(): getattr(pygame, name) for name in dir(pygame) if name.startswith("K_")}

ACTIONS = tuple(name.replace(" ", "_") for name in ACTION_NAMES)  # forward, turn_right, ...

# What else can be done, in the order in which the help lists it.
COMMANDS: dict[str, str] = {
    "go_on": "start the next trial",
    "pause": "pause",
    "undo": "take a step back",
    "restart": "start this task again",
    "next": "the next task",
    "view": "darken what is not seen, or show all, or hide it",
    "agent": "whose view, goal and rules to show",
    "reveal": "show what is hidden, or hide it",
    "thoughts": "what the other player thinks",
    "screenshot": "save a picture",
    "record": "start recording, or save the film",
    "help": "this help",
    "quit": "close the window",
}
WATCHING: dict[str, str] = {
    "step": "one step on",
    "back": "one step back",
    "run": "go on by itself, or stop",
    "first": "to the start",
    "last": "to the last step so far",
}

_FIRST = dict(zip(ACTIONS, ("up", "right", "left", "period", "comma", "slash", "down"), strict=True))
_SECOND = dict(zip(ACTIONS, ("w", "d", "a", "e", "q", "f", "s"), strict=True))
_COMMANDS = {
    "go_on": "return",
    "pause": "p",
    "undo": "u",
    "restart": "r",
    "next": "n",
    "view": "v",
    "agent": "tab",
    "reveal": "m",
    "thoughts": "t",
    "screenshot": "x",
    "record": "g",
    "help": "h",
    "quit": "escape",
}
_WATCHING = {"step": "right", "back": "left", "run": "space", "first": "home", "last": "end"}


@dataclass(frozen=True)
class Bindings:
    """The name of the key for everything."""

    first: Mapping[str, str] = field(default_factory=lambda: _FIRST)  # actions of the first person on the keyboard
    second: Mapping[str, str] = field(default_factory=lambda: _SECOND)  # of the second; of the first too if alone
    commands: Mapping[str, str] = field(default_factory=lambda: _COMMANDS)
    watching: Mapping[str, str] = field(default_factory=lambda: _WATCHING)  # when nobody plays

    def action(self, key: int, num_people: int) -> tuple[int, int] | None:
        """Which of the people a key is for, and the action it means, if it does."""
        for person, names in enumerate((self.first, self.second)):
            for action, name in enumerate(ACTIONS):
                if KEYS[names[name]] == key:
                    return min(person, num_people - 1), action
        return None

    def means_anything(self, key: int, num_people: int) -> bool:
        """Whether a key is for an action of the people, or for a command; nobody plays where one watches."""
        is_action = num_people > 0 and self.action(key, num_people) is not None
        return is_action or self.command(key, is_watching=num_people == 0) is not None

    def command(self, key: int, is_watching: bool) -> str | None:
        """The name of the command that a key gives, if it does."""
        tables = (self.watching, self.commands) if is_watching else (self.commands,)
        return next((name for table in tables for name, of in table.items() if KEYS[of] == key), None)


def read_bindings(path: Path) -> Bindings:
    """The bindings in a TOML file with any of the tables [first], [second], [commands] and [watching].

    Raises:
      ConfigError: the file cannot be read; an unknown table, entry or key; or a key that does two things.
    """
    text = read_text(as_path(path), "Name a file of keys.")
    with located(str(path)):
        document = parse_toml(text)
        default = Bindings()
        tables = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
        for name, changes in document.items():
            if name not in tables:
                raise ConfigError(f"{name!r} is no table of keys. {did_you_mean(name, tables)}")
            if not isinstance(changes, dict):
                entry, key = next(iter(tables[name].items()))
                raise ConfigError(
                    f"{name} is {changes!r}; write a line [{name}], and below it lines such as {entry} = {key!r}."
                )
            for entry, key in changes.items():
                if entry not in tables[name]:
                    raise ConfigError(f"[{name}] has no entry {entry!r}. {did_you_mean(entry, tables[name])}")
                if not isinstance(key, str) or key not in KEYS:
                    raise ConfigError(f"[{name}] {entry}: {key!r} is no key. {_near_key(str(key))}")
            tables[name] = tables[name] | changes
        bindings = Bindings(**tables)
        _check_once(bindings.first, bindings.second, bindings.commands)
        _check_once(bindings.watching, bindings.commands)
    return bindings


def _check_once(*tables: Mapping[str, str]) -> None:
    """Makes sure that no key stands twice in tables that hold at the same time."""
    used: dict[str, str] = {}
    for entry, key in (item for table in tables for item in table.items()):
        if key in used:
            raise ConfigError(f"The key {key!r} is for {used[key]!r} and for {entry!r}. Give one of them another.")
        used[key] = entry


def _near_key(name: str) -> str:
    hint = did_you_mean(name.lower(), KEYS)
    return (
        hint if hint.startswith("Did") else "Write a letter or a digit, or up, down, space, return, period, kp_5, ..."
    )
