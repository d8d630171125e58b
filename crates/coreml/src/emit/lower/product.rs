//! Convolutions, linear layers and what follows their sums; products.

use laterna_graph::op::{Conv2d, Epilogue, EpilogueOperands};
use laterna_graph::{Node, ValueId};

use super::{Form, Lowered, Lowering};
use crate::emit::block::Var;
use crate::emit::ops::ConvShape;

impl Lowering<'_, '_, '_, '_> {
    pub(super) fn conv2d(&mut self, conv: &Conv2d, node: &Node) -> Lowered {
        let mut x = self.plain(node.inputs[0])?;
        if conv.upsample > 1 {
            x = self.block.upsample_nearest(&x, conv.upsample);
        }
        let weight = self.layer_weight(node.inputs[1], self.graph.shape(node.inputs[1]))?;
        let pad = conv.padding;
        let shape = ConvShape {
            strides: conv.stride,
            pad: [pad.top, pad.bottom, pad.left, pad.right],
            groups: conv.groups,
        };
        let operands = conv.epilogue.operands(&node.inputs[2..]);
        let bias = self.fixed_bias(operands)?;
        let sums = self.block.conv(&x, &weight, bias.as_ref(), shape);
        self.epilogue(&conv.epilogue, operands, sums, 1, Self::plain)
    }

    pub(super) fn linear(&mut self, epilogue: &Epilogue, node: &Node) -> Lowered<Form> {
        let (x, weight) = (node.inputs[0], node.inputs[1]);
        let operands = epilogue.operands(&node.inputs[2..]);
        if self.writes_flat() && self.graph.shape(x).rank() == 3 && self.is_fixed(weight) {
            return self.flat_linear(epilogue, operands, x, weight).map(Form::Flat);
        }
        let var = self.plain(x)?;
        let axis = var.rank() - 1;
        let mut operands = operands;
        let sums = if self.is_fixed(weight) {
            let bias = self.fixed_bias(operands)?;
            let weight = self.layer_weight(weight, self.graph.shape(weight))?;
            // A layer without a bias is written with zeros, as coremltools does.
            let bias = match bias {
                Some(bias) => bias,
                None => self.zeros(weight.shape()[0])?,
            };
            self.block.linear(&var, &weight, &bias)
        } else {
            let weight = self.plain(weight)?;
            let matrix = self.matrix(&var);
            let sums = self.block.matmul(&matrix, &weight, true);
            let bias = operands.bias.take();
            let sums = self.block.reshape(&sums, var.shape().with(axis, weight.shape()[0]));
            self.add_bias(sums, bias, axis)?
        };
        self.epilogue(epilogue, operands, sums, axis, Self::plain).map(Form::Plain)
    }

    /// All rows of the last axis as a matrix.
    fn matrix(&mut self, x: &Var) -> Var {
        let columns = x.shape()[x.rank() - 1];
        self.block.reshape(x, [x.shape().elements() / columns, columns])
    }

    /// A layer on every token as a convolution of one pixel.
    fn flat_linear(
        &mut self,
        epilogue: &Epilogue,
        operands: EpilogueOperands,
        x: ValueId,
        weight: ValueId,
    ) -> Lowered {
        let &[out, features] = &*self.graph.shape(weight) else { unreachable!("inferred") };
        let x = self.flat(x)?;
        let weight = self.layer_weight(weight, [out, features, 1, 1].into())?;
        let bias = self.fixed_bias(operands)?;
        let sums = self.block.conv(&x, &weight, bias.as_ref(), ConvShape::POINTWISE);
        self.epilogue(epilogue, operands, sums, 1, Self::flat)
    }

    /// The bias, if it is known: then the layer adds it.
    fn fixed_bias(&mut self, operands: EpilogueOperands) -> Lowered<Option<Var>> {
        let Some(bias) = operands.bias.filter(|&bias| self.is_fixed(bias)) else { return Ok(None) };
        self.constant(bias, self.graph.shape(bias)).map(Some)
    }

    fn zeros(&mut self, length: usize) -> Lowered {
        Ok(self.block.halves("zeros", [length].into(), &vec![0; length * 2])?)
    }

    /// What follows the sums, whose channels lie along `axis`; `residual` gives
    /// the residual in the form of the sums.
    fn epilogue(
        &mut self,
        epilogue: &Epilogue,
        operands: EpilogueOperands,
        sums: Var,
        axis: usize,
        residual: fn(&mut Self, ValueId) -> Lowered,
    ) -> Lowered {
        let computed = operands.bias.filter(|&bias| !self.is_fixed(bias));
        let mut y = self.add_bias(sums, computed, axis)?;
        if let Some(bias) = operands.batch_bias {
            let mut extents = vec![1; y.rank()];
            extents[0] = y.shape()[0];
            extents[axis] = y.shape()[axis];
            let bias = self.spread(bias, &extents)?;
            y = self.block.add(&y, &bias);
        }
        if epilogue.geglu {
            y = self.geglu(&y, axis);
        }
        if let Some(activation) = epilogue.pre {
            y = self.activate(activation, &y);
        }
        if let Some(id) = operands.residual {
            let other = residual(self, id)?;
            y = self.block.add(&y, &other);
        }
        Ok(epilogue.post.map_or(y.clone(), |activation| self.activate(activation, &y)))
    }

    fn add_bias(&mut self, sums: Var, bias: Option<ValueId>, axis: usize) -> Lowered {
        let Some(bias) = bias else { return Ok(sums) };
        let mut extents = vec![1; sums.rank()];
        extents[axis] = sums.shape()[axis];
        let bias = self.spread(bias, &extents)?;
        Ok(self.block.add(&sums, &bias))
    }

    /// `first_half * gelu(second_half)`
    fn geglu(&mut self, x: &Var, axis: usize) -> Var {
        let half = x.shape()[axis] / 2;
        let halves = self.block.split(x, &[half, half], axis);
        let gate = self.block.gelu(&halves[1], "EXACT");
        self.block.mul(&halves[0], &gate)
    }

    pub(super) fn matmul(&mut self, transpose_b: bool, inputs: &[ValueId]) -> Lowered {
        let (a, b) = (self.plain(inputs[0])?, self.plain(inputs[1])?);
        Ok(self.block.matmul(&a, &b, transpose_b))
    }
}
