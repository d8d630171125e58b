//! Operations that move numbers without changing them.

use laterna_graph::ValueId;
use laterna_graph::op::Permutation;
use laterna_tensor::{DType, Shape};

use super::{Lowered, Lowering, data_type};

impl Lowering<'_, '_, '_, '_> {
    pub(super) fn concat(&mut self, axis: usize, inputs: &[ValueId]) -> Lowered {
        let values: Vec<_> = inputs.iter().map(|&id| self.plain(id)).collect::<Result<_, _>>()?;
        Ok(self.block.concat(&values, axis))
    }

    pub(super) fn slice(&mut self, x: ValueId, axis: usize, start: usize, end: usize) -> Lowered {
        let x = self.plain(x)?;
        Ok(self.block.slice(&x, axis, start, end))
    }

    pub(super) fn reshape(&mut self, x: ValueId, shape: Shape) -> Lowered {
        if self.is_fixed(x) {
            return self.constant(x, shape);
        }
        let x = self.plain(x)?;
        Ok(self.block.reshape(&x, shape))
    }

    pub(super) fn transpose(&mut self, x: ValueId, order: &Permutation) -> Lowered {
        let x = self.plain(x)?;
        Ok(self.block.transpose(&x, order.axes()))
    }

    pub(super) fn upsample_nearest(&mut self, x: ValueId, factor: usize) -> Lowered {
        let x = self.plain(x)?;
        Ok(self.block.upsample_nearest(&x, factor))
    }

    pub(super) fn cast(&mut self, x: ValueId, dtype: DType) -> Lowered {
        let x = self.plain(x)?;
        let dtype = data_type(&self.block.scope, dtype)?;
        Ok(self.block.cast(&x, dtype))
    }
}
