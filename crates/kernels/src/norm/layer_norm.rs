//! Layer normalisation (Ba, Kiros and Hinton 2016, arXiv 1607.06450) over the last axis.

use super::split;
use crate::chunks::{for_each_chunk, task_elements};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::pool::Pool;

type Entry = fn(&Parameters<'_>, &[f32], &mut [f32]);

static VARIANTS: &[Variant<Entry>] = variants!(entry: Entry);

fn entry<S: Simd>(parameters: &Parameters<'_>, x: &[f32], out: &mut [f32]) {
    run::<S, _>(Rows { parameters, x, out });
}

struct Parameters<'a> {
    eps: f32,
    gamma: &'a [f32],
    beta: &'a [f32],
}

/// out = (x - mean) / sqrt(variance + eps) * gamma + beta, with the mean and (biased) variance of
/// each row.
///
/// x, out: `[rows, channels]`; gamma, beta: `[channels]`.
///
/// # Panics
/// When the lengths disagree, or there are no channels.
pub fn layer_norm(
    isa: Isa,
    pool: &Pool,
    eps: f32,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    out: &mut [f32],
) {
    let channels = gamma.len();
    assert!(channels > 0 && beta.len() == channels, "gamma and beta: [channels]");
    assert!(x.len() == out.len() && x.len().is_multiple_of(channels), "x, out: [rows, channels]");
    let (parameters, rows) = (Parameters { eps, gamma, beta }, pick(VARIANTS, isa));
    let piece = task_elements(pool, x.len()).next_multiple_of(channels);
    for_each_chunk(pool, out, piece, |index, out| {
        rows(&parameters, &x[index * piece..][..out.len()], out);
    });
}

struct Rows<'a> {
    parameters: &'a Parameters<'a>,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let channels = self.parameters.gamma.len();
        for (x, out) in self.x.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels)) {
            normalise_row(s, self.parameters, x, out);
        }
    }
}

#[inline(always)]
fn normalise_row<S: Simd>(s: S, parameters: &Parameters<'_>, x: &[f32], out: &mut [f32]) {
    let n = x.len() as f64;
    let shift = (f64::from(sum(s, x)) / n) as f32;
    let (rest, squares) = deviations(s, x, shift);
    let correction = f64::from(rest) / n;
    let variance = f64::from(squares) / n - correction * correction;
    let (high, low) = split(f64::from(shift) + correction);
    let scale = (1.0 / (variance + f64::from(parameters.eps)).sqrt()) as f32;
    let (high, low, scale) = (s.splat(high), s.splat(low), s.splat(scale));
    let vectors = out.chunks_mut(S::LANES).zip(x.chunks(S::LANES));
    let affine = parameters.gamma.chunks(S::LANES).zip(parameters.beta.chunks(S::LANES));
    for ((out, x), (gamma, beta)) in vectors.zip(affine) {
        let centred = s.sub(s.sub(s.read(x), high), low);
        let scaled = s.mul(centred, scale);
        s.write(out, s.fma(scaled, s.read(gamma), s.read(beta)));
    }
}

#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    let vectors = x.chunks_exact(S::LANES);
    let mut total = s.read(vectors.remainder());
    for x in vectors {
        total = s.add(total, s.read(x));
    }
    s.reduce_sum(total)
}

/// The sums of x - shift and of its square.
#[inline(always)]
fn deviations<S: Simd>(s: S, x: &[f32], shift: f32) -> (f32, f32) {
    let vectors = x.chunks_exact(S::LANES);
    let (mut rest, mut squares) = (s.zero(), s.zero());
    let shifts = s.splat(shift);
    let tail: (f32, f32) = vectors.remainder().iter().fold((0.0, 0.0), |(rest, squares), &x| {
        let d = x - shift;
        (rest + d, squares + d * d)
    });
    for x in vectors {
        let d = s.sub(s.read(x), shifts);
        rest = s.add(rest, d);
        squares = s.fma(d, d, squares);
    }
    (s.reduce_sum(rest) + tail.0, s.reduce_sum(squares) + tail.1)
}
