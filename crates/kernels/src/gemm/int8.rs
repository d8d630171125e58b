//! Rounding to int8: weights while they are packed, activations before each product.
//!
//! Four of neighbouring channels share a word of 32 bits, in memory as the channels are. Weights are
//! signed bytes. Activations are unsigned ones, 128 more than the number, because that is what the
//! instructions multiply; so each output's sums begin with -128 times the sum of its weights.

use super::layout::{PanelLayout, Precision, WeightShape};
use super::pack::{ReadWeights, SendPointer};
use crate::chunks::for_each_rows;
use crate::isa::{Isa, MAX_LANES, Simd, SimdOp, pick_int8, run};
use crate::pool::Pool;
use std::ops::Range;

/// The largest magnitude.
const MOST: f32 = 127.0;

/// Zero in each of a word's four activations.
pub(super) const ZEROS: f32 = f32::from_bits(0x8080_8080);

/// Gives weights in words, each output's divided by its scale.
pub(super) struct QuadReader<'a> {
    shape: WeightShape,
    read: ReadWeights<'a>,
    scales: Vec<f32>,
}

impl<'a> QuadReader<'a> {
    /// Reads all weights once, for the scales.
    pub fn new(pool: &Pool, shape: WeightShape, read: ReadWeights<'a>) -> Self {
        let mut scales = vec![0.0; shape.outputs];
        let out = SendPointer(scales.as_mut_ptr());
        pool.run(shape.outputs, &|output| {
            let mut row = vec![0.0; shape.inputs * shape.taps];
            read(output * row.len(), &mut row);
            // SAFETY: each output is one task's.
            unsafe { out.get().add(output).write(scale(largest(&row))) };
        });
        Self { shape, read, scales }
    }

    /// As [`ReadWeights`], of `[outputs, words, taps]`: whole words of one output.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        const QUAD: usize = 4;
        let WeightShape { inputs, taps, .. } = self.shape;
        let words = inputs.div_ceil(QUAD);
        let (output, first) = (start / taps / words, QUAD * (start / taps % words));
        let channels = (QUAD * out.len() / taps).min(inputs - first);
        let mut weights = vec![0.0; QUAD * out.len()];
        (self.read)((output * inputs + first) * taps, &mut weights[..channels * taps]);
        let factor = self.scales[output].recip();
        for (out, four) in out.chunks_exact_mut(taps).zip(weights.chunks_exact(QUAD * taps)) {
            for (tap, out) in out.iter_mut().enumerate() {
                let number = |i: usize| integer(four[i * taps + tap] * factor) as u8;
                *out = f32::from_bits(u32::from_le_bytes(std::array::from_fn(number)));
            }
        }
    }

    /// What the sums of a panel's outputs are multiplied by, lane by lane.
    pub fn panel_scales(&self, layout: &PanelLayout, panel: usize, out: &mut [f32]) {
        for (lane, out) in out.iter_mut().enumerate() {
            *out = layout.output(panel, lane).map_or(0.0, |output| self.scales[output]);
        }
    }
}

/// What the sums of each output begin with, as 32-bit integers, where `words` are those of a panel
/// of so many outputs.
pub(super) fn begin_sums(words: &[f32], out: &mut [f32]) {
    let mut sums = vec![0_i32; out.len()];
    for row in words.chunks_exact(out.len()) {
        for (sum, word) in sums.iter_mut().zip(row) {
            *sum +=
                word.to_bits().to_le_bytes().map(|byte| i32::from(byte as i8)).iter().sum::<i32>();
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = f32::from_bits((-128 * sum) as u32);
    }
}

/// What integers are multiplied by to be numbers up to `largest`.
fn scale(largest: f32) -> f32 {
    // Zeros stay zeros; a number that is not finite makes the row such.
    if largest == 0.0 { 1.0 } else { largest / MOST }
}

fn largest(row: &[f32]) -> f32 {
    // A NaN stays: `f32::max` would drop it.
    row.iter().fold(0.0, |most, x| if x.abs() <= most { most } else { x.abs() })
}

/// Adding it to a small number leaves the nearest integer, ties to even, in the low bits: 1.5 * 2^23.
/// A CPU without an instruction for that calls a function instead.
const ROUND: f32 = 12_582_912.0;

/// The nearest integer, ties to even, within the range; 0 for NaN.
#[inline(always)]
fn integer(x: f32) -> i8 {
    (x.clamp(-MOST, MOST) + ROUND).to_bits() as i8
}

/// An activation's byte.
#[inline(always)]
pub(crate) fn byte(x: f32) -> u8 {
    (integer(x) as u8) ^ 0x80
}

/// The values as products in int8 see the first `len` of a row.
#[cfg(test)]
pub(super) fn rounded(row: &[f32], len: usize) -> Vec<f32> {
    let scale = scale(largest(&row[..len]));
    row.iter().map(|x| f32::from(integer(x * scale.recip())) * scale).collect()
}

/// Rows in words, and what each row's sums are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Quads<'a> {
    pub words: &'a [f32],
    pub scales: &'a [f32],
}

/// Floats of scratch memory for [`to_quads`].
pub(super) fn scratch_len(rows: usize, words: usize) -> usize {
    rows * (words + 1)
}

