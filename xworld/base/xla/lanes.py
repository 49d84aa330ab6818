"""Runs what is written for one task for a batch of them, with the batch in the last axis of everything.

`jax.vmap` puts the batch first. What is made for a task is short arrays, [13] rows or [16] objects, and with these in
the last axis hardly anything of it becomes vector instructions on a CPU. Behind them the batch, the *lanes*, is a long
last axis, and every scalar of a task is one contiguous vector. The results are the same numbers.

JAX promises nothing about how a traced function is written down, and changes it now and then. So an operation runs over
lanes only where its parameters have the names in `_PARAMETERS`; any other one, and a function whose trace cannot be
read at all, runs as `jax.vmap` does it: slower, with the same results, and with one warning.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from xworld.base.xla.fusion import UNIT, apart

T = TypeVar("T")
_Value = tuple[jax.Array, bool]  # and whether its last axis is lanes; else it is the same in all of them


def vectorise(function: Callable[..., T]) -> Callable[..., T]:
    """`function` of scalars, jitted, and so that `jax.vmap` of it runs `over_lanes`."""
    function = jax.jit(function)  # so that it is traced once

    @jax.custom_batching.custom_vmap
    def call(*scalars: jax.Array) -> T:  # or arrays of one shape, for all of whose elements it is called
        shape = scalars[0].shape
        if not shape:
            return function(*scalars)
        results = over_lanes(function)(*(scalar.reshape(-1) for scalar in scalars))
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0).reshape(*shape, *leaf.shape[:-1]), results)

    @call.def_vmap
    def call_batch(axis_size: int, is_batched: Sequence[bool], *scalars: jax.Array) -> tuple[T, Any]:
        batches = (
            scalar if has_axis else jnp.broadcast_to(scalar, (axis_size, *scalar.shape))
            for scalar, has_axis in zip(scalars, is_batched, strict=True)
        )
        results = call(*batches)
        return results, jax.tree.map(lambda _: True, results)

    return jax.jit(call)


def over_lanes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with a last axis of lanes in all array arguments and results.

    It is traced as it stands, and its operations are applied to all lanes at once. A loop runs as long as any lane
    needs it.
    """

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        num_lanes = leaves[0].shape[-1]
        one = [jax.ShapeDtypeStruct(leaf.shape[:-1], leaf.dtype) for leaf in leaves]
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*jax.tree.unflatten(tree, one))
        try:
            results = _with_lanes(_run(traced, [(leaf, True) for leaf in leaves], num_lanes), num_lanes)
            _check_results(results, jax.tree.leaves(shapes), num_lanes)
        except Exception as error:  # whatever a JAX of tomorrow makes of reading its traces
            _warn_once(f"a trace cannot be read ({type(error).__name__}: {error})")
            return jax.vmap(function, in_axes=-1, out_axes=-1)(*args)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def _check_results(results: Sequence[jax.Array], shapes: Sequence[jax.ShapeDtypeStruct], num_lanes: int) -> None:
    """Raises TypeError unless the results have the shapes and dtypes of the traced function's, and lanes."""
    for result, one in zip(results, shapes, strict=True):
        if (result.shape, result.dtype) != ((*one.shape, num_lanes), one.dtype):
            raise TypeError(f"{result.dtype}{result.shape} for {one.dtype}{one.shape} in {num_lanes} lanes")


@functools.cache
def _warn_once(reason: str) -> None:
    """Warns that tasks are made the slower way; once in a process for each reason."""
    warnings.warn(
        f"JAX {jax.__version__} is newer than this version of xworld knows: {reason}. Tasks are the same, but are made "
        "more slowly. A newer xworld may know it.",
        stacklevel=2,
    )


