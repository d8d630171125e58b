//! Measures the arithmetic ceiling of this machine: how many multiply-adds a pool's threads finish
//! when nothing but the arithmetic units is in the way.

use crate::gemm::Precision;
use crate::gemm::micro::{Bf16Pairs, Floats, Quads, Words};
use crate::isa::{
    Isa, MAX_LANES, Simd, SimdOp, Variant, pick, pick_bf16, pick_int8, run, variants,
};
use crate::pool::Pool;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// Multiply-adds in flight: enough to cover the latency of every current core, few enough to stay
/// in the registers of every instruction set.
const CHAINS: usize = 10;

/// Rounds between loading and storing the sums, so many that neither counts.
const INNER_ROUNDS: usize = 1 << 10;

/// Rounds of one task: some milliseconds, so that starting it does not count.
const ROUNDS: usize = 1 << 21;

type Entry = fn(f32) -> f32;

static CHAIN: &[Variant<Entry>] = variants!(floats: Entry);

fn floats<S: Simd>(seed: f32) -> f32 {
    run::<S, _>(Chains::<Floats>(seed, PhantomData))
}

fn pairs<S: Simd>(seed: f32) -> f32 {
    run::<S, _>(Chains::<Bf16Pairs>(seed, PhantomData))
}

fn quads<S: Simd>(seed: f32) -> f32 {
    run::<S, _>(Chains::<Quads>(seed, PhantomData))
}

struct Chains<W>(f32, PhantomData<W>);

impl<W: Words> SimdOp for Chains<W> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        // Small and not round, so that the sums stay finite and normal numbers.
        let factor = s.splat(0.5 + self.0 * 1e-3);
        let term = s.splat(self.0 * 1e-3);
        let mut memory = [1.0; CHAINS * MAX_LANES];
        for _ in 0..ROUNDS / INNER_ROUNDS {
            // From memory and back, as in the real kernels: it is on loads and stores that the
            // compiler finds the vectors of the portable set.
            let mut sums = [s.zero(); CHAINS];
            for (sum, x) in sums.iter_mut().zip(memory.chunks_exact(S::LANES)) {
                *sum = s.read(x);
            }
            for _ in 0..INNER_ROUNDS {
                for sum in &mut sums {
                    *sum = W::multiply_add(s, factor, term, *sum);
                }
            }
            for (sum, x) in sums.iter().zip(memory.chunks_exact_mut(S::LANES)) {
                s.write(x, *sum);
            }
        }
        memory.iter().sum()
    }
}

/// The ceiling of products of a precision of all threads of `pool` together, in GFLOP/s (a
/// multiply-add is two operations): the best of repeated runs within `budget`, at least one.
///
/// # Panics
/// When `isa` is not available on this CPU.
pub fn measure_gflops(pool: &Pool, isa: Isa, precision: Precision, budget: Duration) -> f64 {
    let entry = match precision {
        Precision::F32 => pick(CHAIN, isa),
        Precision::Bf16 => pick_bf16!(isa, pairs: Entry),
        Precision::Int8 => pick_int8!(isa, quads: Entry),
    };
    let tasks = pool.threads() * 4;
    let products = tasks * ROUNDS * CHAINS * isa.lanes() * precision.channels_per_word();
    let flops = 2.0 * products as f64;
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while best.is_infinite() || start.elapsed() < budget {
        let begin = Instant::now();
        pool.run(tasks, &|i| {
            std::hint::black_box(entry(std::hint::black_box(1.0 + i as f32)));
        });
        best = best.min(begin.elapsed().as_secs_f64());
    }
    flops / best / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_isa_has_a_plausible_ceiling() {
        let pool = Pool::new(1);
        for isa in Isa::available() {
            for precision in Precision::ALL.into_iter().filter(|other| other.has_products(isa)) {
                let gflops = measure_gflops(&pool, isa, precision, Duration::ZERO);
                assert!((0.05..1e5).contains(&gflops), "{isa} {precision}: {gflops} GFLOP/s");
            }
        }
    }
}
