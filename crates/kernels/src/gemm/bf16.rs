//! Rounding to bf16: weights while they are packed, activations before each product.
//!
//! bf16 is the upper half of an f32. Two of neighbouring channels share a word of 32 bits, the
//! first in its lower half, so that words lie in memory as the channels do. The last word of an
//! odd number of channels ends with a zero.

use super::layout::{Precision, WeightShape};
use super::pack::{ReadWeights, SendPointer};
use crate::chunks::for_each_rows;
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::pool::Pool;
use std::ops::Range;

/// Gives weights in words.
pub(super) struct PairReader<'a> {
    pub shape: WeightShape,
    pub read: ReadWeights<'a>,
}

impl PairReader<'_> {
    /// As [`ReadWeights`], of `[outputs, words, taps]`: whole words of one output.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        let WeightShape { inputs, taps, .. } = self.shape;
        let words = words(inputs);
        let (output, first) = (start / taps / words, 2 * (start / taps % words));
        let channels = (2 * out.len() / taps).min(inputs - first);
        let mut weights = vec![0.0; 2 * out.len()];
        (self.read)((output * inputs + first) * taps, &mut weights[..channels * taps]);
        for (out, both) in out.chunks_exact_mut(taps).zip(weights.chunks_exact(2 * taps)) {
            let (first, second) = both.split_at(taps);
            for ((out, &a), &b) in out.iter_mut().zip(first).zip(second) {
                *out = pair(a, b);
            }
        }
    }
}

/// Words of so many channels.
fn words(channels: usize) -> usize {
    channels.div_ceil(Precision::Bf16.channels_per_word())
}

/// The nearest bf16, ties to even; a NaN stays one.
#[inline(always)]
pub(crate) fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let is_nan = bits & 0x7FFF_FFFF > 0x7F80_0000;
    (if is_nan { bits | 0x0040_0000 } else { rounded } >> 16) as u16
}

/// A word of two numbers.
#[inline(always)]
pub(crate) fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(u32::from(round(first)) | u32::from(round(second)) << 16)
}

/// The values as products in bf16 see them.
#[cfg(test)]
pub(crate) fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&x| f32::from_bits(u32::from(round(x)) << 16)).collect()
}

/// `[rows, inputs]` with `stride` floats from row to row, as words without a gap.
pub(crate) fn to_pairs<'s>(
    isa: Isa,
    pool: &Pool,
    [rows, inputs]: [usize; 2],
    x: &[f32],
    stride: usize,
    scratch: &'s mut [f32],
) -> &'s [f32] {
    assert!(scratch.len() >= rows * words(inputs), "scratch: too few words");
    let job = Job { inputs, x, stride, out: SendPointer(scratch.as_mut_ptr()) };
    let task = pick(VARIANTS, isa);
    for_each_rows(pool, rows, |rows| task(&job, rows));
    scratch
}

/// Channels of an even number, as words; on this thread.
pub(super) fn to_pairs_here(isa: Isa, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), 2 * out.len(), "two channels to a word");
    let job = Job { inputs: x.len(), x, stride: 0, out: SendPointer(out.as_mut_ptr()) };
    pick(VARIANTS, isa)(&job, 0..1);
}

struct Job<'a> {
    inputs: usize,
    x: &'a [f32],
    stride: usize,
    out: SendPointer,
}

type Entry = fn(&Job<'_>, Range<usize>);

static VARIANTS: &[Variant<Entry>] = variants!(convert: Entry);

fn convert<S: Simd>(job: &Job<'_>, rows: Range<usize>) {
    run::<S, _>(Convert { job, rows });
}

struct Convert<'a> {
    job: &'a Job<'a>,
    rows: Range<usize>,
}

impl SimdOp for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        let Job { inputs, x, stride, out } = self.job;
        let halves = 2 * words(*inputs);
        for row in self.rows {
            let out = out.get().cast::<u16>().wrapping_add(row * halves);
            // SAFETY: the row's words, which the scratch memory has room for and this task alone
            // writes; any bits are a float.
            let out = unsafe { std::slice::from_raw_parts_mut(out, halves) };
            let x = &x[row * stride..][..*inputs];
            // Compiled with the instructions of S, this loop is made of its vectors.
            for (out, &x) in out.iter_mut().zip(x) {
                *out = round(x);
            }
            out[*inputs..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_ties_to_even() {
        let rounded = |x: f32| rounded(&[x])[0];
        for (x, expected) in [
            (0.0, 0.0),
            (-0.0, -0.0),
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.001 / 256.0, 1.0 + 2.0 / 256.0),
            (-1.0 - 1.001 / 256.0, -1.0 - 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(rounded(x).to_bits(), f32::to_bits(expected), "{x}");
        }
        for nan in [f32::NAN, f32::from_bits(0x7F80_0001), f32::from_bits(0xFFFF_FFFF)] {
            assert!(rounded(nan).is_nan());
        }
    }

    #[test]
    fn every_set_converts_rows_with_gaps_and_odd_ends() {
        let pool = Pool::new(2);
        let mut random = crate::testing::Random::new(4);
        for (rows, inputs, stride) in [(1, 1, 1), (3, 7, 9), (130, 33, 33), (65, 64, 70)] {
            let x = random.vector(rows * stride);
            let mut expected = Vec::new();
            for row in x.chunks(stride) {
                for pair in row[..inputs].chunks(2) {
                    let second = pair.get(1).map_or(0, |&x| round(x));
                    expected.push(u32::from(round(pair[0])) | u32::from(second) << 16);
                }
            }
            for isa in Isa::available() {
                let mut scratch = vec![f32::NAN; rows * words(inputs)];
                let found = to_pairs(isa, &pool, [rows, inputs], &x, stride, &mut scratch);
                let found: Vec<u32> = found.iter().map(|word| word.to_bits()).collect();
                assert_eq!(found, expected, "{isa} {rows} {inputs}");
            }
        }
    }
}
