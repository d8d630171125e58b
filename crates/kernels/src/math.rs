//! Elementary functions on vectors: exp, tanh, erf, and the activations built from them.
//!
//! Polynomials are minimax fits of this project (weighted for relative error of the whole
//! function); the tests measure every function in ULP against f64 over the whole range.

use crate::isa::Simd;

/// An element-wise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x
    #[default]
    Identity,
    /// max(x, 0)
    Relu,
    /// x * sigmoid(x)
    Silu,
    /// x / 2 * (1 + erf(x / sqrt 2))
    Gelu,
    /// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
    GeluTanh,
    /// x * sigmoid(1.702 x)
    QuickGelu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Activation {
    /// Every activation, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Relu,
        Self::Silu,
        Self::Gelu,
        Self::GeluTanh,
        Self::QuickGelu,
        Self::Tanh,
        Self::Sigmoid,
    ];

    /// The activation of every lane.
    #[inline(always)]
    pub fn apply<S: Simd>(self, s: S, x: S::V) -> S::V {
        match self {
            Self::Identity => x,
            Self::Relu => s.max(s.zero(), x),
            Self::Silu => silu(s, x),
            Self::Gelu => gelu(s, x),
            Self::GeluTanh => gelu_tanh(s, x),
            Self::QuickGelu => s.mul(x, sigmoid(s, s.mul(x, s.splat(1.702)))),
            Self::Tanh => tanh(s, x),
            Self::Sigmoid => sigmoid(s, x),
        }
    }

    /// The same function of one number in f64: what `apply` is tested against.
    pub fn reference(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => 0.5 * x * (1.0 + erf_reference(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

/// c[0] + c[1] x + c[2] x^2 + ...
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, c: [f32; N]) -> S::V {
    let mut sum = s.splat(c[N - 1]);
    for &coefficient in c[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(coefficient));
    }
    sum
}

/// exp(r) for |r| <= ln 2 / 2.
#[inline(always)]
fn exp_near_zero<S: Simd>(s: S, r: S::V) -> S::V {
    let p = polynomial(
        s,
        r,
        [0.499_999_94, 0.166_665_2, 0.041_668_393, 0.008_368_781, 0.001_381_446_7],
    );
    s.add(s.splat(1.0), s.fma(s.mul(r, r), p, r))
}

/// e^x; underflows to 0 through the subnormals, overflows to infinity, keeps NaN.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // Beyond these the result is 0 or infinity, and n stays in the range of `scale2`.
    let (power, n) = exp_parts(s, s.max(s.splat(-110.0), s.min(s.splat(100.0), x)));
    s.scale2(power, n)
}

/// e^x for -87 <= x <= 88, where it is a normal number; keeps NaN.
#[inline(always)]
fn exp_normal<S: Simd>(s: S, x: S::V) -> S::V {
    let (power, n) = exp_parts(s, x);
    s.scale2_normal(power, n)
}

/// (p, n) with e^x = p 2^n.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // ln 2 in two parts; the first has few bits, so that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), x);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    (exp_near_zero(s, r), n)
}

/// 2^x, with the limits of [`exp`].
#[inline(always)]
pub fn exp2<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.max(s.splat(-160.0), s.min(s.splat(140.0), x));
    let n = s.round(x);
    let r = s.mul(s.sub(x, n), s.splat(std::f32::consts::LN_2));
    s.scale2(exp_near_zero(s, r), n)
}

/// 2^x for x <= 0 (or NaN), exactly zero below the normal range.
///
/// Softmax weights need no subnormal numbers, and making one costs over a hundred cycles on many
/// CPUs.
#[inline(always)]
pub fn exp2_weight<S: Simd>(s: S, x: S::V) -> S::V {
    // The polynomial of `exp_near_zero` in powers of 2 rather than of e.
    const C: [f32; 7] = [
        1.0,
        std::f32::consts::LN_2,
        0.240_226_48,
        0.055_503_62,
        0.009_618_528,
        0.001_339_027_5,
        0.000_153_209_93,
    ];
    let lowest = s.splat(-126.0);
    let clamped = s.max(lowest, x);
    let n = s.round(clamped);
    let power = polynomial(s, s.sub(clamped, n), C);
    s.select(s.less(x, lowest), s.zero(), s.scale2_normal(power, n))
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let e = exp(s, s.sub(s.zero(), x));
    s.div(s.splat(1.0), s.add(s.splat(1.0), e))
}

