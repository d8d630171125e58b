"""Operations on each element: arithmetic, comparisons, activations, casts."""

import math

import numpy as np

from ..errors import ExecutionError
from .table import BOOL, OPS, Rule, along, named_dtype, op, scalar

# erf at a grid's points and how fast it rises there; from ERF_END on it is 1 in f32.
ERF_END, ERF_STEP = 4.0, 1 / 64
_points = np.arange(0, ERF_END + 2 * ERF_STEP, ERF_STEP)
_heights = np.array([math.erf(x) for x in _points])
_slopes = 2 / math.sqrt(math.pi) * np.exp(-np.square(_points)) * ERF_STEP


def erf(x):
    """The error function; NumPy has none. Cubic between a grid's points (Hermite), within 1e-9."""
    at = np.fmin(np.abs(x), ERF_END, dtype=np.float64) / ERF_STEP
    low = at.astype(np.intp)
    t = at - low
    rise = _heights[low + 1] - _heights[low]
    start, end = _slopes[low] - rise, rise - _slopes[low + 1]
    value = _heights[low] + t * (rise + (1 - t) * ((1 - t) * start + t * end))
    return np.where(np.isnan(x), x, np.copysign(value, x)).astype(np.float32)


def sigmoid(x):
    # exp never overflows: its argument is never positive.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _unary(name, function):
    OPS[name] = Rule(lambda x: function(x), ("x",))


def _binary(name, function, result="x"):
    OPS[name] = Rule(lambda x, y: function(x, y), (result,))


for _name, _function in {
    "abs": np.abs, "ceil": np.ceil, "cos": np.cos, "erf": erf, "exp": np.exp, "exp2": np.exp2,
    "floor": np.floor, "identity": lambda x: x, "logical_not": np.logical_not,
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6), "round": np.round,
    "sigmoid": sigmoid, "sign": np.sign, "silu": lambda x: x * sigmoid(x), "sin": np.sin,
    "softplus": lambda x: np.logaddexp(x, 0), "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": np.sqrt, "square": np.square, "tanh": np.tanh,
}.items():  # fmt: skip
    _unary(_name, _function)

for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "real_div": np.true_divide,
    "floor_div": np.floor_divide, "mod": np.mod, "pow": np.power, "maximum": np.maximum,
    "minimum": np.minimum,
}.items():  # fmt: skip
    _binary(_name, _function)

for _name, _function in {
    "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater, "less": np.less,
    "greater_equal": np.greater_equal, "less_equal": np.less_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}.items():  # fmt: skip
    _binary(_name, _function, BOOL)


@op("gelu")
def gelu(x, mode):
    match str(mode):
        case "EXACT":
            return x * (1 + erf(x / math.sqrt(2))) / 2
        case "TANH_APPROXIMATION":
            return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
        case "SIGMOID_APPROXIMATION":
            return x * sigmoid(1.702 * x)
        case other:
            raise ExecutionError(f"mode {other!r}")


@op("clip")
def clip(x, alpha, beta):
    return np.clip(x, scalar(alpha), scalar(beta))


@op("linear_activation")
def linear_activation(x, alpha, beta):
    return x * scalar(alpha) + scalar(beta)


@op("leaky_relu")
def leaky_relu(x, alpha):
    return np.where(x >= 0, x, x * scalar(alpha))


@op("threshold")
def threshold(x, alpha):
    return np.maximum(x, scalar(alpha))


@op("rsqrt")
def rsqrt(x, epsilon):
    return 1 / np.sqrt(x + scalar(epsilon))


@op("inverse")
def inverse(x, epsilon):
    return 1 / (x + scalar(epsilon))


@op("log")
def log(x, epsilon):
    return np.log(x + scalar(epsilon))


@op("cast", result=named_dtype("dtype"))
def cast(x, dtype):
    """Float to integer truncates towards zero."""
    name = str(dtype)
    if name.startswith("fp"):
        return np.asarray(x, np.float32)
    return np.asarray(x).astype({"bool": np.bool_}.get(name, name))


@op("select", result="a")
def select(cond, a, b):
    return np.where(cond, a, b)


@op("dequantize", result="scale")
def dequantize(input, scale, zero_point=None, axis=None):
    zero = 0 if zero_point is None else along(zero_point, input, axis)
    return (input.astype(np.float32) - zero) * along(scale, input, axis)


@op("quantize", result=named_dtype("output_dtype"))
def quantize(input, scale, output_dtype, zero_point=None, axis=None):
    """Rounds half to even, saturates."""
    limits = np.iinfo(str(output_dtype))
    zero = 0 if zero_point is None else along(zero_point, input, axis)
    steps = np.round(input / along(scale, input, axis)) + zero
    return np.clip(steps, limits.min, limits.max).astype(limits.dtype)
