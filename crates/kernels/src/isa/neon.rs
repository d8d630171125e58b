//! AArch64 NEON: four lanes, thirty-two registers.

use super::{Simd, SimdOp};
use std::arch::aarch64::*;

/// Witness of NEON, which every AArch64 CPU that runs std has.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` exists only if `detect` found NEON; memory operands are covered by the
        // contract of the unsafe method that contains them.
        unsafe { $call }
    };
}

impl Neon {
    /// 2^n for integers -126 <= n <= 127.
    #[inline(always)]
    fn power_of_two(self, n: int32x4_t) -> float32x4_t {
        op!(vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)))))
    }
}

impl Simd for Neon {
    type V = float32x4_t;
    type M = uint32x4_t;

    const LANES: usize = 4;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 4;

    #[inline]
    fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    #[inline(always)]
    fn vectorize<O: SimdOp>(self, op: O) -> O::Output {
        #[target_feature(enable = "neon")]
        fn inner<O: SimdOp>(s: Neon, op: O) -> O::Output {
            op.eval(s)
        }
        op!(inner(self, op))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        op!(vdupq_n_f32(x))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        op!(vld1q_f32(p))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4_t) {
        op!(vst1q_f32(p, v))
    }

    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> float32x4_t {
        let mut lanes = [0.0; 4];
        op!({
            std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
            vld1q_f32(lanes.as_ptr())
        })
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: float32x4_t) {
        let mut lanes = [0.0; 4];
        op!({
            vst1q_f32(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
        })
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vdivq_f32(a, b))
    }

    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        op!(vfmaq_f32(c, a, b))
    }

    #[inline(always)]
    fn dot_quads(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        op!({
            let [a_lower, a_upper] = bytes_by_place(self, unsigned_halves(self, a));
            let [b_lower, b_upper] = bytes_by_place(self, signed_halves(self, b));
            let mut sum = vreinterpretq_s32_f32(c);
            for (a, b) in [(a_lower, b_lower), (a_upper, b_upper)] {
                sum = vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b));
                sum = vmlal_high_s16(sum, a, b);
            }
            vreinterpretq_f32_s32(sum)
        })
    }

    #[inline(always)]
    fn signed_bytes(self, v: float32x4_t) -> [float32x4_t; 4] {
        op!({
            let v = vreinterpretq_s32_f32(v);
            [
                vcvtq_f32_s32(vshrq_n_s32::<24>(vshlq_n_s32::<24>(v))),
                vcvtq_f32_s32(vshrq_n_s32::<24>(vshlq_n_s32::<16>(v))),
                vcvtq_f32_s32(vshrq_n_s32::<24>(vshlq_n_s32::<8>(v))),
                vcvtq_f32_s32(vshrq_n_s32::<24>(v)),
            ]
        })
    }

    #[inline(always)]
    fn add_integers(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!({
            let sum = vaddq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b));
            vreinterpretq_f32_s32(sum)
        })
    }

    #[inline(always)]
    fn integers_to_f32(self, v: float32x4_t) -> float32x4_t {
        op!(vcvtq_f32_s32(vreinterpretq_s32_f32(v)))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut f32, v: float32x4_t) {
        op!({
            let integers = vmaxq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(-127));
            let words = vqmovn_s32(integers);
            let bytes = vreinterpret_u8_s8(vqmovn_s16(vcombine_s16(words, words)));
            let word = vreinterpret_u32_u8(veor_u8(bytes, vdup_n_u8(0x80)));
            p.cast::<u32>().write_unaligned(vget_lane_u32::<0>(word));
        })
    }

    #[inline(always)]
    fn pair_first(self, pair: float32x4_t) -> float32x4_t {
        op!(vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(pair))))
    }

    #[inline(always)]
    fn pair_second(self, pair: float32x4_t) -> float32x4_t {
        op!({
            let upper = vdupq_n_u32(0xFFFF_0000);
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(pair), upper))
        })
    }

    // Compare and select, since the minimum and maximum instructions treat NaN differently.
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        self.select(self.less(a, b), a, b)
    }

    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        self.select(self.less(b, a), a, b)
    }

    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        op!(vabsq_f32(a))
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        op!(vsqrtq_f32(a))
    }

    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        op!(vrndnq_f32(a))
    }

    #[inline(always)]
    fn copysign(self, magnitude: float32x4_t, sign: float32x4_t) -> float32x4_t {
        op!(vbslq_f32(vdupq_n_u32(1 << 31), sign, magnitude))
    }

    #[inline(always)]
    fn scale2(self, x: float32x4_t, n: float32x4_t) -> float32x4_t {
        // In two factors, since 2^n itself may be outside the normal range.
        op!({
            let n = vcvtq_s32_f32(n);
            let half = vshrq_n_s32::<1>(n);
            let rest = vsubq_s32(n, half);
            vmulq_f32(vmulq_f32(x, self.power_of_two(half)), self.power_of_two(rest))
        })
    }

    #[inline(always)]
    fn less(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        op!(vcltq_f32(a, b))
    }

    #[inline(always)]
    fn select(self, mask: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vbslq_f32(mask, a, b))
    }

    #[inline(always)]
    fn reduce_sum(self, v: float32x4_t) -> f32 {
        op!(vaddvq_f32(v))
    }

    #[inline(always)]
    fn reduce_max(self, v: float32x4_t) -> f32 {
        op!(vmaxvq_f32(v))
    }
}

/// The even bytes of all lanes and the odd ones, which are unsigned, in 16 bits each.
#[inline(always)]
fn unsigned_halves(_: Neon, v: float32x4_t) -> [int16x8_t; 2] {
    op!({
        let v = vreinterpretq_u16_f32(v);
        [vandq_u16(v, vdupq_n_u16(0xFF)), vshrq_n_u16::<8>(v)]
            .map(|half| vreinterpretq_s16_u16(half))
    })
}

/// The even bytes of all lanes and the odd ones, which are signed, in 16 bits each.
#[inline(always)]
fn signed_halves(_: Neon, v: float32x4_t) -> [int16x8_t; 2] {
    op!({
        let v = vreinterpretq_s16_f32(v);
        [vshrq_n_s16::<8>(vshlq_n_s16::<8>(v)), vshrq_n_s16::<8>(v)]
    })
}

/// The first bytes of all lanes and then the second ones, and the third and fourth ones.
#[inline(always)]
fn bytes_by_place(_: Neon, [even, odd]: [int16x8_t; 2]) -> [int16x8_t; 2] {
    op!([vuzp1q_s16(even, odd), vuzp2q_s16(even, odd)])
}