/// `[rows, inputs]` with `stride` floats from row to row, as words without a gap.
pub(super) fn to_quads<'s>(
    isa: Isa,
    pool: &Pool,
    [rows, inputs]: [usize; 2],
    x: &[f32],
    stride: usize,
    scratch: &'s mut [f32],
) -> Quads<'s> {
    let words = inputs.div_ceil(Precision::Int8.channels_per_word());
    let (quads, rest) = scratch.split_at_mut(rows * words);
    let scales = &mut rest[..rows];
    let (quads_start, scales_start) =
        (SendPointer(quads.as_mut_ptr()), SendPointer(scales.as_mut_ptr()));
    let job = Job { inputs, words, x, stride, quads: quads_start, scales: scales_start };
    let task = pick_int8!(isa, convert: Entry);
    for_each_rows(pool, rows, |rows| task(&job, rows));
    Quads { words: quads, scales }
}

struct Job<'a> {
    inputs: usize,
    words: usize,
    x: &'a [f32],
    stride: usize,
    quads: SendPointer,
    scales: SendPointer,
}

type Entry = fn(&Job<'_>, Range<usize>);

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
    fn eval<S: Simd>(self, s: S) {
        let job = self.job;
        for row in self.rows {
            let x = &job.x[row * job.stride..][..job.inputs];
            let scale = scale(largest_of(s, x));
            // SAFETY: the row's scale, which the scratch memory has room for and this task alone
            // writes.
            unsafe { job.scales.get().add(row).write(scale) };
            let out = job.quads.get().wrapping_add(row * job.words);
            // SAFETY: likewise for the row's words.
            let out = unsafe { std::slice::from_raw_parts_mut(out, job.words) };
            row_of_bytes(s, x, scale.recip(), out);
        }
    }
}

/// The largest magnitude of a row; not finite if a number is not.
#[inline(always)]
fn largest_of<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut most = s.zero();
    // Zero times what is not finite is no number, and stays so in every sum.
    let mut unfit = s.zero();
    for x in x.chunks(S::LANES) {
        let v = s.read(x);
        most = s.max(most, s.abs(v));
        unfit = s.fma(v, s.zero(), unfit);
    }
    s.reduce_max(most) + s.reduce_sum(unfit)
}

/// Each number times `factor` as a byte, and zeros behind the last.
#[inline(always)]
fn row_of_bytes<S: Simd>(s: S, x: &[f32], factor: f32, out: &mut [f32]) {
    let factor = s.splat(factor);
    let whole = x.len() / S::LANES;
    let step = S::LANES / Precision::Int8.channels_per_word();
    for (x, out) in x.chunks_exact(S::LANES).zip(out.chunks_exact_mut(step)) {
        // SAFETY: `out` has as many words as a vector of bytes.
        unsafe { s.store_bytes(out.as_mut_ptr(), s.mul(s.read(x), factor)) };
    }
    let rest = &x[whole * S::LANES..];
    if !rest.is_empty() {
        let mut words = [ZEROS; MAX_LANES];
        // SAFETY: a vector of bytes is shorter than the array.
        unsafe { s.store_bytes(words.as_mut_ptr(), s.mul(s.read(rest), factor)) };
        let out = &mut out[whole * step..];
        out.copy_from_slice(&words[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_within_the_range() {
        for (x, expected) in
            [(0.0, 0), (0.5, 0), (1.5, 2), (-2.5, -2), (126.7, 127), (-400.0, -127)]
        {
            assert_eq!(integer(x), expected, "{x}");
            assert_eq!(i32::from(byte(x)), i32::from(expected) + 128);
        }
    }

    #[test]
    fn every_set_converts_rows_with_gaps_and_odd_ends() {
        let pool = Pool::new(2);
        let mut random = crate::testing::Random::new(4);
        for (rows, inputs, stride) in [(1, 1, 1), (3, 7, 9), (130, 33, 33), (65, 64, 70), (2, 3, 3)]
        {
            let mut x = random.vector(rows * stride);
            x[..inputs].fill(0.0);
            let words = inputs.div_ceil(4);
            for isa in Isa::available() {
                let mut scratch = vec![f32::NAN; scratch_len(rows, words)];
                let found = to_quads(isa, &pool, [rows, inputs], &x, stride, &mut scratch);
                for (row, x) in x.chunks(stride).map(|x| &x[..inputs]).enumerate() {
                    let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    let scale = if most == 0.0 { 1.0 } else { most / 127.0 };
                    assert_eq!(found.scales[row], scale, "{isa}");
                    let bytes = found.words[row * words..][..words].iter();
                    let bytes: Vec<u8> =
                        bytes.flat_map(|word| word.to_bits().to_le_bytes()).collect();
                    let expected = x.iter().map(|x| byte(x * scale.recip()));
                    let expected = expected.chain(std::iter::repeat(128));
                    assert!(
                        bytes.iter().copied().eq(expected.take(bytes.len())),
                        "{isa} {rows} {inputs}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        let pool = Pool::new(1);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1.0; 40];
            x[17] = bad;
            for isa in Isa::available() {
                let mut scratch = vec![0.0; scratch_len(1, 10)];
                let found = to_quads(isa, &pool, [1, 40], &x, 40, &mut scratch);
                assert!(!found.scales[0].is_finite(), "{isa} {bad}");
            }
        }
    }
}
