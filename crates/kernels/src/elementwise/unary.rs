//! Functions of one operand: activations, affine maps, clamping, and the plain copy.

use super::{ActivationLoop, unswitch};
use crate::chunks::{for_each_chunk, task_elements};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::lanes::{Lanewise, for_lanes};
use crate::math::Activation;
use crate::pool::Pool;
use std::ops::Range;

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

impl Unary {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::V) -> S::V {
        match self {
            Self::Activation(activation) => activation.apply(s, x),
            Self::Affine { scale, offset } => s.fma(x, s.splat(scale), s.splat(offset)),
            // x comes second in both, so that NaN passes.
            Self::Clamp { min, max } => s.min(s.splat(max), s.max(s.splat(min), x)),
        }
    }
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
    let task = task_elements(pool, out.len());
    for_each_chunk(pool, out, task, |index, out| {
        map(function, &x[index * task..][..out.len()], out);
    });
}

/// out = x.
///
/// # Panics
/// When the lengths differ.
pub fn copy(pool: &Pool, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have the same shape");
    let task = task_elements(pool, out.len());
    for_each_chunk(pool, out, task, |index, out| {
        out.copy_from_slice(&x[index * task..][..out.len()]);
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
            Unary::Affine { scale, offset } => self.all(s, Unary::Affine { scale, offset }),
            Unary::Clamp { min, max } => self.all(s, Unary::Clamp { min, max }),
        }
    }
}

impl Map<'_> {
    /// Maps everything by `function`, whose variant is a constant.
    #[inline(always)]
    fn all<S: Simd>(self, s: S, function: Unary) {
        let len = self.out.len();
        for_lanes(s, len, Map { function, x: &self.x[..len], out: self.out });
    }
}

impl ActivationLoop for Map<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, activation: Activation) {
        self.all(s, Unary::Activation(activation));
    }
}

impl Lanewise for Map<'_> {
    #[inline(always)]
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>) {
        let y = self.function.apply(s, s.read(&self.x[at.clone()]));
        s.write(&mut self.out[at], y);
    }
}
