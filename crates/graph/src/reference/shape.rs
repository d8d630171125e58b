//! Operations that move elements without changing them.

use laterna_tensor::{Tensor, TensorData};

use super::Evaluated;
use crate::TensorType;
use crate::op::Permutation;

/// Builds a tensor by choosing, for each output position, an element of `x`.
fn gather(x: &TensorData, index: impl Iterator<Item = usize>) -> TensorData {
    match x {
        TensorData::F32(d) => TensorData::F32(index.map(|i| d[i]).collect()),
        TensorData::F16(d) => TensorData::F16(index.map(|i| d[i]).collect()),
        TensorData::BF16(d) => TensorData::BF16(index.map(|i| d[i]).collect()),
        TensorData::I64(d) => TensorData::I64(index.map(|i| d[i]).collect()),
        TensorData::U8(d) => TensorData::U8(index.map(|i| d[i]).collect()),
        _ => unreachable!("every element type has an arm"),
    }
}

pub(super) fn transpose(x: &Tensor, order: &Permutation) -> Evaluated {
    let shape = order.apply(&x.shape());
    let (to, from) = (shape.strides(), x.shape().strides());
    let index = (0..shape.elements()).map(|flat| {
        let along = |(axis, &source): (usize, &usize)| flat / to[axis] % shape[axis] * from[source];
        order.axes().iter().enumerate().map(along).sum()
    });
    Ok(Tensor::new(shape, gather(x.data(), index))?)
}

pub(super) fn slice(x: &Tensor, axis: usize, start: usize, output: TensorType) -> Evaluated {
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let (kept, full) = (output.shape[axis] * inner, x.shape()[axis] * inner);
    let index =
        (0..output.shape.elements()).map(|flat| flat / kept * full + start * inner + flat % kept);
    Ok(Tensor::new(output.shape, gather(x.data(), index))?)
}

pub(super) fn concat(inputs: &[&Tensor], axis: usize, output: TensorType) -> Evaluated {
    let inner: usize = output.shape[axis + 1..].iter().product();
    let outer: usize = output.shape[..axis].iter().product();
    let mut result = Vec::with_capacity(output.shape.elements());
    for row in 0..outer {
        for input in inputs {
            let length = input.shape()[axis] * inner;
            result.extend_from_slice(&input.as_f32()?[row * length..][..length]);
        }
    }
    super::f32_tensor(output.shape, result)
}
