//! Convolutions against the reference, for every instruction set and odd geometries.

use super::*;
use crate::gemm::{BatchBias, Precision, Residual, WeightShape, bf16};
use crate::isa::Isa;
use crate::math::Activation;
use crate::testing::{Random, assert_close, sum_tolerance};

fn random_shape(random: &mut Random) -> ConvShape {
    let kernel = [random.integer(1, 4), random.integer(1, 4)];
    let mut pad = || random.integer(0, 2);
    let padding = Padding { top: pad(), left: pad(), bottom: pad(), right: pad() };
    ConvShape {
        batch: random.integer(1, 3),
        height: random.integer(1, 9),
        width: random.integer(1, 9),
        in_channels: random.integer(1, 20),
        out_channels: random.integer(1, 40),
        kernel,
        stride: [random.integer(1, 3), random.integer(1, 3)],
        padding,
        upsample: random.integer(1, 2),
    }
}

fn check(shape: ConvShape, isa: Isa, pool: &Pool, random: &mut Random) {
    let (x_gap, out_gap) = (random.integer(0, 2), random.integer(0, 2));
    let (x_stride, out_stride) = (shape.in_channels + x_gap, shape.out_channels + out_gap);
    let x = random.vector(shape.batch * shape.height * shape.width * x_stride);
    // Sums of about 1, where no activation hides or magnifies their errors.
    let scale = ((shape.in_channels * shape.taps()) as f32).sqrt().recip();
    let mut weights = random.vector(shape.out_channels * shape.in_channels * shape.taps());
    weights.iter_mut().for_each(|weight| *weight *= scale);
    let bias = random.vector(shape.out_channels);
    let batch_bias = random.vector(shape.batch * shape.out_channels);
    let residual = random.vector(shape.out_rows() * shape.out_channels);
    let rows = shape.out_height() * shape.out_width();
    let epilogue = Epilogue {
        bias: random.coin().then_some(&bias),
        batch_bias: random.coin().then_some(BatchBias { values: &batch_bias, rows }),
        pre: random.choose(&Activation::ALL),
        residual: random
            .coin()
            .then_some(Residual { values: &residual, stride: shape.out_channels }),
        post: random.choose(&[Activation::Identity, Activation::Relu]),
    };
    let mut want = vec![7.0; shape.out_rows() * out_stride];
    let mut got = want.clone();
    reference::conv2d(&shape, 1, &x, x_stride, &weights, &epilogue, &mut want, out_stride);
    let weight_shape =
        WeightShape { outputs: shape.out_channels, inputs: shape.in_channels, taps: shape.taps() };
    let packed =
        PackedWeights::from_slice(isa, pool, Precision::F32, weight_shape, false, &weights);
    conv2d(pool, &shape, &x, x_stride, &packed, &epilogue, &mut [], &mut got, out_stride);
    assert_close(&got, &want, sum_tolerance(shape.in_channels * shape.taps()), &(isa, shape));

    // In bf16 the same, of the rounded operands.
    let [x_rounded, weights_rounded] = [&x, &weights].map(|values| bf16::rounded(values));
    want.fill(7.0);
    got.fill(7.0);
    let (out, stride) = (&mut want, out_stride);
    reference::conv2d(&shape, 1, &x_rounded, x_stride, &weights_rounded, &epilogue, out, stride);
    let packed =
        PackedWeights::from_slice(isa, pool, Precision::Bf16, weight_shape, false, &weights);
    let mut scratch = vec![f32::NAN; packed.scratch_len(shape.pixels())];
    let (scratch, out) = (&mut scratch, &mut got);
    conv2d(pool, &shape, &x, x_stride, &packed, &epilogue, scratch, out, stride);
    let tolerance = sum_tolerance(shape.in_channels * shape.taps());
    assert_close(&got, &want, tolerance, &(isa, "bf16", shape));
}