/// x / (1 + e^-x)
#[inline(always)]
pub fn silu<S: Simd>(s: S, x: S::V) -> S::V {
    let e = exp(s, s.sub(s.zero(), x));
    s.div(x, s.add(s.splat(1.0), e))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let a = s.abs(x);
    let z = s.mul(x, x);
    let p = polynomial(
        s,
        z,
        [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_087, -0.005_704_987],
    );
    let small = s.fma(s.mul(x, z), p, x);
    // 1 - 2 / (e^2a + 1), without cancellation once a is not small.
    let e = exp(s, s.add(a, a));
    let large = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select(s.less(a, s.splat(0.625)), small, s.copysign(large, x))
}

/// The error function.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    // Up to here a polynomial in x^2; beyond, one for the logarithm of 1 - erf.
    const SPLIT: f32 = 0.92;
    let a = s.abs(x);
    let p = polynomial(
        s,
        s.mul(x, x),
        [0.128_379_15, -0.376_124_96, 0.112_818_46, -0.026_767_72, 0.004_994_83, -0.000_599_940_6],
    );
    let small = s.fma(x, p, x);
    // From 4 on 1 - erf is below half an ULP of 1; `a` comes second so that NaN passes.
    let log = polynomial(
        s,
        s.min(s.splat(4.0), a),
        [
            -0.000_195_675_4,
            -1.127_675_7,
            -0.637_182_24,
            -0.103_931_6,
            0.022_226_922,
            -0.003_043_217_6,
            0.000_195_937_26,
        ],
    );
    // Never below e^-16.
    let large = s.sub(s.splat(1.0), exp_normal(s, log));
    s.select(s.less(a, s.splat(SPLIT)), small, s.copysign(large, x))
}

/// x / 2 * (1 + erf(x / sqrt 2)), the exact form of the activation.
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    // The normal distribution's tail beyond |x|, as a power of two whose exponent is a polynomial.
    // It decreases for all |x|; beyond 6, where it is no fit, the tail is below 1e-9.
    let exponent = polynomial(
        s,
        s.abs(x),
        [
            -1.0,
            -1.151_107_3,
            -0.459_182_7,
            -0.052_593_92,
            0.007_232_412_6,
            -0.000_285_888_8,
            -0.000_117_261_92,
            2.356_959e-5,
            -1.429_029e-6,
        ],
    );
    let tail = exp2_weight(s, exponent);
    let share = s.select(s.less(x, s.zero()), tail, s.sub(s.splat(1.0), tail));
    s.mul(x, share)
}

#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let z = s.mul(x, x);
    let inner = s.fma(z, s.splat(0.044_715 * SQRT_2_OVER_PI), s.splat(SQRT_2_OVER_PI));
    let half = s.mul(x, s.splat(0.5));
    s.fma(half, tanh(s, s.mul(x, inner)), half)
}

/// erf in f64 by its Taylor series, and by the continued fraction of 1 - erf for large arguments.
fn erf_reference(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() {
        return x;
    }
    let value = if a < 2.5 { erf_series(a) } else { 1.0 - erfc_fraction(a) };
    value.copysign(x)
}

fn erf_series(a: f64) -> f64 {
    let mut term = a;
    let mut sum = a;
    for n in 1..80 {
        term *= -a * a / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn erfc_fraction(a: f64) -> f64 {
    if a > 30.0 {
        return 0.0;
    }
    let tail = (1..120).rev().fold(a, |below, n| a + f64::from(n) / 2.0 / below);
    (-a * a).exp() / tail * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

#[cfg(test)]
mod tests;
