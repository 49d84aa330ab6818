"""The one error that bad input raises, and the exit status of a command that Ctrl-C stops."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # exit status, as shells have it: 128 + SIGINT


class ConfigError(ValueError):
    """A configuration, task or command that cannot be meant; says what is wrong and what to write instead."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence naming the known word nearest to `word`, or all known words when none is near."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Write one of: {', '.join(words)}."


@contextmanager
def located(where: str) -> Iterator[None]:
    """Puts "where: " before the message of a `ConfigError` raised inside."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
