//! Products and element-wise functions.

use laterna_tensor::{DType, Shape, Tensor, TensorData};

use super::{Evaluated, f32_tensor};
use crate::op::{Activation, Attention, Binary};

/// One activation of one value, computed in f64.
pub fn activate(activation: Activation, x: f32) -> f32 {
    let x = f64::from(x);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y = match activation {
        Activation::Relu => x.max(0.0),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x * 0.5 * erfc(-x / std::f64::consts::SQRT_2),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x * 0.5 * (1.0 + inner.tanh())
        }
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
    };
    y as f32
}

/// Complementary error function: the Taylor series of erf for small arguments,
/// Lentz's continued fraction for large ones (Abramowitz and Stegun 7.1.5, 7.1.14).
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let tail = (1..60).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
    (-x * x).exp() / (tail * std::f64::consts::PI.sqrt())
}

pub(super) fn unary(x: &Tensor, f: impl Fn(f32) -> f32) -> Evaluated {
    f32_tensor(x.shape(), x.as_f32()?.iter().map(|&v| f(v)).collect())
}

pub(super) fn binary(op: Binary, a: &Tensor, b: &Tensor, shape: Shape) -> Evaluated {
    let (left, right) = (broadcast(a, shape)?, broadcast(b, shape)?);
    let apply = |(&a, &b): (&f32, &f32)| match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    };
    f32_tensor(shape, left.iter().zip(&right).map(apply).collect())
}

/// The elements of `x` repeated to fill `shape`.
fn broadcast(x: &Tensor, shape: Shape) -> Result<Vec<f32>, laterna_tensor::TensorError> {
    let data = x.as_f32()?;
    let missing = shape.rank() - x.shape().rank();
    let own = x.shape().strides();
    let strides = shape.strides();
    let index = |flat: usize| -> usize {
        (missing..shape.rank())
            .filter(|&axis| x.shape()[axis - missing] != 1)
            .map(|axis| flat / strides[axis] % shape[axis] * own[axis - missing])
            .sum()
    };
    Ok((0..shape.elements()).map(|flat| data[index(flat)]).collect())
}

pub(super) fn linear(x: &Tensor, weight: &Tensor) -> Evaluated {
    let &[out, features] = &*weight.shape() else { unreachable!("inferred") };
    let (data, weights) = (x.as_f32()?, weight.as_f32()?);
    let mut result = Vec::with_capacity(data.len() / features.max(1) * out);
    for row in data.chunks_exact(features) {
        result.extend(weights.chunks_exact(features).map(|w| dot(row, w)));
    }
    f32_tensor(x.shape().with(x.shape().rank() - 1, out), result)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

pub(super) fn matmul(a: &Tensor, b: &Tensor, transpose_b: bool) -> Evaluated {
    let rank = a.shape().rank();
    let (m, k) = (a.shape()[rank - 2], a.shape()[rank - 1]);
    let n = b.shape()[if transpose_b { rank - 2 } else { rank - 1 }];
    let (left, right) = (a.as_f32()?, b.as_f32()?);
    let mut result = Vec::with_capacity(left.len() / k.max(1) * n);
    for (a, b) in left.chunks_exact(m * k).zip(right.chunks_exact(k * n)) {
        for row in a.chunks_exact(k) {
            for column in 0..n {
                let at = |i: usize| b[if transpose_b { column * k + i } else { i * n + column }];
                let sum: f64 = (0..k).map(|i| f64::from(row[i]) * f64::from(at(i))).sum();
                result.push(sum as f32);
            }
        }
    }
    f32_tensor(a.shape().with(rank - 1, n), result)
}

/// Softmax attention, one query at a time.
pub(super) fn attention(op: &Attention, q: &Tensor, k: &Tensor, v: &Tensor) -> Evaluated {
    let &[batch, queries, channels] = &*q.shape() else { unreachable!("inferred") };
    let keys = k.shape()[1];
    let d = channels / op.heads;
    let (qs, ks, vs) = (q.as_f32()?, k.as_f32()?, v.as_f32()?);
    let mut out = vec![0.0f32; qs.len()];
    for (b, head, query) in indices(batch, op.heads, queries) {
        let at = |token: usize, tokens: usize| (b * tokens + token) * channels + head * d;
        let row = &qs[at(query, queries)..][..d];
        let seen = if op.causal { keys.min(query + 1) } else { keys };
        let score = |key: usize| f64::from(dot(row, &ks[at(key, keys)..][..d]) * op.scale);
        let scores: Vec<f64> = (0..seen).map(score).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (i, o) in out[at(query, queries)..][..d].iter_mut().enumerate() {
            let value = |key: usize| weights[key] * f64::from(vs[at(key, keys) + i]);
            *o = ((0..seen).map(value).sum::<f64>() / total) as f32;
        }
    }
    f32_tensor(q.shape(), out)
}

fn indices(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

pub(super) fn cast(x: &Tensor, dtype: DType) -> Evaluated {
    let data = match (x.data(), dtype) {
        (TensorData::F32(d), DType::I64) => TensorData::I64(d.iter().map(|&v| v as i64).collect()),
        (TensorData::I64(d), DType::F32) => TensorData::F32(d.iter().map(|&v| v as f32).collect()),
        (data, _) => data.clone(),
    };
    Ok(Tensor::new(x.shape(), data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_agrees_with_tabulated_values() {
        // Abramowitz and Stegun, table 7.1 (erf), to ten digits.
        for (x, erf) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((1.0 - erfc(x) - erf).abs() < 1e-10, "erf({x})");
            assert!((erfc(-x) - 1.0 - erf).abs() < 1e-10, "erf(-{x})");
        }
        assert!((erfc(2.499_999) / erfc(2.500_001) - 1.0).abs() < 2e-5, "the branches meet");
        assert!((erfc(3.0) - 2.209_049_699_858_544e-5).abs() < 1e-15);
    }

    #[test]
    fn broadcasting_repeats_the_short_axes() {
        let a = Tensor::from_f32([2, 1], vec![1.0, 2.0]).unwrap();
        let b = Tensor::from_f32([3], vec![10.0, 20.0, 30.0]).unwrap();
        let sum = binary(Binary::Add, &a, &b, Shape::from([2, 3])).unwrap();
        assert_eq!(sum.as_f32().unwrap(), [11.0, 21.0, 31.0, 12.0, 22.0, 32.0]);
    }
}