def _run(traced: core.ClosedJaxpr, arguments: Sequence[_Value], num_lanes: int) -> list[_Value]:
    """The results of a traced function."""
    jaxpr = traced.jaxpr
    known: dict[core.Var, _Value] = {}

    def read(atom: Any) -> _Value:
        return (atom.val, False) if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(jaxpr.constvars, ((const, False) for const in traced.consts), strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        results = _apply(equation, [read(atom) for atom in equation.invars], num_lanes)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: core.JaxprEqn, values: list[_Value], num_lanes: int) -> list[_Value]:
    """The results of one operation."""
    primitive, params = equation.primitive, equation.params
    arrays = [array for array, _ in values]
    has_lanes = [is_lanes for _, is_lanes in values]
    if not _is_known(equation):
        _warn_once(f"the operation {primitive.name!r} has the parameters {sorted(params)}")
        return _apply_by_vmap(equation, values)
    if primitive.name == "jit":
        return _call(equation, values, num_lanes)
    if primitive.name == "while" and any(has_lanes):
        return _loop(equation, values, num_lanes)
    if primitive.name == "scan" and any(has_lanes):
        return _scan(equation, values, num_lanes)
    if not any(has_lanes):
        return _apply_by_vmap(equation, values)
    if primitive.name in _ELEMENTWISE:
        shape = (*_shape(equation.outvars[0]), num_lanes)
        return [(primitive.bind(*(_broadcast(value, shape) for value in values), **params), True)]
    if primitive.name in _OF_MANY:
        return [(_OF_MANY[primitive.name](_with_lanes(values, num_lanes), num_lanes, params), True)]
    if primitive.name in _OF_ONE and jnp.size(arrays[0]) and not any(has_lanes[1:]):
        return [(_OF_ONE[primitive.name](arrays, num_lanes, params), True)]
    if primitive.name == "gather" and all(has_lanes) and _reads_numbers(equation):
        return [(_read_numbers(arrays[0], arrays[1], num_lanes), True)]
    return _apply_by_vmap(equation, values)


def _is_known(equation: core.JaxprEqn) -> bool:
    """Whether the operation is none that this file treats, or has just the parameters that it has been tested with."""
    known = _PARAMETERS.get(equation.primitive.name)
    return known is None or frozenset(equation.params) in known


def _apply_by_vmap(equation: core.JaxprEqn, values: list[_Value]) -> list[_Value]:
    """The results as `jax.vmap` gives them: right for every operation, but it may turn arrays around."""
    primitive = equation.primitive
    bind = functools.partial(primitive.bind, **equation.params)
    has_lanes = any(is_lanes for _, is_lanes in values)
    if has_lanes:
        bind = jax.vmap(bind, tuple(-1 if is_lanes else None for _, is_lanes in values), -1)
    results = bind(*(array for array, _ in values))
    return [(result, has_lanes) for result in (results if primitive.multiple_results else [results])]


def _shape(atom: Any) -> tuple[int, ...]:
    """The shape of a variable of a trace, without lanes."""
    return tuple(atom.aval.shape)


def _broadcast(value: _Value, shape: tuple[int, ...]) -> jax.Array:
    """An operand of an elementwise operation in the shape of the result, lanes included."""
    array, is_lanes = value
    array = jnp.asarray(array)
    if array.shape == shape and is_lanes:
        return array
    last = len(shape) - 1
    axes = tuple(range(array.ndim - is_lanes)) + ((last,) if is_lanes else ())
    return lax.broadcast_in_dim(array, shape, axes)


def _with_lanes(values: Sequence[_Value], num_lanes: int) -> list[jax.Array]:
    """All of the values with a last axis of lanes."""
    return [_broadcast(value, (*jnp.shape(value[0])[: jnp.ndim(value[0]) - value[1]], num_lanes)) for value in values]


def _call(equation: core.JaxprEqn, values: list[_Value], num_lanes: int) -> list[_Value]:
    """A jitted function inside the traced one; what is `apart` stays so."""
    inner = equation.params["jaxpr"]
    if equation.params["name"] != UNIT or not any(is_lanes for _, is_lanes in values):
        return _run(inner, values, num_lanes)
    unit = _unit(inner, tuple(is_lanes for _, is_lanes in values), num_lanes)
    return [(result, True) for result in unit(*(array for array, _ in values))]


