"""The table of operations: for each name a NumPy function and its result's element type."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..dtypes import BY_NAME, DType
from ..errors import ExecutionError

# What a result's type follows: a parameter by name, a fixed type, or a function
# of the arguments' values and types.
ResultType = str | DType | Callable[[dict, dict], DType]


@dataclass(frozen=True)
class Rule:
    """How an operation is executed.

    `function` takes the operation's parameters by MIL's names, as arrays (floats
    in f32, scalars of rank 0), strings and, where MIL takes several values by one
    name, lists; it returns one array or a tuple, one for each output.
    """

    function: Callable
    results: tuple[ResultType, ...]

    def run(self, values: dict) -> tuple[np.ndarray, ...]:
        """The outputs' values; ExecutionError if a parameter is missing or unknown."""
        try:
            bound = inspect.signature(self.function).bind(**values)
        except TypeError as error:
            raise ExecutionError(f"parameters: {error}") from error
        result = self.function(*bound.args, **bound.kwargs)
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def dtypes(self, values: dict, dtypes: dict[str, DType], count: int) -> list[DType]:
        """The outputs' element types, one for each of `count` outputs."""
        results = self.results * count if len(self.results) == 1 else self.results
        return [_result(result, values, dtypes) for result in results]


OPS: dict[str, Rule] = {}

BOOL = BY_NAME["bool"]
INT32 = BY_NAME["int32"]


def op(*names: str, result: ResultType | tuple[ResultType, ...] = "x"):
    """Registers a function as the meaning of the operations of these names."""

    def register(function):
        results = result if isinstance(result, tuple) else (result,)
        for name in names:
            OPS[name] = Rule(function, results)
        return function

    return register


def named_dtype(parameter: str) -> Callable[[dict, dict], DType]:
    """The element type that a string parameter names."""

    def result(values: dict, _dtypes: dict) -> DType:
        name = str(values[parameter])
        if name not in BY_NAME:
            raise ExecutionError(f"{parameter}: no element type is called {name!r}")
        return BY_NAME[name]

    return result


def ints(values) -> tuple[int, ...]:
    """A vector parameter as Python integers."""
    return tuple(int(v) for v in np.asarray(values).reshape(-1))


def scalar(value) -> float:
    """A parameter of one element as a Python float."""
    return float(np.asarray(value).reshape(()))


def axes_of(axes, rank: int) -> tuple[int, ...]:
    """Axes counted from the front; ExecutionError if one is not within the rank."""
    for axis in ints(axes):
        if not -rank <= axis < rank:
            raise ExecutionError(f"axis {axis} of a value of rank {rank}")
    return tuple(axis % rank for axis in ints(axes))


def _result(result: ResultType, values: dict, dtypes: dict[str, DType]) -> DType:
    if isinstance(result, DType):
        return result
    return dtypes[result] if isinstance(result, str) else result(values, dtypes)


def along(vector, x, axis) -> np.ndarray:
    """A scalar, or a vector shaped so that it broadcasts along `axis` of x; in f32."""
    vector = np.asarray(vector, np.float32)
    if vector.ndim == 0:
        return vector
    shape = [1] * x.ndim
    shape[int(axis)] = vector.size
    return vector.reshape(shape)
