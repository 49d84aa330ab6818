"""Content hashes of pytrees: what returns belong to."""

import hashlib
from typing import Any

import jax
import numpy as np


def digest(tree: Any) -> str:
    """SHA-256 of all leaves with their names, shapes and dtypes, as hexadecimal digits. Static fields do not count."""
    total = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(tree)[0]:
        values = np.asarray(leaf)
        little = values.astype(values.dtype.newbyteorder("<"))  # the same on every machine
        total.update(f"{jax.tree_util.keystr(path)} {values.dtype.name} {values.shape}\n".encode() + little.tobytes())
    return total.hexdigest()
