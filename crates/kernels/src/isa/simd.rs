//! The vectors of an instruction set, and how a piece of work is compiled for them.

use super::MAX_LANES;
use crate::gemm::{bf16, int8};

/// A piece of work that [`Simd::vectorize`] compiles for one instruction set.
///
/// Mark `eval`, and every helper that touches vectors, `#[inline(always)]`: code that is not
/// inlined into the vectorised function is compiled without the instruction set.
pub trait SimdOp {
    /// What the work returns.
    type Output;

    /// Does the work with the vectors of `S`.
    fn eval<S: Simd>(self, s: S) -> Self::Output;
}

/// Runs `op` with the witness of `S`; for the entries listed by `variants!`.
pub fn run<S: Simd, O: SimdOp>(op: O) -> O::Output {
    let s = S::detect().expect("an entry is picked only for an available Isa");
    s.vectorize(op)
}

/// Vectors of f32 of one instruction set. A value of the type is the proof that the CPU has it.
///
/// `min` and `max` return `b` when either operand is NaN, so a NaN in `b` always propagates.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector of [`Self::LANES`] f32.
    type V: Copy;
    /// One truth value a lane.
    type M: Copy;

    /// f32 lanes of one vector.
    const LANES: usize;
    /// Rows of the micro-kernel's tile.
    const TILE_ROWS: usize;
    /// Vectors in a row of the micro-kernel's tile: the accumulators, one row of weights and one
    /// broadcast fit the register file, and the wider the tile, the fewer loads a multiply-add.
    const TILE_VECTORS: usize;

    /// The witness, if this CPU has the instructions.
    fn detect() -> Option<Self>;
    /// Runs `op` in a function compiled with the instruction set.
    fn vectorize<O: SimdOp>(self, op: O) -> O::Output;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// The vector at `p`, of any alignment.
    ///
    /// # Safety
    /// `LANES` floats at `p` are readable.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// Writes the vector to `p`, of any alignment.
    ///
    /// # Safety
    /// `LANES` floats at `p` are writable.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    /// The first `n <= LANES` floats at `p`, and zero in the other lanes.
    ///
    /// # Safety
    /// `n` floats at `p` are readable.
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Self::V;
    /// Writes the first `n <= LANES` lanes to `p`.
    ///
    /// # Safety
    /// `n` floats at `p` are writable.
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: Self::V);

    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a - b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a * b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a * b + c; rounded once where the hardware can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// In each lane two bf16, the lower half the first: c + a0 b0 + a1 b1, summed in f32. The
    /// order of the sums and how they round are the hardware's.
    #[inline(always)]
    fn dot_pairs(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let first = self.fma(self.pair_first(a), self.pair_first(b), c);
        self.fma(self.pair_second(a), self.pair_second(b), first)
    }
    /// Writes the vector rounded to bf16 to the `LANES / 2` words at `p`, of any alignment.
    ///
    /// # Safety
    /// `LANES / 2` words at `p` are writable.
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut f32, v: Self::V) {
        let lanes = self.lanes(v);
        for (i, &lane) in lanes[..Self::LANES].iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { p.cast::<u16>().add(i).write_unaligned(bf16::round(lane)) };
        }
    }
    /// Both vectors rounded to bf16, the first in the lower halves.
    #[inline(always)]
    fn pack_pairs(self, first: Self::V, second: Self::V) -> Self::V {
        let (first, second) = (self.lanes(first), self.lanes(second));
        self.read(&std::array::from_fn::<_, MAX_LANES, _>(|i| bf16::pair(first[i], second[i])))
    }
    /// In each lane four bytes: c + a0 b0 + a1 b1 + a2 b2 + a3 b3, where those of `a` are unsigned,
    /// those of `b` signed, and `c` and the sum are 32-bit integers that wrap around.
    #[inline(always)]
    fn dot_quads(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let [a, b, c] = [a, b, c].map(|v| self.lanes(v).map(f32::to_bits));
        self.read(&std::array::from_fn::<_, MAX_LANES, _>(|i| {
            let bytes = a[i].to_le_bytes().into_iter().zip(b[i].to_le_bytes());
            let sum: i32 = bytes.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum();
            f32::from_bits(c[i].wrapping_add(sum as u32))
        }))
    }
    /// The four signed bytes of each lane as f32.
    #[inline(always)]
    fn signed_bytes(self, v: Self::V) -> [Self::V; 4] {
        let words = self.lanes(v).map(|lane| lane.to_bits().to_le_bytes());
        std::array::from_fn(|at| self.read(&words.map(|bytes| f32::from(bytes[at] as i8))))
    }
    /// The sum of 32-bit integers, which wraps around.
    #[inline(always)]
    fn add_integers(self, a: Self::V, b: Self::V) -> Self::V {
        let [a, b] = [a, b].map(|v| self.lanes(v).map(f32::to_bits));
        self.read(&std::array::from_fn::<_, MAX_LANES, _>(|i| {
            f32::from_bits(a[i].wrapping_add(b[i]))
        }))
    }
    /// The nearest f32 of 32-bit integers.
    #[inline(always)]
    fn integers_to_f32(self, v: Self::V) -> Self::V {
        let lanes = self.lanes(v).map(|lane| lane.to_bits() as i32 as f32);
        self.read(&lanes)
    }
    /// Writes the nearest integers, ties to even and at most 127 away from zero, plus 128 as bytes
    /// to the `LANES / 4` words at `p`, of any alignment. A NaN may become any.
    ///
    /// # Safety
    /// `LANES / 4` words at `p` are writable.
    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut f32, v: Self::V) {
        let lanes = self.lanes(v);
        for (i, &lane) in lanes[..Self::LANES].iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { p.cast::<u8>().add(i).write(int8::byte(lane)) };
        }
    }
    /// The lanes, and zeros.
    #[inline(always)]
    fn lanes(self, v: Self::V) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        self.write(&mut lanes, v);
        lanes
    }
    /// The first bf16 of each lane as f32.
    fn pair_first(self, pair: Self::V) -> Self::V;
    /// The second bf16 of each lane as f32.
    fn pair_second(self, pair: Self::V) -> Self::V;
    /// The smaller; `b` when either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` when either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// |a|
    fn abs(self, a: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The nearest integer, ties to even, for |a| < 2^22; NaN for NaN.
    fn round(self, a: Self::V) -> Self::V;
    /// |magnitude| with the sign of `sign`.
    fn copysign(self, magnitude: Self::V, sign: Self::V) -> Self::V;
    /// x * 2^n for integers -252 <= n <= 254; NaN for a NaN in `x`.
    fn scale2(self, x: Self::V, n: Self::V) -> Self::V;
    /// x * 2^n for integers -126 <= n <= 127: one factor is enough. NaN for a NaN in `x`.
    #[inline(always)]
    fn scale2_normal(self, x: Self::V, n: Self::V) -> Self::V {
        self.scale2(x, n)
    }
    /// a < b, false for NaN.
    fn less(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a` where the mask is true, else `b`.
    fn select(self, mask: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// The sum of all lanes.
    fn reduce_sum(self, v: Self::V) -> f32;
    /// The largest lane of a vector without NaN.
    fn reduce_max(self, v: Self::V) -> f32;

    /// Asks for the cache line at `p`, which may be any address, to be brought into the first-level
    /// cache; does nothing where there is no such instruction.
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        let _ = p;
    }

    /// As [`Simd::prefetch`], into the second-level cache only.
    #[inline(always)]
    fn prefetch_far(self, p: *const f32) {
        let _ = p;
    }

    /// Zero in every lane.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    /// The first `min(x.len(), LANES)` floats of `x`, and zero in the other lanes.
    #[inline(always)]
    fn read(self, x: &[f32]) -> Self::V {
        if x.len() >= Self::LANES {
            // SAFETY: the slice holds at least LANES floats.
            unsafe { self.load(x.as_ptr()) }
        } else {
            // SAFETY: the slice holds exactly `x.len()` floats, fewer than LANES.
            unsafe { self.load_partial(x.as_ptr(), x.len()) }
        }
    }

    /// Writes the first `min(out.len(), LANES)` lanes to `out`.
    #[inline(always)]
    fn write(self, out: &mut [f32], v: Self::V) {
        if out.len() >= Self::LANES {
            // SAFETY: the slice holds at least LANES floats.
            unsafe { self.store(out.as_mut_ptr(), v) }
        } else {
            // SAFETY: the slice holds exactly `out.len()` floats, fewer than LANES.
            unsafe { self.store_partial(out.as_mut_ptr(), out.len(), v) }
        }
    }
}
