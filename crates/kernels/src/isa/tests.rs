//! Every vector operation of every available instruction set against its scalar definition.

use super::*;
use crate::gemm::{bf16, int8};

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

/// Quads of bytes, and integers.
struct Quads;

impl SimdOp for Quads {
    type Output = ();

    fn eval<S: Simd>(self, s: S) {
        const UNSIGNED: [u8; 7] = [0, 1, 37, 127, 128, 254, 255];
        const SIGNED: [i8; 9] = [-128, -127, -91, -1, 0, 1, 64, 126, 127];
        // With a step of zero all four bytes of a lane are alike, so the sums are extreme.
        for (at, step) in (0..UNSIGNED.len() * SIGNED.len()).flat_map(|at| [(at, 0), (at, 2)]) {
            check_quads(
                s,
                |i, j| UNSIGNED[(at + i + step * j) % UNSIGNED.len()],
                |i, j| SIGNED[(at + 2 * i + step * j) % SIGNED.len()],
            );
        }
        let far =
            [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, 2.5e9, -2.5e9, 126.5, -128.0];
        for x in INPUTS.chunks(S::LANES).chain(far.repeat(2).chunks(S::LANES)) {
            check_stored_bytes(s, x);
        }
    }
}

fn check_quads<S: Simd>(s: S, a: impl Fn(usize, usize) -> u8, b: impl Fn(usize, usize) -> i8) {
    const SUMS: [i32; 5] = [0, 16_777_217, i32::MAX, -7_000_001, i32::MIN];
    let read = |word: &dyn Fn(usize) -> u32| {
        s.read(&std::array::from_fn::<_, MAX_LANES, _>(|i| f32::from_bits(word(i))))
    };
    let a_words = read(&|i| u32::from_le_bytes(std::array::from_fn(|j| a(i, j))));
    let b_words = read(&|i| u32::from_le_bytes(std::array::from_fn(|j| b(i, j) as u8)));
    let c = |i: usize| SUMS[i % SUMS.len()];
    let sum = |i: usize| {
        let products = (0..4).map(|j| i32::from(a(i, j)) * i32::from(b(i, j)));
        c(i).wrapping_add(products.sum())
    };
    let sums = s.dot_quads(a_words, b_words, read(&|i| c(i) as u32));
    expect_integers(s, sums, sum);
    expect_integers(s, s.add_integers(sums, b_words), |i| {
        sum(i).wrapping_add(i32::from_le_bytes(std::array::from_fn(|j| b(i, j) as u8)))
    });
    expect(s, s.integers_to_f32(sums), |i| sum(i) as f32);
    for (j, bytes) in s.signed_bytes(b_words).into_iter().enumerate() {
        expect(s, bytes, |i| f32::from(b(i, j)));
    }
}

fn expect_integers<S: Simd>(s: S, v: S::V, want: impl Fn(usize) -> i32) {
    for (i, lane) in s.lanes(v)[..S::LANES].iter().enumerate() {
        assert_eq!(lane.to_bits() as i32, want(i), "lane {i}");
    }
}

fn check_stored_bytes<S: Simd>(s: S, x: &[f32]) {
    let mut words = [f32::from_bits(0x7777_7777); MAX_LANES];
    // SAFETY: more words than a vector has.
    unsafe { s.store_bytes(words.as_mut_ptr(), s.read(x)) };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_bits().to_le_bytes()).collect();
    let (written, rest) = bytes.split_at(S::LANES);
    for (&byte, &x) in written.iter().zip(x) {
        assert_eq!(byte, int8::byte(x), "{x}");
    }
    assert!(rest.iter().all(|&byte| byte == 0x77));
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

#[test]
fn quads_of_bytes_match_their_definition() {
    fn quads<S: Simd>() {
        if let Some(s) = S::detect() {
            s.vectorize(Quads);
        }
    }
    for row in variants!(quads: fn()) {
        (row.run)();
    }
    #[cfg(target_arch = "x86_64")]
    quads::<Avx512Vnni>();
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
