//! Plain Rust on arrays of four, which compilers turn into whatever vectors the target's baseline
//! has. Multiply-add is rounded twice: the fused form without hardware is a slow library call.

use super::{Simd, SimdOp};

/// Witness of nothing: every CPU runs it.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

type V = [f32; 4];

#[inline(always)]
fn map(a: V, f: impl Fn(f32) -> f32) -> V {
    [f(a[0]), f(a[1]), f(a[2]), f(a[3])]
}

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

/// 2^n for integers -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

impl Simd for Portable {
    type V = V;
    type M = [bool; 4];

    const LANES: usize = 4;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 2;

    #[inline]
    fn detect() -> Option<Self> {
        Some(Self)
    }

    #[inline(always)]
    fn vectorize<O: SimdOp>(self, op: O) -> O::Output {
        op.eval(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        // SAFETY: the caller vouches for four floats at `p`.
        unsafe { p.cast::<V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: V) {
        // SAFETY: the caller vouches for four floats at `p`.
        unsafe { p.cast::<V>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> V {
        let mut v = [0.0; 4];
        // SAFETY: the caller vouches for `n <= 4` floats at `p`.
        unsafe { std::ptr::copy_nonoverlapping(p, v.as_mut_ptr(), n) };
        v
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: V) {
        // SAFETY: the caller vouches for `n <= 4` floats at `p`.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), p, n) };
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn pair_first(self, pair: V) -> V {
        map(pair, |pair| f32::from_bits(pair.to_bits() << 16))
    }

    #[inline(always)]
    fn pair_second(self, pair: V) -> V {
        map(pair, |pair| f32::from_bits(pair.to_bits() & 0xFFFF_0000))
    }

    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, a: V) -> V {
        map(a, f32::abs)
    }

    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        map(a, f32::sqrt)
    }

    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding 1.5 * 2^23 leaves no fraction bits, so the addition rounds.
        const MAGIC: f32 = 12_582_912.0;
        map(a, |a| (a + MAGIC) - MAGIC)
    }

    #[inline(always)]
    fn copysign(self, magnitude: V, sign: V) -> V {
        zip(magnitude, sign, f32::copysign)
    }

    #[inline(always)]
    fn scale2(self, x: V, n: V) -> V {
        // In two factors, since 2^n itself may be outside the normal range.
        zip(x, n, |x, n| {
            let n = n as i32;
            let half = n >> 1;
            x * power_of_two(half) * power_of_two(n - half)
        })
    }

    #[inline(always)]
    fn less(self, a: V, b: V) -> [bool; 4] {
        [a[0] < b[0], a[1] < b[1], a[2] < b[2], a[3] < b[3]]
    }

    #[inline(always)]
    fn select(self, m: [bool; 4], a: V, b: V) -> V {
        let lane = |i: usize| if m[i] { a[i] } else { b[i] };
        [lane(0), lane(1), lane(2), lane(3)]
    }

    #[inline(always)]
    fn reduce_sum(self, v: V) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }

    #[inline(always)]
    fn reduce_max(self, v: V) -> f32 {
        v[0].max(v[2]).max(v[1].max(v[3]))
    }
}
