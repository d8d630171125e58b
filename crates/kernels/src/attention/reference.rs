//! The plain definition of attention, one query at a time, accumulated in f64.

use super::{AttentionShape, Tokens};

/// What [`super::attention`] computes.
pub fn attention(
    shape: &AttentionShape,
    q: Tokens<'_>,
    k: Tokens<'_>,
    v: Tokens<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let AttentionShape { batch, heads, queries, keys, head_dim, .. } = *shape;
    for (sample, head, query) in
        (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..queries).map(move |q| (b, h, q))))
    {
        let token = |tokens: Tokens<'_>, row: usize, channel: usize| {
            f64::from(tokens.values[row * tokens.stride + head * head_dim + channel])
        };
        let query_row = sample * queries + query;
        let visible = if shape.causal { query + 1 } else { keys };
        let score = |key: usize| {
            let dot: f64 = (0..head_dim)
                .map(|c| token(q, query_row, c) * token(k, sample * keys + key, c))
                .sum();
            dot * f64::from(shape.scale)
        };
        let scores: Vec<f64> = (0..visible).map(score).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for channel in 0..head_dim {
            let mix: f64 =
                (0..visible).map(|key| weights[key] * token(v, sample * keys + key, channel)).sum();
            out[query_row * out_stride + head * head_dim + channel] = (mix / sum) as f32;
        }
    }
}