#[test]
fn random_shapes_match_the_reference() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let mut random = Random::new(11);
        let mut tried = 0;
        while tried < 300 {
            let shape = random_shape(&mut random);
            if shape.out_rows() > 0 {
                check(shape, isa, &pool, &mut random);
                tried += 1;
            }
        }
    }
}

#[test]
fn windows_whose_rows_are_read_as_one() {
    let pool = Pool::new(2);
    let wide = ConvShape { height: 11, width: 40, ..ConvShape::same3x3(2, 11, 40, 16, 19) };
    let shapes = [
        ConvShape { stride: [2, 2], ..wide },
        ConvShape { stride: [1, 3], in_channels: 3, ..wide },
        ConvShape { in_channels: MOST_JOINED, ..wide },
        ConvShape { in_channels: MOST_JOINED + 1, ..wide },
        ConvShape { kernel: [2, 4], in_channels: 5, ..wide },
        ConvShape { kernel: [7, 7], padding: Padding::all(3), ..wide },
        ConvShape { upsample: 2, ..wide },
    ];
    for isa in Isa::available() {
        let mut random = Random::new(17);
        for shape in shapes {
            // Some with a gap between pixels, and some without.
            for _ in 0..4 {
                check(shape, isa, &pool, &mut random);
            }
        }
    }
}

#[test]
fn the_models_geometries() {
    let pool = Pool::new(2);
    let same = ConvShape::same3x3(2, 7, 5, 33, 70);
    let bottom_right = Padding { bottom: 1, right: 1, ..Padding::default() };
    let shapes = [
        same,
        ConvShape { stride: [2, 2], ..same },
        ConvShape { stride: [2, 2], padding: bottom_right, height: 8, width: 6, ..same },
        ConvShape { upsample: 2, ..same },
        ConvShape { kernel: [1, 1], padding: Padding::default(), ..same },
        ConvShape { kernel: [7, 7], padding: Padding::all(3), ..same },
        ConvShape { height: 1, width: 1, ..same },
        ConvShape { in_channels: 3, out_channels: 4, ..same },
    ];
    for isa in Isa::available() {
        let mut random = Random::new(5);
        for shape in shapes {
            check(shape, isa, &pool, &mut random);
        }
    }
}

#[test]
fn sums_in_several_passes() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let mut random = Random::new(6);
        let in_channels = (1 << 16) / isa.tile_vectors() / isa.lanes();
        let shape = ConvShape::same3x3(1, 3, 5, in_channels, isa.tile_vectors() * isa.lanes() + 3);
        check(shape, isa, &pool, &mut random);
    }
}

#[test]
fn grouped_convolutions_match_the_reference() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let mut random = Random::new(9);
        for _ in 0..60 {
            let groups = random.integer(1, 5);
            let base = random_shape(&mut random);
            let (in_channels, out_channels) =
                (groups * random.integer(1, 4), groups * random.integer(1, 20));
            let shape = ConvShape { in_channels, out_channels, ..base };
            let x = random.vector(shape.batch * shape.height * shape.width * in_channels);
            let weights = random.vector(out_channels * in_channels / groups * shape.taps());
            let bias = random.vector(out_channels);
            let epilogue = Epilogue { pre: Activation::Silu, ..Epilogue::bias(&bias) };
            let mut want = vec![7.0; shape.out_rows() * (out_channels + 1)];
            let mut got = want.clone();
            let stride = out_channels + 1;
            reference::conv2d(
                &shape,
                groups,
                &x,
                in_channels,
                &weights,
                &epilogue,
                &mut want,
                stride,
            );
            conv2d_grouped(
                isa,
                &pool,
                &shape,
                groups,
                &x,
                in_channels,
                &weights,
                &epilogue,
                &mut got,
                stride,
            );
            let tolerance = sum_tolerance(in_channels / groups * shape.taps());
            assert_close(&got, &want, tolerance, &(isa, groups, shape));
        }
    }
}
