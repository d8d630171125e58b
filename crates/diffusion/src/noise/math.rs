//! ln, sin and cos in f64 from additions, products, quotients and square roots
//! alone, which every platform rounds alike. Errors stay below 1e-15 of the
//! result's scale, far under the f32 that the noise is rounded to.

use std::f64::consts::{LN_2, SQRT_2};

/// Terms of the series of ln: the next one is below 2^-60 at its largest.
const LN_TERMS: i32 = 11;
/// Terms of the series of sin and cos up to an eighth of a turn.
const TURN_TERMS: i32 = 9;

/// The natural logarithm of a positive normal number.
pub(super) fn ln(x: f64) -> f64 {
    let (mantissa, exponent) = split(x);
    // ln m = 2 artanh((m - 1) / (m + 1)), with m near 1.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..LN_TERMS).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * s * series + f64::from(exponent) * LN_2
}

/// `x` as a mantissa from sqrt(1/2) to sqrt(2) and a power of two.
fn split(x: f64) -> (f64, i32) {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: u64 = 1023;
    let bits = x.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - BIAS as i32;
    let below = (1u64 << MANTISSA_BITS) - 1;
    let mantissa = f64::from_bits((bits & below) | (BIAS << MANTISSA_BITS));
    if mantissa > SQRT_2 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) }
}

/// sin and cos of `turn` / 2^32 of a full turn.
pub(super) fn sin_cos_turn(turn: u32) -> (f64, f64) {
    const RADIANS: f64 = std::f64::consts::TAU / 4_294_967_296.0;
    // The nearest quarter turn, and the signed rest of at most an eighth.
    let quarter = turn.wrapping_add(1 << 29) >> 30;
    let rest = f64::from(turn.wrapping_sub(quarter << 30) as i32) * RADIANS;
    let (sin, cos) = (series(rest, 1) * rest, series(rest, 0));
    match quarter {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The Taylor series of cos x (`odd` 0) or of sin x / x (`odd` 1), from the
/// highest term down.
fn series(x: f64, odd: i32) -> f64 {
    let square = x * x;
    (1..TURN_TERMS).rev().fold(1.0, |sum, k| {
        let n = 2 * k + odd;
        1.0 - sum * square / f64::from(n * (n - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_agrees_with_libm() {
        for i in 0..200_000u32 {
            let x = (f64::from(i.wrapping_mul(2_654_435_769)) + 0.5) / 4_294_967_296.0;
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 4e-16 * x.ln().abs().max(0.1), "ln {x}: off by {error}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn sin_and_cos_agree_with_libm() {
        for i in 0..200_000u32 {
            let turn = i.wrapping_mul(2_654_435_769);
            let angle = f64::from(turn) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (sin, cos) = sin_cos_turn(turn);
            let error = (sin - angle.sin()).abs().max((cos - angle.cos()).abs());
            assert!(error <= 1e-15, "turn {turn}: off by {error}");
        }
    }

    #[test]
    fn quarter_turns_are_exact() {
        let quarters = [0u32, 1 << 30, 1 << 31, 3 << 30].map(sin_cos_turn);
        assert_eq!(quarters, [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)]);
    }
}
