//! Operations that look values up or make them from positions.

use laterna_tensor::{Shape, Tensor};

use super::{EvalError, Evaluated, f32_tensor};
use crate::TensorType;
use crate::op::TimestepEmbedding;

pub(super) fn embedding(indices: &Tensor, table: &Tensor, output: TensorType) -> Evaluated {
    let (rows, channels) = (table.shape()[0], table.shape()[1]);
    let data = table.as_f32()?;
    let mut result = Vec::with_capacity(output.shape.elements());
    for &index in indices.as_i64()? {
        let row = checked(index, rows)?;
        result.extend_from_slice(&data[row * channels..][..channels]);
    }
    f32_tensor(output.shape, result)
}

pub(super) fn select_token(x: &Tensor, index: &Tensor, output: TensorType) -> Evaluated {
    let (tokens, channels) = (x.shape()[1], x.shape()[2]);
    let data = x.as_f32()?;
    let mut result = Vec::with_capacity(output.shape.elements());
    for (batch, &index) in index.as_i64()?.iter().enumerate() {
        let token = checked(index, tokens)?;
        result.extend_from_slice(&data[(batch * tokens + token) * channels..][..channels]);
    }
    f32_tensor(output.shape, result)
}

fn checked(index: i64, rows: usize) -> Result<usize, EvalError> {
    let row = usize::try_from(index).ok().filter(|&row| row < rows);
    row.ok_or(EvalError::Index { index, rows })
}

pub(super) fn timestep_embedding(e: &TimestepEmbedding, t: &Tensor) -> Evaluated {
    let half = e.dim / 2;
    let mut result = Vec::with_capacity(t.shape().elements() * e.dim);
    for &t in t.as_f32()? {
        let angle = |i: usize| {
            let exponent = -e.max_period.ln() * i as f32 / (half as f32 - e.freq_shift);
            f64::from(t * exponent.exp())
        };
        let sines = (0..half).map(|i| angle(i).sin() as f32);
        let cosines = (0..half).map(|i| angle(i).cos() as f32);
        if e.flip_sin_to_cos {
            result.extend(cosines.chain(sines));
        } else {
            result.extend(sines.chain(cosines));
        }
        result.extend(std::iter::repeat_n(0.0, e.dim % 2));
    }
    f32_tensor(Shape::from([t.shape().elements(), e.dim]), result)
}
