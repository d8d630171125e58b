//! Operations that summarise an axis: normalisations and softmax.

use laterna_tensor::Tensor;

use super::{Evaluated, f32_tensor};
use crate::op::GroupNorm;

pub(super) fn group_norm(norm: &GroupNorm, x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Evaluated {
    let channels = x.shape()[1];
    let area: usize = x.shape()[2..].iter().product();
    let per_group = channels / norm.groups;
    let (gamma, beta) = (gamma.as_f32()?, beta.as_f32()?);
    let mut result = Vec::with_capacity(x.shape().elements());
    for (index, group) in x.as_f32()?.chunks_exact(per_group * area).enumerate() {
        let first = index % norm.groups * per_group;
        let normalised = normalise(group, norm.eps);
        result.extend(normalised.enumerate().map(|(i, v)| {
            let channel = first + i / area;
            (v * f64::from(gamma[channel]) + f64::from(beta[channel])) as f32
        }));
    }
    f32_tensor(x.shape(), result)
}

pub(super) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f32) -> Evaluated {
    let (gamma, beta) = (gamma.as_f32()?, beta.as_f32()?);
    let mut result = Vec::with_capacity(x.shape().elements());
    for row in x.as_f32()?.chunks_exact(gamma.len()) {
        let scaled = normalise(row, eps).zip(gamma.iter().zip(beta));
        result.extend(scaled.map(|(v, (&g, &b))| (v * f64::from(g) + f64::from(b)) as f32));
    }
    f32_tensor(x.shape(), result)
}

/// Zero mean, unit (biased) variance.
fn normalise(values: &[f32], eps: f32) -> impl Iterator<Item = f64> {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + f64::from(eps)).sqrt();
    values.iter().map(move |&v| (f64::from(v) - mean) * scale)
}

pub(super) fn softmax(x: &Tensor) -> Evaluated {
    let length = x.shape().last().copied().unwrap_or(1);
    let mut result = Vec::with_capacity(x.shape().elements());
    for row in x.as_f32()?.chunks_exact(length) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp: Vec<f64> = row.iter().map(|&v| f64::from(v - max).exp()).collect();
        let total: f64 = exp.iter().sum();
        result.extend(exp.iter().map(|e| (e / total) as f32));
    }
    f32_tensor(x.shape(), result)
}

pub(super) fn causal_mask(x: &Tensor) -> Evaluated {
    let rank = x.shape().rank();
    let (queries, keys) = (x.shape()[rank - 2], x.shape()[rank - 1]);
    let mut data = x.as_f32()?.to_vec();
    for (row, scores) in data.chunks_exact_mut(keys).enumerate() {
        let query = row % queries;
        for score in scores.iter_mut().skip(query + 1) {
            *score = f32::NEG_INFINITY;
        }
    }
    f32_tensor(x.shape(), data)
}
