"""Operations against formulas written as loops, NumPy's own words, or known values."""

import itertools
import math
import unittest

import numpy as np

from milcheck.errors import ExecutionError
from milcheck.ops import OPS

RNG = np.random.default_rng(3)


def run(kind, **parameters):
    """The only output of an operation."""
    (result,) = OPS[kind].run(parameters)
    return result


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def naive_conv(x, weight, bias, strides, pad, dilations, groups):
    """Every output pixel as one sum, in f64."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), pad[:2], pad[2:]])
    out, per_group, kernel_h, kernel_w = weight.shape
    rows, columns = (
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], (kernel_h, kernel_w), strides, dilations, strict=True)
    )
    y = np.zeros((x.shape[0], out, rows, columns))
    for n, o, r, c in np.ndindex(*y.shape):
        first = o // (out // groups) * per_group
        top, left = r * strides[0], c * strides[1]
        seen = x[n, first : first + per_group]
        seen = seen[:, top : top + dilations[0] * kernel_h : dilations[0]][:, :, left:]
        seen = seen[:, :kernel_h, : dilations[1] * kernel_w : dilations[1]]
        y[n, o, r, c] = (seen * weight[o]).sum() + bias[o]
    return y


class Layers(unittest.TestCase):
    def test_convolution(self):
        cases = [
            ((1, 1), (1, 1, 1, 1), (1, 1), 1),
            ((2, 2), (0, 1, 0, 1), (1, 1), 1),
            ((2, 1), (2, 0, 1, 3), (1, 2), 2),
            ((1, 1), (0, 0, 0, 0), (2, 1), 4),
        ]
        for strides, pad, dilations, groups in cases:
            with self.subTest(strides=strides, pad=pad, dilations=dilations, groups=groups):
                x, weight, bias = normal(2, 4, 9, 8), normal(8, 4 // groups, 3, 2), normal(8)
                got = run(
                    "conv", x=x, weight=weight, bias=bias, strides=strides, pad_type="custom", pad=pad,
                    dilations=dilations, groups=groups,
                )  # fmt: skip
                want = naive_conv(x, weight, bias, strides, pad, dilations, groups)
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)

    def test_padding_by_name(self):
        x, weight = normal(1, 2, 5, 6), normal(3, 2, 3, 3)
        common = {"weight": weight, "strides": (2, 2), "dilations": (1, 1), "groups": 1, "pad": (0, 0, 0, 0)}
        same = run("conv", x=x, pad_type="same", **common)
        want = naive_conv(x, weight, np.zeros(3), (2, 2), (1, 1, 0, 1), (1, 1), 1)
        np.testing.assert_allclose(same, want, rtol=1e-5, atol=1e-5)
        valid = run("conv", x=x, pad_type="valid", **common)
        want = naive_conv(x, weight, np.zeros(3), (2, 2), (0, 0, 0, 0), (1, 1), 1)
        np.testing.assert_allclose(valid, want, rtol=1e-5, atol=1e-5)

    def test_channels_that_do_not_fit(self):
        with self.assertRaisesRegex(ExecutionError, "4 channels meet a weight for 1 x 3"):
            run(
                "conv", x=normal(1, 4, 3, 3), weight=normal(2, 3, 1, 1), strides=(1, 1), pad_type="valid",
                pad=(0, 0, 0, 0), dilations=(1, 1), groups=1,
            )  # fmt: skip

    def test_attention(self):
        q, k, v = normal(2, 3, 5, 4), normal(2, 3, 7, 4), normal(2, 3, 7, 6)
        allowed = RNG.random((5, 7)) < 0.7
        allowed[:, 0] = True
        masks = {"none": None, "boolean": allowed, "added": normal(5, 7)}
        for name, mask in masks.items():
            with self.subTest(name):
                got = run("scaled_dot_product_attention", query=q, key=k, value=v, attn_mask=mask)
                added = {"none": np.zeros((5, 7)), "boolean": np.where(allowed, 0, -math.inf), "added": mask}[name]
                for b, h, i in np.ndindex(2, 3, 5):
                    scores = np.array([q[b, h, i] @ k[b, h, j] for j in range(7)], np.float64) / 2 + added[i]
                    weights = np.exp(scores) / np.exp(scores).sum()
                    np.testing.assert_allclose(got[b, h, i], weights @ v[b, h], rtol=1e-5, atol=1e-6)

    def test_matmul_and_linear(self):
        x, y, bias = normal(2, 3, 4), normal(2, 5, 4), normal(5)
        want = np.einsum("bik,bjk->bij", x, y)
        got = run("matmul", x=x, y=y, transpose_x=False, transpose_y=True)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        got = run("matmul", x=np.swapaxes(x, 1, 2), y=np.swapaxes(y, 1, 2), transpose_x=True, transpose_y=False)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        got = run("linear", x=x, weight=y[0], bias=bias)
        np.testing.assert_allclose(got, np.einsum("bik,jk->bij", x, y[0]) + bias, rtol=1e-5)

    def test_norms(self):
        x, gamma, beta = normal(2, 6, 3, 4), normal(6), normal(6)
        got = run("batch_norm", x=x, mean=beta, variance=gamma**2, gamma=gamma, beta=beta, epsilon=0.5)
        for c in range(6):
            want = (x[:, c] - beta[c]) / math.sqrt(gamma[c] ** 2 + 0.5) * gamma[c] + beta[c]
            np.testing.assert_allclose(got[:, c], want, rtol=1e-5, atol=1e-6)
        got = run("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=0.5)
        for n, c in np.ndindex(2, 6):
            want = (x[n, c] - x[n, c].mean()) / math.sqrt(x[n, c].var() + 0.5) * gamma[c] + beta[c]
            np.testing.assert_allclose(got[n, c], want, rtol=1e-5, atol=1e-6)
        weight = normal(6, 4)
        got = run("layer_norm", x=x, axes=(1, -1), gamma=weight, beta=-weight, epsilon=0.5)
        for n, h in np.ndindex(2, 3):
            seen = x[n, :, h]
            want = (seen - seen.mean()) / math.sqrt(seen.var() + 0.5) * weight - weight
            np.testing.assert_allclose(got[n, :, h], want, rtol=1e-5, atol=1e-6)

    def test_softmax_survives_large_scores(self):
        got = run("softmax", x=np.float32([[1e4, 1e4, -1e4]]), axis=-1)
        np.testing.assert_allclose(got, [[0.5, 0.5, 0]])


class Elements(unittest.TestCase):
    def test_activations(self):
        x = np.linspace(-90, 90, 721, dtype=np.float32)
        formulas = {
            "relu": lambda v: max(v, 0),
            "silu": lambda v: v / (1 + math.exp(-v)),
            "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
            "tanh": math.tanh,
            "erf": math.erf,
            "softplus": lambda v: math.log1p(math.exp(v)),
        }
        for kind, formula in formulas.items():
            with self.subTest(kind):
                want = [formula(float(v)) for v in x]
                np.testing.assert_allclose(run(kind, x=x), want, rtol=2e-6, atol=1e-30)

    def test_error_function_between_its_grids_points(self):
        x = np.linspace(-6, 6, 9973, dtype=np.float32)
        want = [math.erf(float(v)) for v in x]
        np.testing.assert_allclose(run("erf", x=x), want, rtol=1.2e-7, atol=1e-9)
        unusual = np.float32([np.inf, -np.inf, np.nan])
        np.testing.assert_array_equal(run("erf", x=unusual), [1, -1, np.nan])

    def test_gelu_modes(self):
        x = np.linspace(-5, 5, 101, dtype=np.float32)
        inner = [math.sqrt(2 / math.pi) * (v + 0.044715 * v**3) for v in x.astype(float)]
        wants = {
            "EXACT": [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.astype(float)],
            "TANH_APPROXIMATION": [v * (1 + math.tanh(i)) / 2 for v, i in zip(x.astype(float), inner, strict=True)],
            "SIGMOID_APPROXIMATION": [v / (1 + math.exp(-1.702 * v)) for v in x.astype(float)],
        }
        for mode, want in wants.items():
            with self.subTest(mode):
                np.testing.assert_allclose(run("gelu", x=x, mode=mode), want, rtol=1e-5, atol=1e-6)
        with self.assertRaisesRegex(ExecutionError, "mode 'FAST'"):
            run("gelu", x=x, mode="FAST")

    def test_casts(self):
        x = np.float32([-1.7, 0.0, 2.5])
        self.assertEqual(run("cast", x=x, dtype="int32").tolist(), [-1, 0, 2])
        self.assertEqual(run("cast", x=x, dtype="bool").tolist(), [True, False, True])
        self.assertEqual(run("cast", x=np.array([True, False]), dtype="fp16").tolist(), [1.0, 0.0])

    def test_quantisation(self):
        x = np.float32([[-100, 0.25], [0.75, 100]])
        scale, zero = np.float32([0.5, 1]), np.int8([1, -1])
        q = run("quantize", input=x, scale=scale, zero_point=zero, output_dtype="int8", axis=0)
        self.assertEqual(q.tolist(), [[-128, 1], [0, 99]])
        back = run("dequantize", input=q, scale=scale, zero_point=zero, axis=0)
        self.assertEqual(back.tolist(), [[-64.5, 0], [1, 100]])

    def test_missing_and_unknown_parameters(self):
        with self.assertRaisesRegex(ExecutionError, "alpha"):
            run("clip", x=np.float32([1]), beta=np.float32(2))
        with self.assertRaisesRegex(ExecutionError, "gamma"):
            run("clip", x=np.float32([1]), alpha=np.float32(0), beta=np.float32(2), gamma=1)


class Shapes(unittest.TestCase):
    def test_slices(self):
        x = np.arange(24).reshape(4, 6)
        got = run("slice_by_index", x=x, begin=[1, -4], end=[3, 0], end_mask=[False, True])
        self.assertEqual(got.tolist(), x[1:3, -4:].tolist())
        got = run("slice_by_index", x=x, begin=[2, 5], end=[0, 0], stride=[1, -2], squeeze_mask=[True, False])
        self.assertEqual(got.tolist(), [x[2, 5], x[2, 3], x[2, 1]])
        got = run("slice_by_size", x=x, begin=[1, 2], size=[2, -1])
        self.assertEqual(got.tolist(), x[1:3, 2:].tolist())

    def test_split_and_join(self):
        x = np.arange(12).reshape(2, 6)
        parts = OPS["split"].run({"x": x, "axis": 1, "split_sizes": [1, 3, 2]})
        self.assertEqual([part.shape for part in parts], [(2, 1), (2, 3), (2, 2)])
        self.assertEqual(run("concat", values=list(parts), axis=-1, interleave=False).tolist(), x.tolist())
        got = run("concat", values=[x[:, :2], 10 * x[:, :2]], axis=1, interleave=True)
        self.assertEqual(got.tolist(), [[0, 0, 1, 10], [6, 60, 7, 70]])
        with self.assertRaisesRegex(ExecutionError, "of an extent of 6"):
            OPS["split"].run({"x": x, "axis": 1, "split_sizes": [1, 3]})

    def test_gathers(self):
        x = np.arange(24).reshape(2, 3, 4)
        indices = np.int32([[2, -1], [0, 1]])
        got = run("gather", x=x, indices=indices, axis=1)
        for b, i, j in np.ndindex(2, 2, 2):
            self.assertEqual(got[b, i, j].tolist(), x[b, indices[i, j]].tolist())
        got = run("gather", x=x, indices=indices, axis=1, batch_dims=1)
        for b, i in np.ndindex(2, 2):
            self.assertEqual(got[b, i].tolist(), x[b, indices[b, i]].tolist())
        got = run("gather_nd", x=x, indices=np.int32([[0, 2], [1, 0]]))
        self.assertEqual(got.tolist(), [x[0, 2].tolist(), x[1, 0].tolist()])
        with self.assertRaisesRegex(ExecutionError, "of an extent of 3"):
            run("gather", x=x, indices=np.int32([3]), axis=1)

    def test_reductions(self):
        x = normal(2, 3, 4)
        got = run("reduce_mean", x=x, axes=[0, -1], keep_dims=True)
        want = [sum(x[a, b, c] for a, c in itertools.product(range(2), range(4))) / 8 for b in range(3)]
        np.testing.assert_allclose(got.reshape(-1), want, rtol=1e-5)
        self.assertEqual(got.shape, (1, 3, 1))
        self.assertEqual(run("reduce_argmax", x=x, axis=1, keep_dims=False).tolist(), x.argmax(1).tolist())
        self.assertEqual(run("reduce_max", x=x, axes=None, keep_dims=False), x.max())

    def test_pads(self):
        x = np.float32([[1, 2, 3]])
        zero = np.float32(0)
        pads = {"constant": [0, 1, 2, 3, 0], "reflect": [2, 1, 2, 3, 2], "replicate": [1, 1, 2, 3, 3]}
        for mode, want in pads.items():
            with self.subTest(mode):
                self.assertEqual(run("pad", x=x, pad=[0, 0, 1, 1], mode=mode, constant_val=zero).tolist(), [want])

    def test_enlargements(self):
        x = np.float32([[[1, 2], [3, 4]]])
        got = run("upsample_nearest_neighbor", x=x, scale_factor_height=2.0, scale_factor_width=1)
        self.assertEqual(got.tolist(), [[[1, 2], [1, 2], [3, 4], [3, 4]]])
        with self.assertRaisesRegex(ExecutionError, "whole factors"):
            run("upsample_nearest_neighbor", x=x, scale_factor_height=1.5, scale_factor_width=1)
        row = np.float32([[[0, 4]]])
        scale = {"scale_factor_height": 1, "scale_factor_width": 2}
        got = run("upsample_bilinear", x=row, align_corners=False, half_pixel_centers=True, **scale)
        self.assertEqual(got.tolist(), [[[0, 1, 3, 4]]])
        got = run("upsample_bilinear", x=row, align_corners=True, half_pixel_centers=False, **scale)
        np.testing.assert_allclose(got, [[[0, 4 / 3, 8 / 3, 4]]], rtol=1e-6)

    def test_band(self):
        got = run("band_part", x=np.ones((3, 3)), lower=-1, upper=0)
        self.assertEqual(got.tolist(), np.tril(np.ones((3, 3))).tolist())

    def test_axes_are_checked(self):
        with self.assertRaisesRegex(ExecutionError, "axis 3 of a value of rank 2"):
            run("reduce_sum", x=np.ones((2, 2)), axes=[3], keep_dims=False)
