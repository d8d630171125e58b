//! Measures the arithmetic ceiling of this machine: how many multiply-adds a pool's threads finish
//! when nothing but the arithmetic units is in the way.

use crate::isa::{Isa, MAX_LANES, Simd, SimdOp, Variant, pick, run, variants};
use crate::pool::Pool;
use std::time::{Duration, Instant};

/// Multiply-adds in flight: enough to cover the latency of every current core, few enough to stay
/// in the registers of every instruction set.
const CHAINS: usize = 10;

/// Rounds between loading and storing the sums, so many that neither counts.
const INNER_ROUNDS: usize = 1 << 10;

/// Rounds of one task: some milliseconds, so that starting it does not count.
const ROUNDS: usize = 1 << 21;

type Entry = fn(f32) -> f32;

static CHAIN: &[Variant<Entry>] = variants!(chain: Entry);

fn chain<S: Simd>(seed: f32) -> f32 {
    run::<S, _>(Chains(seed))
}

struct Chains(f32);

impl SimdOp for Chains {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        // |factor| < 1 keeps the sums finite and out of the slow subnormal range.
        let factor = s.splat(0.5 + self.0 * 1e-3);
        let term = s.splat(self.0);
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
                    *sum = s.fma(*sum, factor, term);
                }
            }
            for (sum, x) in sums.iter().zip(memory.chunks_exact_mut(S::LANES)) {
                s.write(x, *sum);
            }
        }
        memory.iter().sum()
    }
}

/// The f32 ceiling of all threads of `pool` together, in GFLOP/s (a multiply-add is two
/// operations): the best of repeated runs within `budget`, at least one.
///
/// # Panics
/// When `isa` is not available on this CPU.
pub fn measure_gflops(pool: &Pool, isa: Isa, budget: Duration) -> f64 {
    let entry = pick(CHAIN, isa);
    let tasks = pool.threads() * 4;
    let flops = (2 * tasks * ROUNDS * CHAINS * isa.lanes()) as f64;
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
            let gflops = measure_gflops(&pool, isa, Duration::ZERO);
            assert!((0.05..1e5).contains(&gflops), "{isa}: {gflops} GFLOP/s");
        }
    }
}
