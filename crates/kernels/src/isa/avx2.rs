//! AVX2 with FMA: eight lanes, sixteen registers.

use super::{Simd, SimdOp};
use std::arch::x86_64::*;

/// Witness of AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` exists only if `detect` found AVX2 and FMA; memory operands are covered
        // by the contract of the unsafe method that contains them.
        unsafe { $call }
    };
}

/// Masks of the first n lanes start at element 8 - n.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl Avx2 {
    #[inline(always)]
    fn first(self, n: usize) -> __m256i {
        let window = &FIRST[8 - n..16 - n];
        op!(_mm256_loadu_si256(window.as_ptr().cast()))
    }

    /// 2^n for integers -126 <= n <= 127.
    #[inline(always)]
    fn power_of_two(self, n: __m256i) -> __m256 {
        op!({
            let biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        })
    }

    #[inline(always)]
    fn fold(self, v: __m256, f: impl Fn(__m128, __m128) -> __m128) -> f32 {
        op!({
            let four = f(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = f(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(f(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
}

impl Simd for Avx2 {
    type V = __m256;
    type M = __m256;

    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;

    #[inline]
    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    #[inline(always)]
    fn vectorize<O: SimdOp>(self, op: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: SimdOp>(s: Avx2, op: O) -> O::Output {
            op.eval(s)
        }
        op!(inner(self, op))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        op!(_mm256_set1_ps(x))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        op!(_mm256_loadu_ps(p))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        op!(_mm256_storeu_ps(p, v))
    }

    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> __m256 {
        op!(_mm256_maskload_ps(p, self.first(n)))
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, n: usize, v: __m256) {
        // In powers of two: a masked store is tens of operations on AMD's cores.
        op!({
            if n >= Self::LANES {
                return _mm256_storeu_ps(p, v);
            }
            let (mut at, mut rest) = (p, _mm256_castps256_ps128(v));
            if n & 4 != 0 {
                _mm_storeu_ps(at, rest);
                (at, rest) = (at.add(4), _mm256_extractf128_ps::<1>(v));
            }
            if n & 2 != 0 {
                _mm_storel_pd(at.cast(), _mm_castps_pd(rest));
                (at, rest) = (at.add(2), _mm_movehl_ps(rest, rest));
            }
            if n & 1 != 0 {
                _mm_store_ss(at, rest);
            }
        })
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        op!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn dot_quads(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // In 16 bits, since the sums of the instruction that multiplies bytes saturate.
        op!({
            let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
            let a_even = _mm256_and_si256(a, _mm256_set1_epi16(0xFF));
            let b_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
            let even = _mm256_madd_epi16(a_even, b_even);
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
            self.add_integers(c, _mm256_castsi256_ps(_mm256_add_epi32(even, odd)))
        })
    }

    #[inline(always)]
    fn signed_bytes(self, v: __m256) -> [__m256; 4] {
        op!({
            let v = _mm256_castps_si256(v);
            [
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<24>(v))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<16>(v))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(_mm256_slli_epi32::<8>(v))),
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(v)),
            ]
        })
    }

    #[inline(always)]
    fn add_integers(self, a: __m256, b: __m256) -> __m256 {
        op!({
            let sum = _mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b));
            _mm256_castsi256_ps(sum)
        })
    }

    #[inline(always)]
    fn integers_to_f32(self, v: __m256) -> __m256 {
        op!(_mm256_cvtepi32_ps(_mm256_castps_si256(v)))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut f32, v: __m256) {
        op!({
            // Before the conversion, which turns what is too large into the least integer.
            let limited = _mm256_min_ps(v, _mm256_set1_ps(127.0));
            let integers = _mm256_cvtps_epi32(_mm256_max_ps(limited, _mm256_set1_ps(-127.0)));
            let upper = _mm256_extracti128_si256::<1>(integers);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(integers), upper);
            let bytes = _mm_packs_epi16(words, words);
            _mm_storel_epi64(p.cast(), _mm_xor_si128(bytes, _mm_set1_epi8(i8::MIN)));
        })
    }

    #[inline(always)]
    fn pair_first(self, pair: __m256) -> __m256 {
        op!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pair))))
    }

    #[inline(always)]
    fn pair_second(self, pair: __m256) -> __m256 {
        op!({
            let upper = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
            _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pair), upper))
        })
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        op!(_mm256_sqrt_ps(a))
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        op!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
    }

    #[inline(always)]
    fn copysign(self, magnitude: __m256, sign: __m256) -> __m256 {
        op!({
            let bit = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, magnitude))
        })
    }

    #[inline(always)]
    fn scale2(self, x: __m256, n: __m256) -> __m256 {
        // In two factors, since 2^n itself may be outside the normal range.
        op!({
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let rest = _mm256_sub_epi32(n, half);
            let scaled = _mm256_mul_ps(x, self.power_of_two(half));
            _mm256_mul_ps(scaled, self.power_of_two(rest))
        })
    }

    #[inline(always)]
    fn scale2_normal(self, x: __m256, n: __m256) -> __m256 {
        op!(_mm256_mul_ps(x, self.power_of_two(_mm256_cvtps_epi32(n))))
    }

    #[inline(always)]
    fn less(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_blendv_ps(b, a, mask))
    }

    #[inline(always)]
    fn reduce_sum(self, v: __m256) -> f32 {
        self.fold(v, |a, b| op!(_mm_add_ps(a, b)))
    }

    #[inline(always)]
    fn reduce_max(self, v: __m256) -> f32 {
        self.fold(v, |a, b| op!(_mm_max_ps(a, b)))
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
