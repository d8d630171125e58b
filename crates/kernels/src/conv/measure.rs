//! How long each way to compute a 3x3 convolution takes here, on numbers that are made up: for those
//! who would rather measure than believe the model of costs.

use super::winograd::{Way, conv2d_winograd, likely_ways, winograd_scratch_len};
use super::{ConvShape, WinogradWeights, conv2d};
use crate::gemm::{Epilogue, PackedWeights, Precision, WeightShape};
use crate::isa::Isa;
use crate::pool::Pool;
use std::time::{Duration, Instant};

/// Runs of each way, after one that fills the caches; the shortest counts.
const RUNS: usize = 5;

/// What a way may take in all before fewer runs have to do.
const BUDGET: Duration = Duration::from_millis(100);

/// The ways that can be the fastest, each with the time of one convolution on the threads of `pool`,
/// operands rounded to `precision`.
pub fn measure_ways(
    isa: Isa,
    pool: &Pool,
    precision: Precision,
    shape: &ConvShape,
) -> Vec<(Way, Duration)> {
    let x = waves(shape.pixels() * shape.in_channels);
    let mut out = vec![0.0; shape.out_rows() * shape.out_channels];
    let ways = likely_ways(isa, precision, shape);
    ways.into_iter()
        .map(|way| (way, time(isa, pool, precision, shape, way, &x, &mut out)))
        .collect()
}

fn time(
    isa: Isa,
    pool: &Pool,
    precision: Precision,
    shape: &ConvShape,
    way: Way,
    x: &[f32],
    out: &mut [f32],
) -> Duration {
    let [inputs, outputs] = [shape.in_channels, shape.out_channels];
    let read = |start: usize, out: &mut [f32]| wave(start, out);
    let epilogue = Epilogue::default();
    match way {
        Some(kind) => {
            let weights =
                WinogradWeights::pack(isa, pool, kind, precision, [outputs, inputs], &read);
            let precision = weights.precision();
            let len = winograd_scratch_len(isa, pool.threads(), kind, precision, shape);
            let mut scratch = vec![0.0; len];
            shortest(|| {
                let scratch = &mut scratch;
                conv2d_winograd(pool, shape, x, inputs, &weights, &epilogue, scratch, out, outputs);
            })
        }
        None => {
            let shape_of = WeightShape { outputs, inputs, taps: shape.taps() };
            let precision = precision.without_int8(isa);
            let weights = PackedWeights::pack(isa, pool, precision, shape_of, false, &read);
            let mut scratch = vec![0.0; weights.scratch_len(shape.pixels())];
            shortest(|| {
                let scratch = &mut scratch;
                conv2d(pool, shape, x, inputs, &weights, &epilogue, scratch, out, outputs);
            })
        }
    }
}

fn shortest(mut run: impl FnMut()) -> Duration {
    run();
    let (begin, mut shortest) = (Instant::now(), Duration::MAX);
    for _ in 0..RUNS {
        let start = Instant::now();
        run();
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > BUDGET {
            break;
        }
    }
    shortest
}

fn waves(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    wave(0, &mut values);
    values
}

/// Numbers of both signs, none of them tiny.
fn wave(start: usize, out: &mut [f32]) {
    for (at, value) in (start..).zip(out) {
        *value = (at * 31 % 127) as f32 / 64.0 - 0.98;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Winograd;

    #[test]
    fn each_way_that_may_be_the_fastest_is_timed() {
        let pool = Pool::new(2);
        for isa in Isa::available() {
            let shape = ConvShape::same3x3(1, 20, 21, 33, 47);
            for precision in Precision::ALL {
                let measured = measure_ways(isa, &pool, precision, &shape);
                let ways: Vec<_> = measured.iter().map(|(way, _)| *way).collect();
                assert!(ways.contains(&Some(Winograd::F4)), "{isa} {ways:?}");
                assert!(measured.iter().all(|(_, time)| !time.is_zero()));
            }
        }
        // A step of two has one way alone.
        let strided = ConvShape { stride: [2, 2], ..ConvShape::same3x3(1, 9, 9, 4, 4) };
        let isa = Isa::available().next().expect("one is always there");
        let measured = measure_ways(isa, &pool, Precision::F32, &strided);
        assert_eq!(measured.len(), 1);
        assert_eq!(measured[0].0, None);
    }
}
