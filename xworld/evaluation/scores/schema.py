"""The file `scores.json`: its version, and reading it. `summary.make_content` makes what is in it."""

from pathlib import Path
from typing import Any

from xworld.base.errors import ConfigError, located
from xworld.base.files import parse_json, read_text

SCHEMA = "xworld.scores/2"


def read_scores(path: Path) -> dict[str, Any]:
    """The content of a `scores.json`.

    Raises:
      ConfigError: it cannot be read, or is something else.
    """
    text = read_text(path, "Name a folder that evaluate wrote.")
    with located(str(path)):
        content = parse_json(text)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ConfigError(f"{path} has the schema {schema!r}, not {SCHEMA!r}. Evaluate again with this version.")
    return content
