"""Layers: convolution, linear, attention, normalisation, softmax."""

import math

import numpy as np

from ..errors import ExecutionError
from .table import axes_of, ints, op, scalar

# Of a convolution's windows: a few MiB of f32.
CACHED_NUMBERS = 1 << 20


@op("conv")
def conv(x, weight, strides, pad_type, pad, dilations, groups, bias=None):
    """x: [batch, in, ..space], weight: [out, in / groups, ..kernel]; a cross-correlation."""
    strides, dilations, groups = ints(strides), ints(dilations), int(groups)
    kernel = weight.shape[2:]
    x = _pad_space(x, str(pad_type), ints(pad), kernel, strides, dilations)
    if x.shape[1] != weight.shape[1] * groups:
        raise ExecutionError(f"{x.shape[1]} channels meet a weight for {groups} x {weight.shape[1]}")
    batch, out = x.shape[0], weight.shape[0]
    seen = _windows(x.reshape(batch, groups, -1, *x.shape[2:]), kernel, strides, dilations)
    total = _products(weight.reshape(groups, out // groups, -1), seen, len(kernel))
    total = total.reshape(batch, out, *total.shape[3:])
    return total if bias is None else total + bias.reshape(-1, *[1] * len(kernel))


def _windows(x, kernel, strides, dilations):
    """What each output sees, a view: [batch, groups, in, ..kernel, ..space] of x: [batch, groups, in, ..space]."""
    rank = len(kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(3, 3 + rank)))
    steps = [slice(None, None, step) for step in (*strides, *dilations)]
    seen = seen[(slice(None),) * 3 + tuple(steps)]
    return np.moveaxis(seen, range(3, 3 + rank), range(3 + rank, 3 + 2 * rank))


def _products(weight, seen, rank):
    """weight: [groups, out, in * kernel]; gives [batch, groups, out, ..space].

    Windows are copied for a matrix product so many rows at a time as stay in a cache.
    """
    space = seen.shape[3 + rank :]
    total = np.empty((*seen.shape[:2], weight.shape[1], *space), np.float32)
    row = seen.size // max(space[0], 1)
    rows = max(CACHED_NUMBERS // max(row, 1), 1)
    for first in range(0, space[0], rows):
        block = seen[(slice(None),) * (3 + rank) + (slice(first, first + rows),)]
        columns = block.reshape(*seen.shape[:2], weight.shape[2], -1)
        shape = (*total.shape[:3], *block.shape[3 + rank :])
        total[:, :, :, first : first + rows] = (weight @ columns).reshape(shape)
    return total


def _pad_space(x, pad_type, pad, kernel, strides, dilations):
    """Zeros around the space axes: `pad` is [before, after] of each, for "custom"."""
    if pad_type == "valid":
        return x
    if pad_type == "custom":
        pairs = list(zip(pad[::2], pad[1::2], strict=True))
    elif pad_type in ("same", "same_lower"):
        pairs = [
            _same(pad_type, extent, d * (k - 1) + 1, s)
            for extent, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)
        ]
    else:
        raise ExecutionError(f"pad_type {pad_type!r}")
    if len(pairs) != x.ndim - 2:
        raise ExecutionError(f"pad {pad} of {x.ndim - 2} axes")
    return np.pad(x, [(0, 0), (0, 0), *pairs])


def _same(pad_type, extent, kernel, stride):
    """As many zeros as give ceil(extent / stride) outputs, the odd one at the end or the start."""
    total = max((-(-extent // stride) - 1) * stride + kernel - extent, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if pad_type == "same" else (large, small)


@op("linear")
def linear(x, weight, bias=None):
    """x: [.., in], weight: [out, in]."""
    product = x @ weight.T
    return product if bias is None else product + bias


@op("matmul")
def matmul(x, y, transpose_x, transpose_y):
    x = np.swapaxes(x, -1, -2) if transpose_x else x
    y = np.swapaxes(y, -1, -2) if transpose_y else y
    return x @ y


@op("einsum", result=lambda _values, dtypes: dtypes["values"])
def einsum(values, equation):
    return np.einsum(str(equation), *values, optimize=True)


def softmax_of(x, axis):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


@op("softmax")
def softmax(x, axis):
    return softmax_of(x, int(axis))


@op("scaled_dot_product_attention", result="query")
def scaled_dot_product_attention(query, key, value, attn_mask=None):
    """query: [.., queries, d], key: [.., keys, d], value: [.., keys, e]; scale 1 / sqrt(d).

    A mask of booleans says what a query may see, one of numbers is added to its scores.
    """
    scores = query @ np.swapaxes(key, -1, -2) / np.float32(math.sqrt(query.shape[-1]))
    if attn_mask is not None and attn_mask.dtype == np.bool_:
        scores = np.where(attn_mask, scores, -np.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return softmax_of(scores, -1) @ value


@op("batch_norm")
def batch_norm(x, mean, variance, epsilon, gamma=None, beta=None):
    """x: [batch, channels, ..]; the statistics are given."""
    return _scale_channels((x - _channels(mean, x)) / np.sqrt(_channels(variance, x) + scalar(epsilon)), gamma, beta)


@op("instance_norm")
def instance_norm(x, epsilon, gamma=None, beta=None):
    """x: [batch, channels, ..]; statistics over the space axes."""
    return _scale_channels(_normalise(x, tuple(range(2, x.ndim)), scalar(epsilon)), gamma, beta)


def _channels(vector, x):
    return vector.reshape(1, -1, *[1] * (x.ndim - 2))


def _scale_channels(x, gamma, beta):
    x = x if gamma is None else x * _channels(gamma, x)
    return x if beta is None else x + _channels(beta, x)


@op("layer_norm")
def layer_norm(x, axes, epsilon, gamma=None, beta=None):
    """gamma and beta have the extents of the normalised axes."""
    axes = axes_of(axes, x.ndim)
    shape = [extent if axis in axes else 1 for axis, extent in enumerate(x.shape)]
    x = _normalise(x, axes, scalar(epsilon))
    x = x if gamma is None else x * gamma.reshape(shape)
    return x if beta is None else x + beta.reshape(shape)


def _normalise(x, axes, epsilon):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + epsilon)
