//! Every vector operation of every available instruction set against its scalar definition.

use super::*;

const INPUTS: [f32; 16] =
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -3.25, 7.75, -100.5, 1e-3, 3e5, -2e5, 0.1, -0.7, 42.0];

struct Lanewise;

impl SimdOp for Lanewise {
    type Output = ();

    fn eval<S: Simd>(self, s: S) {
        for chunk in INPUTS.windows(S::LANES) {
            let reversed: Vec<f32> = chunk.iter().rev().copied().collect();
            check_lanes(s, chunk, &reversed);
        }
    }
}

fn check_lanes<S: Simd>(s: S, a: &[f32], b: &[f32]) {
    let (va, vb) = (s.read(a), s.read(b));
    let binary = |v: S::V, f: &dyn Fn(f32, f32) -> f32| expect(s, v, |i| f(a[i], b[i]));
    binary(s.add(va, vb), &|a, b| a + b);
    binary(s.sub(va, vb), &|a, b| a - b);
    binary(s.mul(va, vb), &|a, b| a * b);
    binary(s.div(va, s.splat(3.0)), &|a, _| a / 3.0);
    binary(s.min(va, vb), &|a, b| if a < b { a } else { b });
    binary(s.max(va, vb), &|a, b| if a > b { a } else { b });
    binary(s.abs(va), &|a, _| a.abs());
    binary(s.sqrt(s.abs(va)), &|a, _| a.abs().sqrt());
    binary(s.round(va), &|a, _| a.round_ties_even());
    binary(s.copysign(va, vb), &f32::copysign);
    binary(s.select(s.less(va, vb), va, vb), &|a, b| if a < b { a } else { b });
    binary(s.fma(s.splat(2.0), va, vb), &|a, b| 2.0 * a + b);
    assert_eq!(s.reduce_max(va), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = a.iter().map(|&x| f64::from(x)).sum();
    assert!((f64::from(s.reduce_sum(va)) - sum).abs() <= 0.1);
}

fn expect<S: Simd>(s: S, v: S::V, want: impl Fn(usize) -> f32) {
    let mut got = vec![0.0; S::LANES];
    s.write(&mut got, v);
    for (i, &x) in got.iter().enumerate() {
        assert_eq!(x, want(i), "lane {i}");
    }
}

/// Pairs of bf16, whose first half is in the lower bits.
struct Pairs;

impl SimdOp for Pairs {
    type Output = ();

    fn eval<S: Simd>(self, s: S) {
        let rounded = bf16::rounded(&INPUTS);
        for at in 0..=INPUTS.len() - S::LANES {
            let (a, b) = (&INPUTS[at..][..S::LANES], INPUTS[..at + S::LANES].iter().rev());
            let b: Vec<f32> = b.take(S::LANES).copied().collect();
            let b_rounded = bf16::rounded(&b);
            let pairs = s.pack_pairs(s.read(a), s.read(&b));
            expect(s, s.pair_first(pairs), |i| rounded[at + i]);
            expect(s, s.pair_second(pairs), |i| b_rounded[i]);
            // Powers of two and one product a lane: every order of the sums is exact.
            let halves = s.pack_pairs(s.splat(0.5), s.zero());
            expect(s, s.dot_pairs(pairs, halves, s.splat(0.0)), |i| 0.5 * rounded[at + i]);
            let doubles = s.pack_pairs(s.zero(), s.splat(2.0));
            expect(s, s.dot_pairs(pairs, doubles, s.zero()), |i| 2.0 * b_rounded[i]);
            let mut words = [f32::from_bits(0x7777_7777); MAX_LANES];
            // SAFETY: more words than a vector has.
            unsafe { s.store_bf16(words.as_mut_ptr(), s.read(a)) };
            let (written, rest) = words.split_at(S::LANES / 2);
            for (i, word) in written.iter().enumerate() {
                assert_eq!(word.to_bits(), bf16::pair(a[2 * i], a[2 * i + 1]).to_bits());
            }
            assert!(rest.iter().all(|word| word.to_bits() == 0x7777_7777));
        }
    }
}

#[test]
fn pairs_of_bf16_match_their_definition() {
    fn pairs<S: Simd>() {
        if let Some(s) = S::detect() {
            s.vectorize(Pairs);
        }
    }
    for row in variants!(pairs: fn()) {
        (row.run)();
    }
    #[cfg(target_arch = "x86_64")]
    pairs::<Avx512Bf16>();
}

struct Tails;

impl SimdOp for Tails {
    type Output = ();

    fn eval<S: Simd>(self, s: S) {
        for n in 0..=S::LANES {
            let v = s.read(&INPUTS[..n]);
            expect(s, v, |i| if i < n { INPUTS[i] } else { 0.0 });
            let mut out = [9.0; MAX_LANES + 1];
            s.write(&mut out[..n], s.splat(1.0));
            assert!(out[..n].iter().all(|&x| x == 1.0) && out[n..].iter().all(|&x| x == 9.0));
        }
    }
}

struct Extremes;

impl SimdOp for Extremes {
    type Output = ();

    fn eval<S: Simd>(self, s: S) {
        expect(s, s.scale2(s.splat(1.5), s.splat(127.0)), |_| 1.5 * 2f32.powi(127));
        expect(s, s.scale2(s.splat(1.5), s.splat(128.0)), |_| f32::INFINITY);
        expect(s, s.scale2(s.splat(1.0), s.splat(-140.0)), |_| 2f32.powi(-140));
        expect(s, s.scale2(s.splat(1.0), s.splat(-152.0)), |_| 0.0);
        let nan = s.splat(f32::NAN);
        for v in [s.max(s.zero(), nan), s.min(s.zero(), nan), s.round(nan)] {
            let mut got = [0.0; MAX_LANES];
            s.write(&mut got, v);
            assert!(got[..S::LANES].iter().all(|x| x.is_nan()));
        }
    }
}

fn entry<S: Simd>(_: ()) {
    run::<S, _>(Lanewise);
    run::<S, _>(Tails);
    run::<S, _>(Extremes);
}

#[test]
fn operations_match_scalars_on_every_isa() {
    for isa in Isa::available() {
        pick(variants!(entry: fn(())), isa)(());
    }
}

#[test]
fn names_round_trip_and_bad_names_are_errors() {
    for isa in Isa::ALL {
        assert_eq!(isa.name().parse(), Ok(isa));
    }
    assert_eq!("sse9".parse::<Isa>(), Err(IsaError::Unknown("sse9".into())));
    let missing = Isa::ALL.into_iter().find(|isa| !isa.is_available());
    let missing = missing.expect("no CPU has both AVX and NEON");
    assert_eq!(missing.require(), Err(IsaError::Unavailable(missing)));
}

#[test]
#[cfg(target_arch = "aarch64")]
fn neon_is_what_aarch64_runs() {
    assert!(Isa::available().eq([Isa::Neon, Isa::Portable]));
}

#[test]
fn portable_is_always_available() {
    assert!(Isa::Portable.is_available());
    assert!(Isa::available().next().is_some_and(|isa| isa == Isa::best()));
}
