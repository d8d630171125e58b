//! Functions against f64 on every instruction set, in ULP of the f32 result, over all exponents.

use super::*;
use crate::isa::{Isa, SimdOp, Variant, pick, run, variants};

/// A vector function, its f64 definition, the interval to test and the error allowed.
struct Case {
    name: &'static str,
    vector: fn(Isa, &[f32]) -> Vec<f32>,
    scalar: fn(f64) -> f64,
    low: f32,
    high: f32,
    ulp: f64,
}

macro_rules! vector {
    ($f:expr) => {{
        struct Op<'a>(&'a [f32]);
        impl SimdOp for Op<'_> {
            type Output = Vec<f32>;
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) -> Vec<f32> {
                let mut out = vec![0.0; self.0.len()];
                for (out, x) in out.chunks_mut(S::LANES).zip(self.0.chunks(S::LANES)) {
                    s.write(out, $f(s, s.read(x)));
                }
                out
            }
        }
        fn entry<S: Simd>(x: &[f32]) -> Vec<f32> {
            run::<S, _>(Op(x))
        }
        |isa, x| pick(variants!(entry: fn(&[f32]) -> Vec<f32>), isa)(x)
    }};
}

const CASES: &[Case] = &[
    Case { name: "exp", vector: vector!(exp), scalar: f64::exp, low: -87.0, high: 89.0, ulp: 2.0 },
    Case {
        name: "exp2",
        vector: vector!(exp2),
        scalar: f64::exp2,
        low: -125.0,
        high: 129.0,
        ulp: 2.0,
    },
    Case {
        name: "tanh",
        vector: vector!(tanh),
        scalar: f64::tanh,
        low: -12.0,
        high: 12.0,
        ulp: 2.0,
    },
    Case {
        name: "erf",
        vector: vector!(erf),
        scalar: erf_reference,
        low: -6.0,
        high: 6.0,
        ulp: 2.0,
    },
    Case {
        name: "exp2_weight",
        vector: vector!(exp2_weight),
        scalar: f64::exp2,
        low: -126.0,
        high: 0.0,
        ulp: 2.0,
    },
    Case {
        name: "sigmoid",
        vector: vector!(sigmoid),
        scalar: |x| Activation::Sigmoid.reference(x),
        low: -86.0,
        high: 86.0,
        ulp: 3.0,
    },
    Case {
        name: "silu",
        vector: vector!(silu),
        scalar: |x| Activation::Silu.reference(x),
        low: -80.0,
        high: 80.0,
        ulp: 4.0,
    },
];

/// Numbers of both signs over all exponents, and a dense grid over [low, high].
fn inputs(low: f32, high: f32) -> Vec<f32> {
    let exponents = (0..0x7f80_0000u32).step_by(40_009).map(f32::from_bits);
    let both = exponents.flat_map(|x| [x, -x]).filter(|x| (low..=high).contains(x));
    let grid = (0..=200_000).map(|i| low + (high - low) * i as f32 / 200_000.0);
    both.chain(grid).collect()
}

fn ulp(want: f64) -> f64 {
    let x = want.abs().max(f64::from(f32::MIN_POSITIVE)) as f32;
    if x.is_infinite() { 1e32 } else { f64::from(x.next_up()) - f64::from(x) }
}

#[test]
fn functions_are_within_their_ulp_bound() {
    for isa in Isa::available() {
        for case in CASES {
            let x = inputs(case.low, case.high);
            let mut worst = (0.0, 0.0);
            for (&x, y) in x.iter().zip((case.vector)(isa, &x)) {
                let want = (case.scalar)(f64::from(x));
                let exact = f64::from(y) == want || (want as f32).is_infinite() && y.is_infinite();
                let error = if exact { 0.0 } else { (f64::from(y) - want).abs() / ulp(want) };
                worst = if error > worst.0 { (error, x) } else { worst };
            }
            let Case { name, ulp, .. } = case;
            assert!(worst.0 <= *ulp, "{isa} {name}: {} ULP at {}", worst.0, worst.1);
        }
    }
}

#[test]
fn limits_and_nan() {
    let x = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -1e30, 1e30, 0.0];
    let want: [(&str, [f32; 6]); 5] = [
        ("exp", [0.0, f32::INFINITY, f32::NAN, 0.0, f32::INFINITY, 1.0]),
        ("exp2", [0.0, f32::INFINITY, f32::NAN, 0.0, f32::INFINITY, 1.0]),
        ("tanh", [-1.0, 1.0, f32::NAN, -1.0, 1.0, 0.0]),
        ("erf", [-1.0, 1.0, f32::NAN, -1.0, 1.0, 0.0]),
        ("sigmoid", [0.0, 1.0, f32::NAN, 0.0, 1.0, 0.5]),
    ];
    for isa in Isa::available() {
        for (name, want) in want {
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            for (got, want) in (case.vector)(isa, &x).into_iter().zip(want) {
                assert!(got == want || got.is_nan() && want.is_nan(), "{isa} {name}: {got} {want}");
            }
        }
    }
}

#[test]
fn weights_flush_to_zero_and_keep_nan() {
    let case = CASES.iter().find(|case| case.name == "exp2_weight").unwrap();
    for isa in Isa::available() {
        let y = (case.vector)(isa, &[f32::NEG_INFINITY, -1e30, -126.5, 0.0, f32::NAN]);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 1.0], "{isa}");
        assert!(y[4].is_nan(), "{isa}");
    }
}

#[test]
fn exp_passes_through_the_subnormals() {
    for isa in Isa::available() {
        for (got, x) in (CASES[0].vector)(isa, &[-90.0, -100.0, -103.0])
            .into_iter()
            .zip([-90f64, -100.0, -103.0])
        {
            assert!((f64::from(got) - x.exp()).abs() <= 1.5e-45 * 2.0, "{isa} exp({x}) = {got}");
        }
    }
}

struct Activate<'a>(Activation, &'a [f32], &'a mut [f32]);

impl SimdOp for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (out, x) in self.2.chunks_mut(S::LANES).zip(self.1.chunks(S::LANES)) {
            s.write(out, self.0.apply(s, s.read(x)));
        }
    }
}

fn activate<S: Simd>(activation: Activation, x: &[f32], out: &mut [f32]) {
    run::<S, _>(Activate(activation, x, out));
}

#[test]
fn activations_match_their_formulas() {
    type Entry = fn(Activation, &[f32], &mut [f32]);
    const TABLE: &[Variant<Entry>] = variants!(activate: Entry);
    let x: Vec<f32> = inputs(-30.0, 30.0).into_iter().chain([f32::INFINITY]).collect();
    let mut y = vec![0.0; x.len()];
    for isa in Isa::available() {
        for activation in Activation::ALL {
            pick(TABLE, isa)(activation, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let want = activation.reference(f64::from(x));
                // The negative tails of the GELUs cancel: there the error is relative to x. The
                // last term is two subnormal steps.
                let relative = 4e-7 * want.abs() + 1.2e-7 * f64::from(x.abs().min(8.0));
                let bound = relative + 3e-45;
                let close = (f64::from(y) - want).abs() <= bound || f64::from(y) == want;
                assert!(close, "{isa} {activation:?}({x}) = {y}, not {want}");
            }
        }
    }
}