@functools.lru_cache(maxsize=1024)
def _unit(inner: core.ClosedJaxpr, has_lanes: tuple[bool, ...], num_lanes: int) -> Callable[..., list[jax.Array]]:
    """What is `apart` in a traced function, over lanes. The same part called again is the same unit."""

    @apart
    def unit(*arrays: jax.Array) -> list[jax.Array]:
        return _with_lanes(_run(inner, list(zip(arrays, has_lanes, strict=True)), num_lanes), num_lanes)

    return unit


def _loop(equation: core.JaxprEqn, values: list[_Value], num_lanes: int) -> list[_Value]:
    """A while loop that goes on until every lane is through, and leaves alone those that are."""
    params = equation.params
    num_asked, num_used = params["cond_nconsts"], params["body_nconsts"]
    asked, used, carried = values[:num_asked], values[num_asked : num_asked + num_used], values[num_asked + num_used :]
    has_lanes = _carried_lanes(params["body_jaxpr"], used, carried, [])
    is_asked_of_lanes = _reaches(params["cond_jaxpr"], [is_lanes for _, is_lanes in asked] + has_lanes)[0]
    if is_asked_of_lanes:
        has_lanes = [True] * len(carried)

    def ask(carry: list[jax.Array]) -> jax.Array:
        return _run(params["cond_jaxpr"], [*asked, *zip(carry, has_lanes, strict=True)], num_lanes)[0][0]

    def go_on(carry: list[jax.Array]) -> list[jax.Array]:
        results = _run(params["body_jaxpr"], [*used, *zip(carry, has_lanes, strict=True)], num_lanes)
        new = _match(results, has_lanes, num_lanes)
        return [jnp.where(ask(carry), *pair) for pair in zip(new, carry, strict=True)] if is_asked_of_lanes else new

    first = _match(carried, has_lanes, num_lanes)
    results = lax.while_loop(lambda carry: ask(carry).any(), go_on, first)
    return list(zip(results, has_lanes, strict=True))


