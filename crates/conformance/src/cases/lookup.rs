//! Operations that look numbers up or make them from positions.

use laterna_graph::op::TimestepEmbedding;
use laterna_graph::{Op, Rate, TensorType};
use laterna_tensor::DType;

use super::{Case, EXACT, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all = vec![embedding(), select_token(), integer_to_float()];
    all.extend(TIMESTEPS.iter().map(timestep));
    all
}

fn embedding() -> Case {
    Case::of("embedding", EXACT, |b| {
        let ids = b.input("ids", Rate::Prompt, TensorType::i64([2, 77]));
        let table = b.weight("table", [49, 19])?;
        b.node("y", Op::Embedding, &[ids, table])
    })
}

fn select_token() -> Case {
    Case::of("select_token", EXACT, |b| {
        let x = input(b, "x", [3, 9, 17]);
        let index = b.input("index", Rate::Prompt, TensorType::i64([3]));
        b.node("y", Op::SelectToken, &[x, index])
    })
}

fn integer_to_float() -> Case {
    Case::of("cast i64 to f32", EXACT, |b| {
        let x = b.input("x", Rate::Frame, TensorType::i64([3, 7]));
        b.cast("y", x, DType::F32)
    })
}

const TIMESTEPS: &[TimestepEmbedding] = &[
    TimestepEmbedding { dim: 32, flip_sin_to_cos: true, freq_shift: 0.0, max_period: 10_000.0 },
    TimestepEmbedding { dim: 32, flip_sin_to_cos: false, freq_shift: 1.0, max_period: 10_000.0 },
    TimestepEmbedding { dim: 9, flip_sin_to_cos: true, freq_shift: 0.0, max_period: 100.0 },
];

/// Timesteps of 0 to 1000: an exponential that is off by one unit in the last
/// place moves such an angle by 6e-5.
fn timestep(embedding: &TimestepEmbedding) -> Case {
    let TimestepEmbedding { dim, freq_shift, .. } = embedding;
    Case::of(format!("timestep_embedding, {dim} channels, shift {freq_shift}"), 2e-4, |b| {
        let t = input(b, "t", [3]);
        let t = b.affine("t", t, 288.0, 500.0)?;
        b.timestep_embedding("y", t, *embedding)
    })
}
