//! Every kind of minimal filtering against the reference, for every instruction set, on sizes that
//! are multiples of nothing.

use super::streamed::best_block;
use super::*;
use crate::conv::conv2d;
use crate::conv::{Padding, reference};
use crate::gemm::{BatchBias, PackedWeights, Precision, Residual, WeightShape};
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
    let growth = match is_streamed(shape.out_channels, shape.in_channels) {
        // The largest of as many errors lies as far beyond the direct kernel's as the usual one.
        true => GROWTH * growth(kind).max(1.0) as f32,
        false => GROWTH,
    };
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
    let packed = WinogradWeights::pack(isa, pool, kind, Precision::F32, [outputs, inputs], &read);
    let len = winograd_scratch_len(isa, pool.threads(), kind, Precision::F32, &shape);
    let mut scratch = vec![f32::NAN; len];
    let scratch = &mut scratch[..];
    conv2d_winograd(pool, &shape, &x, x_stride, &packed, &epilogue, scratch, &mut got, out_stride);
    assert_close(&got, &want, growth * sum_tolerance(inputs * 9), &(kind, isa, shape));

    for precision in [Precision::Bf16, Precision::Int8] {
        got.fill(7.0);
        let packed = WinogradWeights::pack(isa, pool, kind, precision, [outputs, inputs], &read);
        let len = winograd_scratch_len(isa, pool.threads(), kind, precision, &shape);
        let mut scratch = vec![f32::NAN; len];
        let (scratch, out) = (&mut scratch[..], &mut got[..]);
        conv2d_winograd(pool, &shape, &x, x_stride, &packed, &epilogue, scratch, out, out_stride);
        assert_close(
            &got,
            &want,
            rounding_tolerance(kind, precision),
            &(kind, precision, isa, shape),
        );
    }
}

