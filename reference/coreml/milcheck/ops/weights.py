"""Compressed weights: every constexpr operation of macOS 13 to 15.

Those up to macOS 14 keep packed bytes in attributes, those of macOS 15 take typed
sub-byte arrays as inputs; the names are shared, so the parameters tell them apart.
"""

import math

import numpy as np

from ..dtypes import BY_NAME, unpack_bits
from ..errors import ExecutionError
from .table import along, ints, named_dtype, op

UINT1 = BY_NAME["uint1"]


@op("constexpr_affine_dequantize", result="scale")
def affine_dequantize(quantized_data, zero_point, scale, axis):
    """scale * (q - zero_point), both scalars or vectors along `axis`."""
    zero = along(zero_point, quantized_data, axis)
    return along(scale, quantized_data, axis) * (quantized_data.astype(np.float32) - zero)


@op("constexpr_cast", result=named_dtype("output_dtype"))
def constexpr_cast(source_val, output_dtype):
    return source_val


@op("constexpr_blockwise_shift_scale", result="scale")
def blockwise_shift_scale(data, scale, offset=None):
    """scale * (data - offset); each axis of `scale` divides that of `data` into blocks."""
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted = shifted - _spread(np.asarray(offset, np.float32), data.shape)
    return _spread(scale, data.shape) * shifted


@op("constexpr_lut_to_dense", result="lut")
def lut_to_dense(indices, lut, shape=None, vector_axis=None):
    if shape is not None:
        return _unpacked_lut(indices, lut, ints(shape))
    return _grouped_lut(indices, lut, vector_axis)


def _unpacked_lut(packed, lut, shape):
    """packed: uint8 bytes of log2(len(lut))-bit indices, least significant first."""
    bits = int(lut.size).bit_length() - 1
    count = math.prod(shape)
    need = (count * bits + 7) // 8
    if lut.size != 1 << bits or packed.size != need:
        raise ExecutionError(f"{packed.size} bytes of indices and {lut.size} entries for {count} elements")
    return lut[unpack_bits(packed.tobytes(), count, bits)].reshape(shape)


def _grouped_lut(indices, lut, vector_axis):
    """lut: [..groups, entries, vector]; the first axes divide those of `indices`."""
    *_groups, entries, vector = lut.shape
    if indices.max(initial=0) >= entries:
        raise ExecutionError(f"index {indices.max()} of {entries} entries")
    groups = np.arange(lut.size // (entries * vector), dtype=np.int32).reshape(lut.shape[:-2])
    rows = _spread(groups, indices.shape) * entries + indices
    chosen = lut.reshape(-1, vector)[rows]
    if vector == 1:
        return chosen[..., 0]
    axis = int(vector_axis) % indices.ndim
    shape = [extent * (vector if i == axis else 1) for i, extent in enumerate(indices.shape)]
    return np.moveaxis(chosen, -1, axis + 1).reshape(shape)


@op("constexpr_sparse_to_dense", result="nonzero_data")
def sparse_to_dense(nonzero_data, mask, shape=None):
    """Up to macOS 14 `mask` is packed bytes, in macOS 15 one element a value."""
    if shape is not None:
        wanted = ints(shape)
        mask = unpack_bits(mask.tobytes(), math.prod(wanted), 1).reshape(wanted)
    return _scatter(nonzero_data, mask)


@op("constexpr_lut_to_sparse", result=(UINT1, "lut"))
def lut_to_sparse(indices_mask, indices_nonzero_data, lut, vector_axis=None):
    dense = _grouped_lut(_scatter(indices_nonzero_data, indices_mask), lut, vector_axis)
    mask = indices_mask
    if lut.shape[-1] > 1:
        mask = mask.repeat(lut.shape[-1], int(vector_axis))
    return mask, dense[mask != 0]


@op("constexpr_sparse_blockwise_shift_scale", result=(UINT1, "scale"))
def sparse_blockwise_shift_scale(data_mask, nonzero_data, scale, offset=None):
    dense = blockwise_shift_scale(_scatter(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask != 0]


def _scatter(nonzero, mask):
    """The elements where the mask is set, in row-major order; zero elsewhere."""
    if np.count_nonzero(mask) != nonzero.size:
        raise ExecutionError(f"{nonzero.size} elements for a mask of {np.count_nonzero(mask)} ones")
    dense = np.zeros(mask.shape, nonzero.dtype)
    dense[mask != 0] = nonzero
    return dense


def _spread(values, shape):
    """Each element repeated over its block, up to `shape`."""
    if values.ndim != len(shape):
        raise ExecutionError(f"rank {values.ndim} beside rank {len(shape)}")
    for axis in range(len(shape)):
        if shape[axis] % values.shape[axis]:
            raise ExecutionError(f"{values.shape[axis]} blocks of an extent of {shape[axis]}")
        values = values.repeat(shape[axis] // values.shape[axis], axis)
    return values
