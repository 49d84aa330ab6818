"""Compiled functions are kept in the user's cache folder, so that the next window opens at once."""

import os
from pathlib import Path
from typing import Any

import jax


def keep_compiled() -> None:
    """Lets JAX keep what it compiles, unless it has a folder for that already."""
    config: Any = jax.config  # its options are attributes that have no types
    if config.jax_compilation_cache_dir is None:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        config.update("jax_compilation_cache_dir", str(caches / "xworld" / "compiled"))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
