//! Operations that look values up or make them from positions.

use laterna_graph::op::TimestepEmbedding;
use laterna_graph::{Node, ValueId};

use super::{Lowered, Lowering};
use crate::emit::block::Var;
use crate::emit::error::EmitError;
use crate::emit::mil::{Constant, DataType, Literal, ValueType};

impl Lowering<'_, '_, '_, '_> {
    pub(super) fn embedding(&mut self, node: &Node) -> Lowered {
        let (indices, table) = (self.plain(node.inputs[0])?, self.plain(node.inputs[1])?);
        Ok(self.block.gather_rows(&table, &indices, self.graph.shape(node.output)))
    }

    /// One token of each row: row `batch * tokens + index` of all.
    pub(super) fn select_token(&mut self, inputs: &[ValueId]) -> Lowered {
        let (x, index) = (self.plain(inputs[0])?, self.plain(inputs[1])?);
        let &[batch, tokens, channels] = &*x.shape() else { unreachable!("inferred") };
        let rows = self.block.reshape(&x, [batch * tokens, channels]);
        let mut index = index;
        if batch > 1 {
            let starts: Vec<_> = (0..batch).map(|row| row * tokens).collect();
            let starts = self.block.ints("row_starts", &starts);
            index = self.block.add(&index, &starts);
        }
        Ok(self.block.gather_rows(&rows, &index, [batch, channels].into()))
    }

    /// In single precision: half of it tells timesteps near 1000 apart by 0.5,
    /// which as an angle is half a radian.
    pub(super) fn timestep_embedding(&mut self, e: &TimestepEmbedding, t: ValueId) -> Lowered {
        let half = e.dim / 2;
        if half == 0 {
            return Err(EmitError::unsupported(&self.block.scope, "has no frequencies"));
        }
        let t = self.plain(t)?;
        let count = t.shape()[0];
        let t = self.block.reshape(&t, [count, 1]);
        let t = self.block.cast(&t, DataType::Fp32);
        let frequency =
            |i: usize| (-e.max_period.ln() * i as f32 / (half as f32 - e.freq_shift)).exp();
        let frequencies = (0..half).map(frequency).collect();
        let frequencies = self.floats("frequencies", [1, half], frequencies)?;
        let angles = self.block.mul(&t, &frequencies);
        let (sines, cosines) = (self.block.unary("sin", &angles), self.block.unary("cos", &angles));
        let mut parts = if e.flip_sin_to_cos { vec![cosines, sines] } else { vec![sines, cosines] };
        if e.dim % 2 == 1 {
            parts.push(self.floats("zeros", [count, 1], vec![0.0; count])?);
        }
        let joined = self.block.concat(&parts, 1);
        Ok(self.block.cast(&joined, DataType::Fp16))
    }

    fn floats(&mut self, hint: &str, shape: [usize; 2], values: Vec<f32>) -> Lowered<Var> {
        let ty = ValueType::new(DataType::Fp32, shape);
        Ok(self.block.constant(hint, Constant { ty, literal: Literal::Floats(values) }))
    }
}
