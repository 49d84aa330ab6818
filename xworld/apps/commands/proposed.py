"""Options of commands that are proposed when one has ended."""

from typing import Any


def proposed(**given: Any) -> str:
    """Options as they are written behind a command, each after a space: those that are not None, False or empty.

    Args:
      given: values by the options' names, with underscores.
    """
    texts = []
    for name, value in given.items():
        if value is None or value is False or value == ():
            continue
        words = value if isinstance(value, tuple) else () if value is True else (value,)
        texts.append(" ".join([f" --{name.replace('_', '-')}", *map(str, words)]))
    return "".join(texts)
