//! AVX-512 F: sixteen lanes, thirty-two registers, masked loads and stores.

use super::{Simd, SimdOp};
use std::arch::x86_64::*;

/// Witness of AVX-512 F (and AVX2 and FMA, which every CPU with AVX-512 has).
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` exists only if `detect` found AVX-512 F; memory operands are covered by
        // the contract of the unsafe method that contains them.
        unsafe { $call }
    };
}

#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

impl Simd for Avx512 {
    type V = __m512;
    type M = __mmask16;

    const LANES: usize = 16;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 4;

    #[inline]
    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    #[inline(always)]
    fn vectorize<O: SimdOp>(self, op: O) -> O::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<O: SimdOp>(s: Avx512, op: O) -> O::Output {
            op.eval(s)
        }
        op!(inner(self, op))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        op!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        op!(_mm512_loadu_ps(p))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        op!(_mm512_storeu_ps(p, v))
    }

    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> __m512 {
        op!(_mm512_maskz_loadu_ps(first(n), p))
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: __m512) {
        op!(_mm512_mask_storeu_ps(p, first(n), v))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        op!(_mm512_abs_ps(a))
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        op!(_mm512_sqrt_ps(a))
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        op!(_mm512_roundscale_ps::<0>(a))
    }

    #[inline(always)]
    fn copysign(self, magnitude: __m512, sign: __m512) -> __m512 {
        // Bit select: where the constant has a one take `sign`, else `magnitude`.
        op!({
            let bit = _mm512_set1_epi32(i32::MIN);
            let m = _mm512_castps_si512(magnitude);
            let s = _mm512_castps_si512(sign);
            _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0xCA>(bit, s, m))
        })
    }

    #[inline(always)]
    fn scale2(self, x: __m512, n: __m512) -> __m512 {
        op!(_mm512_scalef_ps(x, n))
    }

    #[inline(always)]
    fn less(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(mask, b, a))
    }

    #[inline(always)]
    fn reduce_sum(self, v: __m512) -> f32 {
        op!(_mm512_reduce_add_ps(v))
    }

    #[inline(always)]
    fn reduce_max(self, v: __m512) -> f32 {
        op!(_mm512_reduce_max_ps(v))
    }

    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        op!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }

    #[inline(always)]
    fn prefetch_far(self, p: *const f32) {
        op!(_mm_prefetch::<_MM_HINT_T1>(p.cast()))
    }
}
