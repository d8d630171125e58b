"""Compressed weights: packages that coremltools writes, against what it decompresses itself."""

import unittest

import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from milcheck.dtypes import unpack_bits
from milcheck.execute import Executor
from milcheck.package import Package

from . import build

RNG = np.random.default_rng(11)
# Both sides compute in fp16 or finer; coremltools rounds scale * (q - zero) to fp16.
RELATIVE_TOLERANCE = 2**-10


def numbers(name, *shape):
    """Random values over all of a type's range, in the type that the builder takes."""
    dtype = getattr(types, name)
    bits, signed = dtype.get_bitwidth(), not dtype.is_unsigned()
    low = -(1 << (bits - 1)) if signed else 0
    return RNG.integers(low, low + (1 << bits), shape).astype(types.nptype_from_builtin(dtype))


def half(*shape):
    return RNG.normal(size=shape).astype(np.float16)


def bits(*shape):
    return numbers("uint1", *shape)


def packed(mask):
    return np.packbits(mask.reshape(-1), bitorder="little")


def macos_14():
    """Each form of macOS 13 and 14, weights of [8, 6]."""
    shape = np.uint32([8, 6])
    for name, zero in (("int8", numbers("int8", 8)), ("uint8", np.uint8(7))):
        yield (
            f"affine {name}",
            lambda name=name, zero=zero: mb.constexpr_affine_dequantize(
                quantized_data=numbers(name, 8, 6),
                zero_point=zero,
                scale=half(8) if zero.ndim else np.float16(0.1),
                axis=0,
            ),
        )
    for n in (1, 2, 4, 6, 8):
        yield (
            f"palette {n}",
            lambda n=n: mb.constexpr_lut_to_dense(indices=numbers("uint8", 48 * n // 8), lut=half(1 << n), shape=shape),
        )
    mask = RNG.integers(0, 2, (8, 6), dtype=np.uint8)
    yield (
        "sparse",
        lambda: mb.constexpr_sparse_to_dense(nonzero_data=half(int(mask.sum())), mask=packed(mask), shape=shape),
    )


def macos_15():
    """Each form of macOS 15, weights of [8, 6]."""
    for name in ("int4", "uint4", "int8", "uint8"):
        yield (
            f"shift scale {name}",
            lambda name=name: mb.constexpr_blockwise_shift_scale(
                data=numbers(name, 8, 6), scale=half(8, 3), offset=numbers(name, 8, 3)
            ),
        )
    yield (
        "shift scale without offset",
        lambda: mb.constexpr_blockwise_shift_scale(data=numbers("int4", 8, 6), scale=half(8, 1)),
    )
    for n in (1, 2, 3, 4, 6, 8):
        yield (
            f"palette {n}",
            lambda n=n: mb.constexpr_lut_to_dense(indices=numbers(f"uint{n}", 8, 6), lut=half(2, 1, 1 << n, 1)),
        )
    for axis, shape in ((0, (4, 6)), (1, (8, 3))):
        yield (
            f"vector palette {axis}",
            lambda axis=axis, shape=shape: mb.constexpr_lut_to_dense(
                indices=numbers("uint2", *shape), lut=half(1, 1, 4, 2), vector_axis=axis
            ),
        )
    yield "sparse", sparse
    yield "sparse shift scale", sparse_shift_scale
    yield "sparse palette", sparse_palette
    yield "scales from a palette", palette_then_scale


def sparse():
    mask = bits(8, 6)
    return mb.constexpr_sparse_to_dense(nonzero_data=half(np.count_nonzero(mask)), mask=mask)


def sparse_shift_scale():
    mask = bits(8, 6)
    data = numbers("int4", np.count_nonzero(mask))
    mask, data = mb.constexpr_sparse_blockwise_shift_scale(data_mask=mask, nonzero_data=data, scale=half(8, 1))
    return mb.constexpr_sparse_to_dense(nonzero_data=data, mask=mask)


def sparse_palette():
    mask = bits(4, 6)
    indices = numbers("uint2", np.count_nonzero(mask))
    mask, data = mb.constexpr_lut_to_sparse(
        indices_mask=mask, indices_nonzero_data=indices, lut=half(1, 1, 4, 2), vector_axis=0
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=data, mask=mask)


def palette_then_scale():
    indices, lut = numbers("uint4", 8, 6), numbers("int8", 1, 1, 16, 1)
    weight = mb.constexpr_lut_to_dense(indices=indices, lut=lut)
    return mb.constexpr_blockwise_shift_scale(data=weight, scale=half(8, 1))


class CompressedWeights(unittest.TestCase):
    def test_macos_14(self):
        for name, make in macos_14():
            with self.subTest(name):
                self.check(make, build.MACOS_14)

    def test_macos_15(self):
        for name, make in macos_15():
            with self.subTest(name):
                self.check(make, build.MACOS_15)

    def check(self, make, target):
        wanted = {}

        def program(x):
            weight = make()
            wanted["weight"] = weight.op.materialized_val_inference()
            return mb.linear(x=x, weight=weight, bias=np.zeros(8, np.float16), name="result")

        path = build.write(program, {"x": (6, 6)}, target)
        identity = np.eye(6, dtype=np.float32)
        got = Executor(Package(path), "main").run({"x": identity})["result"]
        want = wanted["weight"].astype(np.float32)
        self.assertEqual(want.shape, (8, 6))
        np.testing.assert_allclose(got.T, want, rtol=RELATIVE_TOLERANCE, atol=1e-6)


class Bits(unittest.TestCase):
    def test_fields_straddle_bytes(self):
        # 6-bit fields 1, 2, 3, 4 in three bytes, from the least significant bit on.
        word = 1 | 2 << 6 | 3 << 12 | 4 << 18
        self.assertEqual(unpack_bits(word.to_bytes(3, "little"), 4, 6).tolist(), [1, 2, 3, 4])

    def test_signed_fields(self):
        self.assertEqual(unpack_bits(b"\x8f", 2, 4, signed=True).tolist(), [-1, -8])
