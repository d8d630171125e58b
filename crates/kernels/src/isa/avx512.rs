//! AVX-512 F: sixteen lanes, thirty-two registers, masked loads and stores; and the same with the
//! products of bf16 pairs, or of bytes.

use super::{Simd, SimdOp};
use std::arch::x86_64::*;

/// Witness of AVX-512 F (and AVX2 and FMA, which every CPU with AVX-512 has).
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

/// Witness of AVX-512 BF16 beside it. It is no [`super::Isa`]: kernels of bf16 products ask for it,
/// and no other would differ.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Bf16(());

/// Witness of AVX-512 VNNI beside it, for kernels of int8 products.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Vnni(());

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

/// The vectors of a witness, whose CPU has the `feature`s.
macro_rules! vectors {
    ($witness:ident: [$($feature:tt)*] $($more:item)*) => {
        impl Simd for $witness {
            type V = __m512;
            type M = __mmask16;

            const LANES: usize = 16;
            const TILE_ROWS: usize = 6;
            const TILE_VECTORS: usize = 4;

            #[inline]
            fn detect() -> Option<Self> {
                let found = true $(&& is_x86_feature_detected!($feature))*;
                found.then_some(Self(()))
            }

            #[inline(always)]
            fn vectorize<O: SimdOp>(self, op: O) -> O::Output {
                $(#[target_feature(enable = $feature)])*
                fn inner<O: SimdOp>(s: $witness, op: O) -> O::Output {
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
            fn signed_bytes(self, v: __m512) -> [__m512; 4] {
                op!({
                    let v = _mm512_castps_si512(v);
                    [
                        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(v))),
                        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(_mm512_slli_epi32::<16>(v))),
                        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(_mm512_slli_epi32::<8>(v))),
                        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(v)),
                    ]
                })
            }

            #[inline(always)]
            fn add_integers(self, a: __m512, b: __m512) -> __m512 {
                op!({
                    let sum = _mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b));
                    _mm512_castsi512_ps(sum)
                })
            }

            #[inline(always)]
            fn integers_to_f32(self, v: __m512) -> __m512 {
                op!(_mm512_cvtepi32_ps(_mm512_castps_si512(v)))
            }

            #[inline(always)]
            unsafe fn store_bytes(self, p: *mut f32, v: __m512) {
                op!({
                    // Before the conversion, which turns what is too large into the least integer.
                    let limited = _mm512_min_ps(v, _mm512_set1_ps(127.0));
                    let integers = _mm512_cvtps_epi32(limited);
                    let bytes = _mm512_max_epi32(integers, _mm512_set1_epi32(-127));
                    let bytes = _mm512_cvtepi32_epi8(bytes);
                    _mm_storeu_si128(p.cast(), _mm_xor_si128(bytes, _mm_set1_epi8(i8::MIN)));
                })
            }

            #[inline(always)]
            fn pair_first(self, pair: __m512) -> __m512 {
                op!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pair))))
            }

            #[inline(always)]
            fn pair_second(self, pair: __m512) -> __m512 {
                op!({
                    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
                    _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pair), upper))
                })
            }

            $($more)*

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
    };
}

vectors!(Avx512: ["avx512f" "avx2" "fma"]
    #[inline(always)]
    fn dot_quads(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // AVX-512 F multiplies no integers of 8 or 16 bits; in f32 a sum of four such products is
        // exact.
        op!({
            let sum = unsigned_bytes(self, a)
                .into_iter()
                .zip(self.signed_bytes(b))
                .fold(self.zero(), |sum, (a, b)| self.fma(a, b, sum));
            self.add_integers(c, _mm512_castsi512_ps(_mm512_cvttps_epi32(sum)))
        })
    }
);

vectors!(Avx512Bf16: ["avx512f" "avx2" "fma" "avx512bf16"]
    #[inline(always)]
    fn dot_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: vectors of as many bits, of which any are valid; `self` is the witness of the
        // instruction.
        unsafe {
            let a = std::mem::transmute::<__m512, __m512bh>(a);
            let b = std::mem::transmute::<__m512, __m512bh>(b);
            _mm512_dpbf16_ps(c, a, b)
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut f32, v: __m512) {
        // SAFETY: the caller's contract; `self` is the witness of the instruction.
        unsafe { _mm256_storeu_si256(p.cast(), halves(self, v)) }
    }

    #[inline(always)]
    fn pack_pairs(self, first: __m512, second: __m512) -> __m512 {
        op!({
            let first = _mm512_cvtepu16_epi32(halves(self, first));
            let second = _mm512_cvtepu16_epi32(halves(self, second));
            _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32::<16>(second)))
        })
    }
);

vectors!(Avx512Vnni: ["avx512f" "avx2" "fma" "avx512vnni"]
    #[inline(always)]
    fn dot_quads(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!({
            let [a, b, c] = [a, b, c].map(|v| _mm512_castps_si512(v));
            _mm512_castsi512_ps(_mm512_dpbusd_epi32(c, a, b))
        })
    }
);

/// The four bytes of each lane, which are unsigned, as f32.
#[inline(always)]
fn unsigned_bytes(_: Avx512, v: __m512) -> [__m512; 4] {
    op!({
        let (v, byte) = (_mm512_castps_si512(v), _mm512_set1_epi32(0xFF));
        [
            _mm512_cvtepi32_ps(_mm512_and_si512(v, byte)),
            _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32::<8>(v), byte)),
            _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32::<16>(v), byte)),
            _mm512_cvtepi32_ps(_mm512_srli_epi32::<24>(v)),
        ]
    })
}

/// Every lane as bf16.
#[inline(always)]
fn halves(_: Avx512Bf16, v: __m512) -> __m256i {
    // SAFETY: the witness has the instruction; both types are of 256 bits, of which any are valid.
    unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v)) }
}
