"""The file `scores.json`: its version, and reading it. `summary.make_content` makes what is in it."""

import json
from pathlib import Path
from typing import Any

from xworld.base.errors import ConfigError

SCHEMA = "xworld.scores/2"


def read_scores(path: Path) -> dict[str, Any]:
    """The content of a `scores.json`.

    Raises:
      ConfigError: it cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Name a folder that evaluate wrote.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}. Name a folder that evaluate wrote.") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ConfigError(f"{path} has the schema {schema!r}, not {SCHEMA!r}. Evaluate again with this version.")
    return content
