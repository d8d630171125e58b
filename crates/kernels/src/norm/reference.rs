//! The plain definitions of the normalisations, in f64.

use super::GroupNormShape;

/// What [`super::group_norm`] computes.
pub fn group_norm(shape: &GroupNormShape, x: &[f32], gamma: &[f32], beta: &[f32], out: &mut [f32]) {
    let per_group = shape.channels / shape.groups;
    for (batch, group) in (0..shape.batch).flat_map(|b| (0..shape.groups).map(move |g| (b, g))) {
        let positions = batch * shape.positions..(batch + 1) * shape.positions;
        let first = |position: usize| position * shape.channels + group * per_group;
        let members: Vec<usize> =
            positions.flat_map(|p| (0..per_group).map(move |c| first(p) + c)).collect();
        let values: Vec<f32> = members.iter().map(|&i| x[i]).collect();
        for (&i, value) in members.iter().zip(normalise(&values, shape.eps)) {
            let channel = i % shape.channels;
            let scaled = value * f64::from(gamma[channel]) + f64::from(beta[channel]);
            out[i] = shape.activation.reference(scaled) as f32;
        }
    }
}

/// What [`super::layer_norm`] computes; the channels are as many as `gamma` has.
pub fn layer_norm(eps: f32, x: &[f32], gamma: &[f32], beta: &[f32], out: &mut [f32]) {
    let rows = x.chunks_exact(gamma.len()).zip(out.chunks_exact_mut(gamma.len()));
    for (row, out) in rows {
        for (i, value) in normalise(row, eps).into_iter().enumerate() {
            out[i] = (value * f64::from(gamma[i]) + f64::from(beta[i])) as f32;
        }
    }
}

/// (x - mean) / sqrt(variance + eps), with the biased variance.
fn normalise(values: &[f32], eps: f32) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + f64::from(eps)).sqrt();
    values.iter().map(|&x| (f64::from(x) - mean) * scale).collect()
}
