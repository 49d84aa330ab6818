"""Content hashes of pytrees, and of what is static in them and in other values: what returns belong to."""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in a `repr`


def digest(tree: Any) -> str:
    """SHA-256 of all leaves with their names, shapes and dtypes, as hexadecimal digits. Static fields do not count."""
    total = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(tree)[0]:
        values = np.asarray(leaf)
        little = values.astype(values.dtype.newbyteorder("<"))  # the same on every machine
        total.update(f"{jax.tree_util.keystr(path)} {values.dtype.name} {values.shape}\n".encode() + little.tobytes())
    return total.hexdigest()


def structure_digest(tree: Any) -> str:
    """SHA-256 of a pytree's structure: the kinds of its nodes, and their static fields. Leaves do not count."""
    return hashlib.sha256(_of_structure(jax.tree.structure(tree)).encode()).hexdigest()


def value_digest(value: Any) -> str:
    """SHA-256 of a value that is no pytree, such as a frozen dataclass, by its kind and its fields."""
    return hashlib.sha256(_of_value(value).encode()).hexdigest()


def _of_structure(structure: Any) -> str:
    """As its `repr`, but the same in every process."""
    node = structure.node_data()
    if node is None:  # a leaf
        return "*"
    return f"{_of_value(node[0])}({_of_value(node[1])}: {_joined(map(_of_structure, structure.children()))})"


def _of_value(value: Any) -> str:
    """Like `repr`, without addresses in memory, and with sets in order."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    match value:
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case _ if dataclasses.is_dataclass(value):
            fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
            return f"{kind}({_joined(f'{name}={_of_value(one)}' for name, one in fields)})"
        case set() | frozenset():
            return f"{kind}({_joined(sorted(map(_of_value, value)))})"
        case Mapping():
            return f"{kind}({_joined(f'{_of_value(name)}: {_of_value(one)}' for name, one in value.items())})"
        case tuple() | list():
            return f"{kind}({_joined(map(_of_value, value))})"
        case np.ndarray() | jax.Array():
            return digest(value)  # a `repr` leaves out the middle of a long one
        case functools.partial():
            return f"{kind}({_of_value((value.func, value.args, value.keywords))})"
        case _:
            return f"{kind} {_ADDRESS.sub('', repr(value))}"


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(texts)
