//! Attention against the reference, for every instruction set and odd extents.

use super::*;
use crate::testing::{Random, assert_close};

fn shape(
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    head_dim: usize,
) -> AttentionShape {
    let scale = (head_dim as f32).powf(-0.5);
    let precision = Precision::F32;
    AttentionShape { batch, heads, queries, keys, head_dim, scale, causal: false, precision }
}

/// q, k and v are parts of one buffer when the tokens are as many, else tensors with gaps.
fn check(shape: AttentionShape, magnitude: f32, isa: Isa, pool: &Pool) {
    let channels = shape.heads * shape.head_dim;
    let mut random = Random::new((shape.queries * 31 + shape.keys * 7 + shape.head_dim) as u64);
    let stride = 3 * channels + 1;
    let mut tensor = |tokens: usize| -> Vec<f32> {
        random.vector(shape.batch * tokens * stride).iter().map(|x| x * magnitude).collect()
    };
    let (first, second) = (tensor(shape.queries), tensor(shape.keys));
    let q = Tokens { values: &first, stride };
    let k = Tokens { values: &second[channels..], stride };
    let v = Tokens { values: &second[2 * channels..], stride };
    let out_stride = channels + 3;
    let mut want = vec![7.0; shape.batch * shape.queries * out_stride];
    let mut got = want.clone();
    reference::attention(&shape, q, k, v, &mut want, out_stride);
    let mut scratch = vec![f32::NAN; attention_scratch_len(isa, &shape)];
    attention(isa, pool, &shape, q, k, v, &mut scratch, &mut got, out_stride);
    // Errors of a score grow with its size, and the exponential passes them on.
    let tolerance = 2e-6 * (1.0 + magnitude * magnitude);
    assert_close(&got, &want, tolerance, &(isa, shape));

    got.fill(7.0);
    let shape = AttentionShape { precision: Precision::Bf16, ..shape };
    let mut scratch = vec![f32::NAN; attention_scratch_len(isa, &shape)];
    attention(isa, pool, &shape, q, k, v, &mut scratch, &mut got, out_stride);
    assert_close(&got, &want, bf16_tolerance(magnitude), &(isa, shape));
}

/// Values and their weights are rounded by at most a 256th of them, and so are the operands of the
/// scores, whose errors the exponential passes on: a score is a sum that is divided by the root of
/// its length.
fn bf16_tolerance(magnitude: f32) -> f32 {
    2e-2 * magnitude.max(1.0) * (1.0 + magnitude * magnitude / 4.0)
}

#[test]
fn the_models_extents() {
    let pool = Pool::new(2);
    let causal = AttentionShape { causal: true, ..shape(1, 2, 77, 77, 64) };
    let shapes = [
        shape(1, 2, 600, 600, 64),
        shape(2, 3, 100, 77, 64),
        shape(1, 8, 65, 77, 40),
        shape(1, 2, 64, 64, 80),
        shape(1, 1, 30, 300, 160),
        shape(1, 1, 20, 257, 512),
        shape(1, 1, 1, 1, 1),
        causal,
    ];
    for isa in Isa::available() {
        for shape in shapes {
            check(shape, 1.0, isa, &pool);
        }
    }
}

#[test]
fn random_extents_match_the_reference() {
    let pool = Pool::new(3);
    for isa in Isa::available() {
        let mut random = Random::new(2);
        for _ in 0..60 {
            let tokens = random.integer(1, 300);
            let causal = random.coin();
            let keys = if causal { tokens } else { random.integer(1, 600) };
            let heads = random.integer(1, 3);
            let head_dim = random.integer(1, 90);
            let shape = shape(random.integer(1, 2), heads, tokens, keys, head_dim);
            check(AttentionShape { causal, ..shape }, 1.0, isa, &pool);
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        check(shape(1, 1, 13, 700, 64), 30.0, isa, &pool);
    }
}

#[test]
fn a_nan_key_reaches_the_output() {
    let pool = Pool::new(1);
    let shape = shape(1, 1, 7, 40, 8);
    for isa in Isa::available() {
        let x = vec![0.5; 40 * 8];
        let mut k = x.clone();
        k[3] = f32::NAN;
        let mut out = vec![0.0; 7 * 8];
        let mut scratch = vec![0.0; attention_scratch_len(isa, &shape)];
        let tokens = |values| Tokens { values, stride: 8 };
        attention(
            isa,
            &pool,
            &shape,
            tokens(&x),
            tokens(&k),
            tokens(&x),
            &mut scratch,
            &mut out,
            8,
        );
        assert!(out.iter().all(|x| x.is_nan()), "{isa}");
    }
}

#[test]
#[should_panic(expected = "scratch: 0 floats")]
fn a_short_scratch_is_refused() {
    let shape = shape(1, 1, 1, 1, 1);
    let one = Tokens { values: &[1.0], stride: 1 };
    let pool = Pool::new(1);
    attention(Isa::best(), &pool, &shape, one, one, one, &mut [], &mut [0.0], 1);
}
