"""Bytes, operations and kernels of a compiled function, with every loop counted as often as it runs.

XLA's own cost analysis counts the body of a loop once. This reads the compiled program's text: every fusion and every
instruction outside one is a kernel, which reads its operands from memory and writes its result. A kernel that only
slices or gathers from an operand reads as much as it takes.
"""

import math
import re
from dataclasses import dataclass

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s64": 8, "u64": 8, "f64": 8}
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "iota",
}  # fmt: skip
_MOVES = {"broadcast", "slice", "dynamic-slice", "concatenate", "transpose", "reshape", "copy", "pad", "reverse"}
_TAKES = {"slice", "dynamic-slice", "gather"}
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%(\S+) = (.*?) ([a-z][a-z0-9-]*)\((.*)$")
_SHAPE = re.compile(r"([a-z]+[0-9]*)\[([0-9,]*)\]")


@dataclass(frozen=True)
class Cost:
    """What a function does in one call."""

    bytes: float = 0  # read and written by all kernels
    operations: float = 0  # on one element each; moving data is none
    kernels: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.bytes + other.bytes, self.operations + other.operations, self.kernels + other.kernels)

    def times(self, count: int) -> "Cost":
        """That of `count` calls."""
        return Cost(self.bytes * count, self.operations * count, self.kernels * count)


@dataclass(frozen=True)
class _Instruction:
    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    text: str  # all behind the opcode


def program_cost(text: str) -> Cost:
    """The cost of the entry of a compiled program, given `compiled.as_text()`. Of a conditional the dearest branch."""
    computations, entry = _read(text)
    return _computation_cost(computations, entry)


def _read(text: str) -> tuple[dict[str, list[_Instruction]], str]:
    computations: dict[str, list[_Instruction]] = {}
    entry = name = ""
    for line in text.splitlines():
        header = re.match(r"^(ENTRY )?%(\S+) \(.*\{$", line)
        if header:
            name = header[2]
            computations[name] = []
            entry = name if header[1] else entry
            continue
        match = _INSTRUCTION.match(line)
        if match and name:
            arguments = match[4].split(")", 1)[0]
            operands = tuple(re.findall(r"%([^\s,]+)", arguments))
            computations[name].append(_Instruction(match[1], match[2], match[3], operands, match[4]))
    return computations, entry


def _computation_cost(computations: dict[str, list[_Instruction]], name: str) -> Cost:
    instructions = computations[name]
    shapes = {instruction.name: instruction.shape for instruction in instructions}
    total = Cost()
    for instruction in instructions:
        if instruction.opcode in _FREE:
            continue
        if instruction.opcode == "while":
            count = re.search(r'known_trip_count":\{"n":"(\d+)"', instruction.text)
            body = _computation_cost(computations, _called(instruction, "body"))
            total += body.times(int(count[1]) if count else 1)
        elif instruction.opcode == "conditional":
            branches = re.search(r"branch_computations=\{(.*?)\}", instruction.text)
            names = re.findall(r"%([^\s,}]+)", branches[1]) if branches else []
            names += re.findall(r"(?:true|false)_computation=%([^\s,]+)", instruction.text)
            total += max((_computation_cost(computations, branch) for branch in names), key=lambda cost: cost.bytes)
        elif instruction.opcode == "call":
            total += _computation_cost(computations, _called(instruction, "to_apply"))
        elif instruction.opcode == "fusion":
            total += _fusion_cost(instruction, shapes, computations[_called(instruction, "calls")])
        else:
            read = sum(_read_bytes(instruction, shapes[operand]) for operand in instruction.operands)
            total += Cost(read + _size(instruction.shape), _operations(instruction, shapes), 1)
    return total


def _called(instruction: _Instruction, attribute: str) -> str:
    match = re.search(rf"{attribute}=%([^\s,]+)", instruction.text)
    if match is None:
        raise ValueError(f"{instruction.name} has no {attribute}")
    return match[1]


def _fusion_cost(fusion: _Instruction, shapes: dict[str, str], inside: list[_Instruction]) -> Cost:
    inner_shapes = {instruction.name: instruction.shape for instruction in inside}
    parameters = {
        int(instruction.text.split(")", 1)[0]): instruction.name
        for instruction in inside
        if instruction.opcode == "parameter"
    }
    read = 0.0
    for index, operand in enumerate(fusion.operands):
        users = [user for user in inside if parameters[index] in user.operands]
        whole = _size(shapes[operand])
        read += min(whole, sum(_read_bytes(user, shapes[operand]) for user in users))
    return Cost(read + _size(fusion.shape), sum(_operations(i, inner_shapes) for i in inside), 1)


def _read_bytes(user: _Instruction, operand_shape: str) -> float:
    return min(_size(user.shape), _size(operand_shape)) if user.opcode in _TAKES else _size(operand_shape)


def _operations(instruction: _Instruction, shapes: dict[str, str]) -> float:
    if instruction.opcode in _FREE or instruction.opcode in _MOVES:
        return 0
    if instruction.opcode in ("reduce", "reduce-window"):
        return max(_elements(shapes[operand]) for operand in instruction.operands)
    return _elements(instruction.shape)


def _elements(shape: str) -> int:
    return sum(math.prod(int(size) for size in sizes.split(",") if size) for _, sizes in _SHAPE.findall(shape))


def _size(shape: str) -> float:
    return sum(
        _BYTES.get(dtype, 4) * math.prod(int(size) for size in sizes.split(",") if size)
        for dtype, sizes in _SHAPE.findall(shape)
    )
