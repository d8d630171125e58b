//! The plain definitions of a linear layer with its epilogue and of a batched matrix product,
//! accumulated in f64.

use super::{Epilogue, MatmulShape};
use crate::math::Activation;

/// What [`super::linear`] computes; `weights`: `[outputs, inputs]`, not packed.
pub fn linear(
    rows: usize,
    x: &[f32],
    x_stride: usize,
    weights: &[f32],
    outputs: usize,
    gated: bool,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let inputs = weights.len() / outputs;
    for row in 0..rows {
        let x = &x[row * x_stride..][..inputs];
        let dot = |output: usize| {
            let weights = &weights[output * inputs..][..inputs];
            x.iter().zip(weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
        };
        finish_row(&dot, row, outputs, gated, epilogue, &mut out[row * out_stride..]);
    }
}

/// Writes one row of results, given the sum of each output.
pub(crate) fn finish_row(
    sum: &dyn Fn(usize) -> f64,
    row: usize,
    outputs: usize,
    gated: bool,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    let biased = |output: usize| {
        let bias = epilogue.bias.map_or(0.0, |bias| f64::from(bias[output]));
        let batch = epilogue
            .batch_bias
            .map_or(0.0, |bias| f64::from(bias.values[row / bias.rows * outputs + output]));
        sum(output) + bias + batch
    };
    let columns = if gated { outputs / 2 } else { outputs };
    for (column, out) in out[..columns].iter_mut().enumerate() {
        let v = if gated {
            biased(column) * Activation::Gelu.reference(biased(columns + column))
        } else {
            epilogue.pre.reference(biased(column))
        };
        let residual =
            epilogue.residual.map_or(0.0, |r| f64::from(r.values[row * r.stride + column]));
        *out = epilogue.post.reference(v + residual) as f32;
    }
}

/// What [`super::matmul`] computes.
pub fn matmul(shape: &MatmulShape, a: &[f32], b: &[f32], out: &mut [f32]) {
    let MatmulShape { rows, depth, columns, transposed_b, shared_b, .. } = *shape;
    for (i, out) in out.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let b = if shared_b { b } else { &b[row / rows * depth * columns..] };
        let product = |k: usize| {
            let at = if transposed_b { column * depth + k } else { k * columns + column };
            f64::from(a[row * depth + k]) * f64::from(b[at])
        };
        *out = (0..depth).map(product).sum::<f64>() as f32;
    }
}
