"""Operations that move, join, cut, repeat or choose elements, and reductions."""

import numpy as np

from ..errors import ExecutionError
from .table import INT32, OPS, Rule, axes_of, ints, op, scalar


@op("reshape")
def reshape(x, shape):
    """0 keeps an extent of x, one -1 takes what is left."""
    wanted = [x.shape[i] if extent == 0 else extent for i, extent in enumerate(ints(shape))]
    return x.reshape(wanted)


@op("transpose")
def transpose(x, perm):
    return x.transpose(axes_of(perm, x.ndim))


@op("expand_dims")
def expand_dims(x, axes):
    return np.expand_dims(x, axes_of(axes, x.ndim + len(ints(axes))))


@op("squeeze")
def squeeze(x, axes=None):
    return x.squeeze() if axes is None else x.squeeze(axes_of(axes, x.ndim))


@op("concat", result=lambda _values, dtypes: dtypes["values"])
def concat(values, axis, interleave):
    if not interleave:
        return np.concatenate(values, int(axis))
    (axis,) = axes_of(axis, values[0].ndim)
    return np.stack(values, axis + 1).reshape(*values[0].shape[:axis], -1, *values[0].shape[axis + 1 :])


@op("stack", result=lambda _values, dtypes: dtypes["values"])
def stack(values, axis):
    return np.stack(values, int(axis))


@op("split")
def split(x, axis, num_splits=None, split_sizes=None):
    """Both may be given, if they agree."""
    axis = int(axis)
    if split_sizes is None:
        return tuple(np.split(x, int(num_splits), axis))
    sizes = ints(split_sizes)
    if sum(sizes) != x.shape[axis]:
        raise ExecutionError(f"split_sizes {sizes} of an extent of {x.shape[axis]}")
    if num_splits is not None and int(num_splits) != len(sizes):
        raise ExecutionError(f"num_splits {int(num_splits)} with {len(sizes)} split_sizes")
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


@op("slice_by_index")
def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    """Python slices, an axis each; a mask frees an end, or takes one index and drops the axis."""
    ones, no = np.ones(x.ndim, int), np.zeros(x.ndim, bool)
    stride = ones if stride is None else stride
    masks = [no if mask is None else mask for mask in (begin_mask, end_mask, squeeze_mask)]
    index = []
    for axis, (free_begin, free_end, drop) in enumerate(zip(*masks, strict=True)):
        if drop:
            index.append(int(begin[axis]))
            continue
        first = None if free_begin else int(begin[axis])
        last = None if free_end else int(end[axis])
        index.append(slice(first, last, int(stride[axis])))
    return x[tuple(index)]


@op("slice_by_size")
def slice_by_size(x, begin, size):
    """A size of -1 reaches to the end."""
    begins, sizes = ints(begin), ints(size)
    ends = [x.shape[i] if n == -1 else b + n for i, (b, n) in enumerate(zip(begins, sizes, strict=True))]
    return x[tuple(slice(b, e) for b, e in zip(begins, ends, strict=True))]


@op("gather")
def gather(x, indices, axis, batch_dims=0, validate_indices=False):
    """x's slices along `axis`, chosen by indices; the first `batch_dims` axes go together."""
    (axis,) = axes_of(axis, x.ndim)
    batch = int(batch_dims)
    indices = _checked(indices, x.shape[axis])
    if batch == 0:
        return np.take(x, indices, axis)
    pairs = zip(x, indices, strict=True)
    return np.stack([gather(row, chosen, axis - 1, batch - 1) for row, chosen in pairs])


@op("gather_along_axis")
def gather_along_axis(x, indices, axis, validate_indices=False):
    (axis,) = axes_of(axis, x.ndim)
    return np.take_along_axis(x, _checked(indices, x.shape[axis]), axis)


@op("gather_nd")
def gather_nd(x, indices, batch_dims=0, validate_indices=False):
    if int(batch_dims):
        pairs = zip(x, indices, strict=True)
        return np.stack([gather_nd(row, chosen, int(batch_dims) - 1) for row, chosen in pairs])
    columns = np.moveaxis(indices, -1, 0)
    return x[tuple(_checked(column, x.shape[axis]) for axis, column in enumerate(columns))]


def _checked(indices, extent):
    """Indices counted from the front; ExecutionError if one is out of range."""
    indices = np.asarray(indices).astype(np.int64)
    if indices.size and not (-extent <= indices.min() and indices.max() < extent):
        raise ExecutionError(f"an index among {indices.min()}..={indices.max()} of an extent of {extent}")
    return indices % extent


@op("pad")
def pad(x, pad, mode, constant_val):
    """`pad` holds (before, after) of the last axes."""
    amounts = np.array(ints(pad)).reshape(-1, 2)
    widths = [(0, 0)] * (x.ndim - len(amounts)) + [tuple(map(int, pair)) for pair in amounts]
    match str(mode):
        case "constant":
            return np.pad(x, widths, constant_values=np.asarray(constant_val).astype(x.dtype))
        case "reflect":
            return np.pad(x, widths, "reflect")
        case "replicate":
            return np.pad(x, widths, "edge")
        case other:
            raise ExecutionError(f"mode {other!r}")


