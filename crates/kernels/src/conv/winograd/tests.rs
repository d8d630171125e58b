//! Every kind of minimal filtering against the reference, for every instruction set, on sizes that
//! are multiples of nothing.

use super::*;
use crate::conv::{Padding, reference};
use crate::gemm::{BatchBias, Residual};
use crate::math::Activation;
use crate::testing::{Random, assert_close, sum_tolerance};

/// How much larger the error of a sum may be than that of the direct one.
const GROWTH: f32 = 2.0;

fn random_shape(random: &mut Random, kind: Winograd) -> ConvShape {
    let mut pad = || random.integer(0, 2);
    let padding = Padding { top: pad(), left: pad(), bottom: pad(), right: pad() };
    let (padding, upsample) = match kind {
        Winograd::F4Enlarged => (Padding { top: 1, left: 1, ..padding }, 2),
        _ => (padding, random.integer(1, 2)),
    };
    ConvShape {
        batch: random.integer(1, 3),
        height: random.integer(1, 19),
        width: random.integer(1, 19),
        in_channels: random.integer(1, 40),
        out_channels: random.integer(1, 80),
        kernel: [3, 3],
        stride: [1, 1],
        padding,
        upsample,
    }
}

fn check(kind: Winograd, shape: ConvShape, isa: Isa, pool: &Pool, random: &mut Random) {
    let (x_gap, out_gap) = (random.integer(0, 2), random.integer(0, 2));
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let (x_stride, out_stride) = (inputs + x_gap, outputs + out_gap);
    let x = random.vector(shape.batch * shape.height * shape.width * x_stride);
    // Sums of about 1, where no activation hides or magnifies their errors.
    let scale = ((inputs * 9) as f32).sqrt().recip();
    let mut weights = random.vector(outputs * inputs * 9);
    weights.iter_mut().for_each(|weight| *weight *= scale);
    let bias = random.vector(outputs);
    let batch_bias = random.vector(shape.batch * outputs);
    let residual = random.vector(shape.out_rows() * outputs);
    let rows = shape.out_height() * shape.out_width();
    let epilogue = Epilogue {
        bias: random.coin().then_some(&bias),
        batch_bias: random.coin().then_some(BatchBias { values: &batch_bias, rows }),
        pre: random.choose(&Activation::ALL),
        residual: random.coin().then_some(Residual { values: &residual, stride: outputs }),
        post: random.choose(&[Activation::Identity, Activation::Relu]),
    };
    let mut want = vec![7.0; shape.out_rows() * out_stride];
    let mut got = want.clone();
    reference::conv2d(&shape, 1, &x, x_stride, &weights, &epilogue, &mut want, out_stride);
    let read = |start: usize, out: &mut [f32]| {
        out.copy_from_slice(&weights[start..start + out.len()]);
    };
    let packed = WinogradWeights::pack(isa, pool, kind, outputs, inputs, &read);
    let len = winograd_scratch_len(isa, pool.threads(), kind, &shape);
    let mut scratch = vec![f32::NAN; len];
    let scratch = &mut scratch[..];
    conv2d_winograd(pool, &shape, &x, x_stride, &packed, &epilogue, scratch, &mut got, out_stride);
    assert_close(&got, &want, GROWTH * sum_tolerance(inputs * 9), &(kind, isa, shape));
}

#[test]
fn random_shapes_match_the_reference() {
    let pools = [1, 3].map(Pool::new);
    for isa in Isa::available() {
        for kind in Winograd::ALL {
            let mut random = Random::new(21);
            let mut tried = 0;
            while tried < 60 {
                let shape = random_shape(&mut random, kind);
                if shape.out_rows() > 0 {
                    check(kind, shape, isa, &pools[tried % 2], &mut random);
                    tried += 1;
                }
            }
        }
    }
}

#[test]
fn the_models_geometries() {
    let pool = Pool::new(2);
    let same = ConvShape::same3x3(1, 16, 16, 16, 16);
    let shapes = [
        same,
        ConvShape { in_channels: 128, out_channels: 128, ..same },
        ConvShape { in_channels: 3, ..same },
        ConvShape { out_channels: 3, height: 32, width: 30, ..same },
        ConvShape { upsample: 2, ..same },
        ConvShape { height: 1, width: 1, ..same },
        ConvShape { height: 64, width: 64, ..same },
    ];
    for isa in Isa::available() {
        let mut random = Random::new(5);
        for kind in Winograd::ALL {
            for shape in shapes.iter().filter(|shape| kind.computes(shape)) {
                check(kind, *shape, isa, &pool, &mut random);
            }
        }
    }
}

#[test]
fn the_choice_is_one_that_computes() {
    let same = ConvShape::same3x3(1, 64, 64, 16, 16);
    assert_eq!(Winograd::choose(&same), Some(Winograd::F4));
    assert_eq!(Winograd::choose(&ConvShape { upsample: 2, ..same }), Some(Winograd::F4Enlarged));
    assert_eq!(Winograd::choose(&ConvShape { upsample: 4, ..same }), Some(Winograd::F4));
    assert_eq!(Winograd::choose(&ConvShape { stride: [2, 2], ..same }), None);
    assert_eq!(Winograd::choose(&ConvShape { kernel: [1, 3], ..same }), None);
    assert_eq!(Winograd::choose(&ConvShape { height: 1, ..same }), None);
    assert_eq!(Winograd::choose(&ConvShape { height: 3, ..same }), Some(Winograd::F2));
    assert_eq!(Winograd::choose(&ConvShape { in_channels: 320, ..same }), None);
    let unpaired = Padding { top: 0, ..same.padding };
    let unpaired = ConvShape { upsample: 2, padding: unpaired, ..same };
    assert_eq!(Winograd::choose(&unpaired), Some(Winograd::F4));
}

#[test]
fn every_tile_meets_every_panel_once_and_threads_have_work() {
    for threads in [1, 2, 3, 8, 30] {
        for side in [4, 15, 16, 33, 64] {
            for channels in [3, 16, 40, 128, 256] {
                let shape = ConvShape::same3x3(1, side, side, channels, channels);
                for isa in Isa::available() {
                    let blocks = Blocks::new(isa, threads, Winograd::F4, &shape);
                    let panels = channels.div_ceil(isa.tile_vectors() * isa.lanes());
                    let tiles = side.div_ceil(4) * side.div_ceil(4);
                    let mut met = vec![0; tiles * panels];
                    for task in 0..blocks.tasks() {
                        for tile in blocks.tiles_of(task) {
                            blocks
                                .panels_of(task)
                                .for_each(|panel| met[tile * panels + panel] += 1);
                        }
                    }
                    let context = (isa, threads, shape);
                    assert!(met.iter().all(|&times| times == 1), "{context:?}");
                    // As many tasks as there can be that have a row of tiles and a panel each.
                    let most = (tiles / isa.tile_rows()).max(1) * panels;
                    assert!(blocks.tasks() >= threads.min(most) / 2, "{context:?}");
                }
            }
        }
    }
}