/// The largest error that rounding may add to sums of about 1: of transformed inputs and filters to
/// bf16, and where int8 is asked for, of filters to that before they are transformed.
fn rounding_tolerance(kind: Winograd, asked: Precision) -> f32 {
    let of_transformed = match kind {
        Winograd::F2 => 0.03,
        Winograd::F4 => 0.1,
        // It keeps f32.
        Winograd::F4Enlarged => 1e-3,
    };
    of_transformed + if asked == Precision::Int8 { 0.03 } else { 0.0 }
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

/// Root of the mean square of the errors of an algorithm, `None` being the direct one, relative to
/// that of the results.
fn relative_error(
    kind: Option<Winograd>,
    precision: Precision,
    shape: &ConvShape,
    isa: Isa,
) -> f64 {
    let (pool, mut random) = (Pool::new(2), Random::new(3));
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let x = random.vector(shape.batch * shape.height * shape.width * inputs);
    let weights = random.vector(outputs * inputs * 9);
    let mut want = vec![0.0; shape.out_rows() * outputs];
    let mut got = want.clone();
    let epilogue = Epilogue::default();
    reference::conv2d(shape, 1, &x, inputs, &weights, &epilogue, &mut want, outputs);
    let read = |start: usize, out: &mut [f32]| {
        out.copy_from_slice(&weights[start..start + out.len()]);
    };
    if let Some(kind) = kind {
        let packed = WinogradWeights::pack(isa, &pool, kind, precision, [outputs, inputs], &read);
        let mut scratch = vec![0.0; winograd_scratch_len(isa, 2, kind, precision, shape)];
        let (out, scratch) = (&mut got[..], &mut scratch[..]);
        conv2d_winograd(&pool, shape, &x, inputs, &packed, &epilogue, scratch, out, outputs);
    } else {
        let packed = WeightShape { outputs, inputs, taps: 9 };
        let packed = PackedWeights::pack(isa, &pool, precision, packed, false, &read);
        let mut scratch = vec![0.0; packed.scratch_len(shape.pixels())];
        let (out, scratch) = (&mut got[..], &mut scratch[..]);
        conv2d(&pool, shape, &x, inputs, &packed, &epilogue, scratch, out, outputs);
    }
    let square = |x: f32| f64::from(x) * f64::from(x);
    let errors: f64 = got.iter().zip(&want).map(|(&got, &want)| square(got - want)).sum();
    (errors / want.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
}

/// How much larger the errors of random sums are than the direct kernel's, however many channels.
fn growth(kind: Winograd) -> f64 {
    match kind {
        Winograd::F2 => 0.8,
        Winograd::F4 => 2.5,
        Winograd::F4Enlarged => 6.0,
    }
}

#[test]
fn errors_grow_as_the_direct_ones_do() {
    for channels in [64, 320, 1280] {
        let same = ConvShape::same3x3(1, 8, 8, channels, 32);
        let up = ConvShape { upsample: 2, height: 4, width: 4, ..same };
        let kinds = [(Winograd::F2, same), (Winograd::F4, same), (Winograd::F4Enlarged, up)];
        for isa in Isa::available() {
            for (kind, shape) in kinds {
                let error = |kind| relative_error(kind, Precision::F32, &shape, isa);
                let (direct, found) = (error(None), error(Some(kind)));
                let context = (kind, isa, channels, direct, found);
                assert!(found <= growth(kind) * direct, "{context:?}");
            }
        }
    }
}

/// Root of the mean square of the errors that bf16 brings, relative to the results; of the direct
/// kernel it is 2.4e-3.
fn bf16_error(kind: Winograd) -> f64 {
    match kind {
        Winograd::F2 => 4.5e-3,
        Winograd::F4 => 1.3e-2,
        // It keeps f32.
        Winograd::F4Enlarged => 1e-5,
    }
}

#[test]
fn rounding_is_no_worse_with_many_channels() {
    for channels in [64, 320, 1280] {
        let same = ConvShape::same3x3(1, 8, 8, channels, 32);
        let up = ConvShape { upsample: 2, height: 4, width: 4, ..same };
        let kinds = [(Winograd::F2, same), (Winograd::F4, same), (Winograd::F4Enlarged, up)];
        for isa in Isa::available() {
            for (kind, shape) in kinds {
                let found = relative_error(Some(kind), Precision::Bf16, &shape, isa);
                assert!(found <= bf16_error(kind), "{kind:?} {isa} {channels}: {found}");
            }
        }
    }
}

#[test]
fn many_channels_and_few_tiles() {
    let pools = [1, 3].map(Pool::new);
    for isa in Isa::available() {
        let mut random = Random::new(8);
        for kind in Winograd::ALL {
            for (i, outputs) in [1, 65, 300].into_iter().enumerate() {
                // Chunks of channels of several lengths, more tiles than a stage has, and one.
                for (inputs, side) in [(257, 5), (270, 33), (701, 2)] {
                    let shape = ConvShape::same3x3(1, side, side + 1, inputs, outputs);
                    let upsample = if kind == Winograd::F4Enlarged { 2 } else { 1 };
                    let shape = ConvShape { upsample, ..shape };
                    check(kind, shape, isa, &pools[i % 2], &mut random);
                }
            }
            let narrow = ConvShape::same3x3(2, 9, 7, 5, 300);
            let upsample = if kind == Winograd::F4Enlarged { 2 } else { 1 };
            check(kind, ConvShape { upsample, ..narrow }, isa, &pools[1], &mut random);
        }
    }
}

#[test]
fn auto_chooses_the_cheapest_that_computes() {
    let auto = |shape: &ConvShape| Convolutions::Auto.choose(Isa::best(), Precision::F32, shape);
    let same = ConvShape::same3x3(1, 64, 64, 64, 64);
    assert_eq!(auto(&same), Some(Winograd::F4));
    assert_eq!(auto(&ConvShape { upsample: 2, ..same }), Some(Winograd::F4Enlarged));
    assert_eq!(auto(&ConvShape { upsample: 4, ..same }), Some(Winograd::F4));
    assert_eq!(auto(&ConvShape { stride: [2, 2], ..same }), None);
    assert_eq!(auto(&ConvShape { kernel: [1, 3], ..same }), None);
    // What is bound by its filters' bytes: half of them in bf16 either way.
    let few = ConvShape::same3x3(1, 8, 8, 1280, 1280);
    for isa in Isa::available().filter(|isa| isa.has_bf16_products()) {
        assert_ne!(Convolutions::Auto.choose(isa, Precision::Bf16, &few), None);
    }
    // A tile is more work than what is left of it.
    assert_eq!(auto(&ConvShape { height: 1, ..same }), None);
    assert_eq!(auto(&ConvShape { height: 2, ..same }), Some(Winograd::F2));
    for wide in [320, 640, 1280] {
        let wide = ConvShape { in_channels: wide, out_channels: wide, ..same };
        assert_eq!(auto(&wide), Some(Winograd::F4));
    }
    let unpaired = Padding { top: 0, ..same.padding };
    let unpaired = ConvShape { upsample: 2, padding: unpaired, ..same };
    assert_eq!(auto(&unpaired), Some(Winograd::F4));
}

#[test]
fn a_pinned_choice_is_kept_where_it_computes() {
    let same = ConvShape::same3x3(1, 64, 64, 64, 64);
    let up = ConvShape { upsample: 2, ..same };
    let down = ConvShape { stride: [2, 2], ..same };
    let choices = |way: Convolutions| {
        [same, up, down].map(|shape| way.choose(Isa::best(), Precision::F32, &shape))
    };
    assert_eq!(choices(Convolutions::Direct), [None; 3]);
    assert_eq!(choices(Convolutions::Winograd2), [Some(Winograd::F2), Some(Winograd::F2), None]);
    let four = [Some(Winograd::F4), Some(Winograd::F4Enlarged), None];
    assert_eq!(choices(Convolutions::Winograd4), four);
    for way in Convolutions::ALL {
        assert_eq!(way.name().parse(), Ok(way));
    }
    assert!("winograd".parse::<Convolutions>().is_err());
}

#[test]
fn blocks_of_a_stage_keep_threads_busy_and_share_filters() {
    let (tiles, most) = (64, 65);
    // One thread has no use for more than one block; many have, up to a tile each.
    assert_eq!(best_block(tiles, most, 5, 1), 64);
    assert_eq!(best_block(tiles, most, 20, 2), 64);
    assert!(best_block(tiles, most, 5, 2) < 64);
    assert!(best_block(tiles, most, 5, 64) <= 6);
    assert!(best_block(tiles, 10, 5, 1) <= 10);
    assert_eq!(best_block(0, most, 5, 2), 1);
}

#[test]
fn every_tile_meets_every_panel_once_and_threads_have_work() {
    for threads in [1, 2, 3, 8, 30] {
        for side in [4, 15, 16, 33, 64] {
            for channels in [3, 16, 40, 128, 256] {
                let shape = ConvShape::same3x3(1, side, side, channels, channels);
                for isa in Isa::available() {
                    let blocks = Blocks::new(isa, threads, Winograd::F4, Precision::F32, &shape);
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