def _scan(equation: core.JaxprEqn, values: list[_Value], num_lanes: int) -> list[_Value]:
    """A loop of so many rounds in every lane."""
    params = equation.params
    num_used, num_carried = _scan_parts(equation)
    used, carried = values[:num_used], values[num_used : num_used + num_carried]
    inputs = values[num_used + num_carried :]
    inputs_lanes = [is_lanes for _, is_lanes in inputs]
    has_lanes = _carried_lanes(params["jaxpr"], used, carried, inputs_lanes)
    outputs_lanes = _reaches(params["jaxpr"], [is_lanes for _, is_lanes in used] + has_lanes + inputs_lanes)[
        num_carried:
    ]

    def go_on(carry: list[jax.Array], arrays: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        state, row = zip(carry, has_lanes, strict=True), zip(arrays, inputs_lanes, strict=True)
        results = _run(params["jaxpr"], [*used, *state, *row], num_lanes)
        matched = _match(results, has_lanes + outputs_lanes, num_lanes)
        return matched[:num_carried], matched[num_carried:]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    rows = [array for array, _ in inputs]
    state, outputs = lax.scan(go_on, _match(carried, has_lanes, num_lanes), rows, **options)
    return list(zip([*state, *outputs], has_lanes + outputs_lanes, strict=True))


def _scan_parts(equation: core.JaxprEqn) -> tuple[int, int]:
    """How many constants a scan has, and how many values it carries, from the shapes alone.

    Operands are constants, then what is carried, then inputs; results are what is carried, then outputs. The body is
    given one row of an input and gives one row of an output, so that these have an axis less in it.
    """
    body = equation.params["jaxpr"].jaxpr

    def num_rows(outside: Sequence[Any], inside: Sequence[Any]) -> int:
        pairs = zip(outside, inside, strict=True)
        return sum(len(_shape(whole)) > len(_shape(row)) for whole, row in pairs)

    num_inputs = num_rows(equation.invars, body.invars)
    num_carried = len(body.outvars) - num_rows(equation.outvars, body.outvars)
    return len(body.invars) - num_carried - num_inputs, num_carried


def _match(values: Sequence[_Value], has_lanes: Sequence[bool], num_lanes: int) -> list[jax.Array]:
    """The values, with lanes where they are to have them."""
    widened = _with_lanes(values, num_lanes)
    return [
        new if is_wanted else jnp.asarray(old)
        for new, (old, _), is_wanted in zip(widened, values, has_lanes, strict=True)
    ]


def _carried_lanes(
    body: core.ClosedJaxpr, used: Sequence[_Value], carried: Sequence[_Value], inputs: Sequence[bool]
) -> list[bool]:
    """Which of the values that a loop carries differ between lanes, now or after some rounds."""
    of_used = [is_lanes for _, is_lanes in used]
    has_lanes = [is_lanes for _, is_lanes in carried]
    while True:
        reached = _reaches(body, [*of_used, *has_lanes, *inputs])
        wider = [old or new for old, new in zip(has_lanes, reached, strict=False)]
        if wider == has_lanes:
            return has_lanes
        has_lanes = wider


def _reaches(traced: core.ClosedJaxpr, arguments: Sequence[bool]) -> list[bool]:
    """Which results depend on arguments that have lanes."""
    has_lanes = {variable for variable, is_lanes in zip(traced.jaxpr.invars, arguments, strict=True) if is_lanes}
    for equation in traced.jaxpr.eqns:
        if any(not isinstance(atom, core.Literal) and atom in has_lanes for atom in equation.invars):
            has_lanes.update(equation.outvars)
    return [not isinstance(atom, core.Literal) and atom in has_lanes for atom in traced.jaxpr.outvars]


def _reduce_by(operator: Callable[[jax.Array, jax.Array], jax.Array]) -> "_Rule":
    """A reduction as a chain of operations: XLA's CPU compiler makes a scalar loop of a reduction."""

    def reduce(arrays: Sequence[jax.Array], num_lanes: int, params: dict[str, Any]) -> jax.Array:
        (array,), axes = arrays, params["axes"]
        for axis in sorted(axes, reverse=True):
            parts = (lax.index_in_dim(array, index, axis, keepdims=False) for index in range(array.shape[axis]))
            array = functools.reduce(operator, parts)
        return array

    return reduce


@apart
def _add_up(arrays: Sequence[jax.Array], num_lanes: int, params: dict[str, Any]) -> jax.Array:
    (array,), axis = arrays, params["axis"]
    parts = [lax.index_in_dim(array, index, axis) for index in range(array.shape[axis])]
    sums = [parts.pop(-1 if params["reverse"] else 0)]
    while parts:
        sums.append(sums[-1] + parts.pop(-1 if params["reverse"] else 0))
    return lax.concatenate(sums[::-1] if params["reverse"] else sums, axis)


def _reads_numbers(equation: core.JaxprEqn) -> bool:
    """Whether a gather reads some numbers of an [n] array, the nearest for an index outside."""
    clips = equation.params["mode"] in (lax.GatherScatterMode.CLIP, lax.GatherScatterMode.PROMISE_IN_BOUNDS)
    return (
        len(_shape(equation.invars[0])) == 1
        and equation.params["slice_sizes"] == (1,)
        and clips
        and equation.params["dimension_numbers"].collapsed_slice_dims == (0,)
    )


def _read_numbers(operand: jax.Array, index: jax.Array, num_lanes: int) -> jax.Array:
    """[..., B] of [n, B], for [..., 1, B] indices."""
    place = jnp.clip(index[..., 0, :], 0, operand.shape[0] - 1) * num_lanes + jnp.arange(num_lanes)
    return operand.reshape(-1).at[place].get(mode="promise_in_bounds")  # one flat index is read fastest


def _slice(arrays: Sequence[jax.Array], num_lanes: int, params: dict[str, Any]) -> jax.Array:
    strides = params["strides"] and (*params["strides"], 1)
    return lax.slice(arrays[0], (*params["start_indices"], 0), (*params["limit_indices"], num_lanes), strides)


def _broadcast_in_dim(arrays: Sequence[jax.Array], num_lanes: int, params: dict[str, Any]) -> jax.Array:
    shape = params["shape"]
    return lax.broadcast_in_dim(arrays[0], (*shape, num_lanes), (*params["broadcast_dimensions"], len(shape)))


_Rule = Callable[[Sequence[jax.Array], int, dict[str, Any]], jax.Array]
# Operations on arrays all of which have lanes, and on one that has, with arguments that have not.
_OF_MANY: dict[str, _Rule] = {
    "concatenate": lambda arrays, num, params: lax.concatenate(arrays, params["dimension"]),
    "stack": lambda arrays, num, params: jnp.stack(arrays, params["axis"]),
}
_OF_ONE: dict[str, _Rule] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": lambda arrays, num, params: lax.reshape(arrays[0], (*params["new_sizes"], num)),
    "squeeze": lambda arrays, num, params: lax.squeeze(arrays[0], params["dimensions"]),
    "slice": _slice,
    "rev": lambda arrays, num, params: lax.rev(arrays[0], params["dimensions"]),
    "transpose": lambda arrays, num, params: lax.transpose(
        arrays[0], (*params["permutation"], len(params["permutation"]))
    ),
    "pad": lambda arrays, num, params: lax.pad(arrays[0], arrays[1], (*params["padding_config"], (0, 0, 0))),
    "dynamic_slice": lambda arrays, num, params: lax.dynamic_slice(
        arrays[0], (*arrays[1:], 0), (*params["slice_sizes"], num)
    ),
    "cumsum": _add_up,
    **{
        name: _reduce_by(operator)
        for name, operator in {
            "reduce_sum": lax.add,
            "reduce_or": lax.bitwise_or,
            "reduce_and": lax.bitwise_and,
            "reduce_max": lax.max,
            "reduce_min": lax.min,
        }.items()
    },
}
_ELEMENTWISE = {
    "add", "sub", "mul", "div", "rem", "neg", "sign", "max", "min", "and", "or", "xor", "not", "eq", "ne", "lt", "le",
    "gt", "ge", "select_n", "clamp", "convert_element_type", "shift_left", "shift_right_logical",
    "shift_right_arithmetic", "clz", "population_count",
}  # fmt: skip
# Names of the parameters of what is treated here, as JAX 0.10.2 and 0.12.0 have them.
_NO_PARAMETERS = frozenset[str]()
_PARAMETERS: dict[str, set[frozenset[str]]] = {
    **{name: {_NO_PARAMETERS} for name in _ELEMENTWISE},
    "mul": {_NO_PARAMETERS, frozenset({"out_dtype"})},
    "convert_element_type": {frozenset({"new_dtype", "weak_type", "sharding"})},
    "concatenate": {frozenset({"dimension"})},
    "stack": {frozenset({"axis"})},
    "broadcast_in_dim": {frozenset({"shape", "broadcast_dimensions", "sharding"})},
    "reshape": {frozenset({"new_sizes", "dimensions", "sharding"})},
    "squeeze": {frozenset({"dimensions"})},
    "slice": {frozenset({"start_indices", "limit_indices", "strides"})},
    "rev": {frozenset({"dimensions"})},
    "transpose": {frozenset({"permutation"})},
    "pad": {frozenset({"padding_config"})},
    "dynamic_slice": {frozenset({"slice_sizes"})},
    "cumsum": {frozenset({"axis", "reverse"})},
    **{
        name: {frozenset({"axes"}), frozenset({"axes", "out_sharding"})}
        for name in ("reduce_sum", "reduce_or", "reduce_and", "reduce_max", "reduce_min")
    },
    "gather": {
        frozenset({"dimension_numbers", "slice_sizes", "indices_are_sorted", "unique_indices", "mode", "fill_value"})
    },
    "jit": {
        frozenset(
            {"jaxpr", "name", "ctx_mesh", "inline", "keep_unused", "donated_invars", "compiler_options_kvs"}
            | {"in_shardings", "out_shardings", "in_layouts", "out_layouts"}
        )
    },
    "while": {frozenset({"cond_jaxpr", "cond_nconsts", "body_jaxpr", "body_nconsts"})},
    "scan": {
        frozenset({"jaxpr", "length", "reverse", "unroll", *parts})
        for parts in (("num_consts", "num_carry"), ("ft_in", "ft_out"))
    },
}