@op("tile")
def tile(x, reps):
    return np.tile(x, ints(reps))


@op("reverse")
def reverse(x, axes=None):
    return np.flip(x, None if axes is None else axes_of(axes, x.ndim))


@op("fill", result="value")
def fill(shape, value):
    return np.full(ints(shape), value)


@op("range_1d", result="start")
def range_1d(start, end, step):
    return np.arange(start, end, step).astype(np.asarray(start).dtype)


@op("cumsum")
def cumsum(x, axis, exclusive, reverse):
    (axis,) = axes_of(axis, x.ndim)
    x = np.flip(x, axis) if reverse else x
    total = np.cumsum(x, axis, dtype=x.dtype) - (x if exclusive else 0)
    return np.flip(total, axis) if reverse else total


@op("band_part")
def band_part(x, lower, upper):
    """Keeps the diagonals from `lower` below to `upper` above the main one; -1 keeps all."""
    lower, upper = int(lower), int(upper)
    rows, columns = np.indices(x.shape[-2:])
    keep = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return np.where(keep, x, np.zeros((), x.dtype))


@op("one_hot", result="on_value")
def one_hot(indices, one_hot_vector_size, axis, on_value, off_value):
    count = int(one_hot_vector_size)
    chosen = np.expand_dims(indices, -1) == np.arange(count)
    return np.moveaxis(np.where(chosen, on_value, off_value), -1, int(axis))


@op("upsample_nearest_neighbor")
def upsample_nearest_neighbor(x, scale_factor_height, scale_factor_width):
    return _repeat(x, (scalar(scale_factor_height), scalar(scale_factor_width)))


@op("resize_nearest_neighbor")
def resize_nearest_neighbor(x, target_size_height, target_size_width):
    targets = int(target_size_height), int(target_size_width)
    return _repeat(x, tuple(t / e for t, e in zip(targets, x.shape[-2:], strict=True)))


def _repeat(x, factors):
    """Pixels repeated; which pixel a fraction takes is nowhere defined, so only integers go."""
    if any(factor < 1 or factor != int(factor) for factor in factors):
        raise ExecutionError(f"enlarging by {factors}: only whole factors have one meaning")
    return x.repeat(int(factors[0]), -2).repeat(int(factors[1]), -1)


@op("upsample_bilinear")
def upsample_bilinear(x, scale_factor_height, scale_factor_width, align_corners, half_pixel_centers=None):
    """Without half_pixel_centers (before macOS 13) the centres are half pixels unless corners align."""
    corners = bool(align_corners)
    half = (not corners) if half_pixel_centers is None else bool(half_pixel_centers)
    x = _linear(x, -2, scalar(scale_factor_height), corners, half)
    return _linear(x, -1, scalar(scale_factor_width), corners, half)


def _linear(x, axis, factor, corners, half):
    """Linear interpolation along an axis to floor(extent * factor) samples."""
    extent = x.shape[axis]
    count = int(np.floor(extent * factor))
    at = np.arange(count, dtype=np.float64)
    if corners:
        at = at * (extent - 1) / max(count - 1, 1)
    elif half:
        at = (at + 0.5) / factor - 0.5
    else:
        at = at / factor
    at = np.clip(at, 0, extent - 1)
    low = np.floor(at).astype(int)
    weight = (at - low).astype(np.float32).reshape([-1] + [1] * (-axis - 1))
    high = np.minimum(low + 1, extent - 1)
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight


@op("pixel_shuffle")
def pixel_shuffle(x, upscale_factor):
    n, channels, h, w = x.shape
    r = int(upscale_factor)
    return x.reshape(n, channels // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * r, w * r)


def _reduce(name, function):
    def run(x, axes=None, keep_dims=False):
        axes = tuple(range(x.ndim)) if axes is None else axes_of(axes, x.ndim)
        return function(x, axes, bool(keep_dims))

    OPS[name] = Rule(run, ("x",))


for _name, _function in {
    "reduce_mean": lambda x, a, k: x.mean(a, keepdims=k),
    "reduce_sum": lambda x, a, k: x.sum(a, keepdims=k, dtype=x.dtype),
    "reduce_sum_square": lambda x, a, k: np.square(x).sum(a, keepdims=k, dtype=x.dtype),
    "reduce_prod": lambda x, a, k: x.prod(a, keepdims=k, dtype=x.dtype),
    "reduce_max": lambda x, a, k: x.max(a, keepdims=k),
    "reduce_min": lambda x, a, k: x.min(a, keepdims=k),
    "reduce_l1_norm": lambda x, a, k: np.abs(x).sum(a, keepdims=k),
    "reduce_l2_norm": lambda x, a, k: np.sqrt(np.square(x).sum(a, keepdims=k)),
}.items():
    _reduce(_name, _function)


@op("reduce_argmax", result=INT32)
def reduce_argmax(x, axis, keep_dims):
    return x.argmax(int(axis), keepdims=bool(keep_dims)).astype(np.int32)


@op("reduce_argmin", result=INT32)
def reduce_argmin(x, axis, keep_dims):
    return x.argmin(int(axis), keepdims=bool(keep_dims)).astype(np.int32)
