//! Functions of one operand: activations, affine maps, clamping, and the plain copy.

use super::{ActivationLoop, unswitch};
use crate::chunks::{TASK_ELEMENTS, for_each_chunk};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::math::Activation;
use crate::pool::Pool;

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// A non-linearity.
    Activation(Activation),
    /// x * scale + offset
    Affine {
        /// Factor.
        scale: f32,
        /// Summand.
        offset: f32,
    },
    /// x limited to `min..=max`; NaN stays NaN.
    Clamp {
        /// Lower limit.
        min: f32,
        /// Upper limit.
        max: f32,
    },
}

type Entry = fn(Unary, &[f32], &mut [f32]);

static VARIANTS: &[Variant<Entry>] = variants!(entry: Entry);

fn entry<S: Simd>(function: Unary, x: &[f32], out: &mut [f32]) {
    run::<S, _>(Map { function, x, out });
}

/// out = function(x).
///
/// # Panics
/// When the lengths differ.
pub fn unary(isa: Isa, pool: &Pool, function: Unary, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have the same shape");
    let map = pick(VARIANTS, isa);
    for_each_chunk(pool, out, TASK_ELEMENTS, |index, out| {
        map(function, &x[index * TASK_ELEMENTS..][..out.len()], out);
    });
}

/// out = x.
///
/// # Panics
/// When the lengths differ.
pub fn copy(pool: &Pool, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have the same shape");
    for_each_chunk(pool, out, TASK_ELEMENTS, |index, out| {
        out.copy_from_slice(&x[index * TASK_ELEMENTS..][..out.len()]);
    });
}

struct Map<'a> {
    function: Unary,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.function {
            Unary::Activation(activation) => unswitch(s, activation, self),
            Unary::Affine { scale, offset } => {
                let (scale, offset) = (s.splat(scale), s.splat(offset));
                for (out, x) in self.vectors::<S>() {
                    s.write(out, s.fma(s.read(x), scale, offset));
                }
            }
            Unary::Clamp { min, max } => {
                let (min, max) = (s.splat(min), s.splat(max));
                for (out, x) in self.vectors::<S>() {
                    // x comes second, so that NaN passes.
                    s.write(out, s.min(max, s.max(min, s.read(x))));
                }
            }
        }
    }
}

impl<'a> Map<'a> {
    #[inline(always)]
    fn vectors<S: Simd>(self) -> impl Iterator<Item = (&'a mut [f32], &'a [f32])> {
        self.out.chunks_mut(S::LANES).zip(self.x.chunks(S::LANES))
    }
}

impl ActivationLoop for Map<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, activation: Activation) {
        for (out, x) in self.vectors::<S>() {
            s.write(out, activation.apply(s, s.read(x)));
        }
    }
}
