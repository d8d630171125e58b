//! Functions of each element.

use laterna_graph::ValueId;
use laterna_graph::op::{Activation, Binary};

use super::{Form, Lowered, Lowering};
use crate::emit::block::Var;

const LARGEST_HALF: f32 = 65_504.0;

impl Lowering<'_, '_, '_, '_> {
    /// A function of one value, in the form that the value has.
    pub(super) fn elementwise(
        &mut self,
        x: ValueId,
        f: impl FnOnce(&mut Self, &Var) -> Lowered,
    ) -> Lowered<Form> {
        if let Some(flat) = self.flat.get(&x).cloned() {
            return f(self, &flat).map(Form::Flat);
        }
        let x = self.plain(x)?;
        f(self, &x).map(Form::Plain)
    }

    pub(super) fn activate(&mut self, activation: Activation, x: &Var) -> Var {
        match activation {
            Activation::Relu => self.block.unary("relu", x),
            Activation::Silu => self.block.unary("silu", x),
            Activation::Gelu => self.block.gelu(x, "EXACT"),
            Activation::GeluTanh => self.block.gelu(x, "TANH_APPROXIMATION"),
            // x * sigmoid(1.702 x) is what Core ML calls so.
            Activation::QuickGelu => self.block.gelu(x, "SIGMOID_APPROXIMATION"),
            Activation::Tanh => self.block.unary("tanh", x),
            Activation::Sigmoid => self.block.unary("sigmoid", x),
        }
    }

    pub(super) fn affine(&mut self, x: &Var, scale: f32, offset: f32) -> Lowered {
        let mut y = x.clone();
        if scale != 1.0 {
            let scale = self.block.half("scale", scale)?;
            y = self.block.mul(&y, &scale);
        }
        if offset != 0.0 {
            let offset = self.block.half("offset", offset)?;
            y = self.block.add(&y, &offset);
        }
        Ok(y)
    }

    pub(super) fn clamp(&mut self, x: &Var, min: f32, max: f32) -> Lowered {
        // Limits that half precision does not reach limit nothing.
        let [min, max] = [min, max].map(|limit| limit.clamp(-LARGEST_HALF, LARGEST_HALF));
        let (min, max) = (self.block.half("min", min)?, self.block.half("max", max)?);
        Ok(self.block.clip(x, &min, &max))
    }

    pub(super) fn binary(&mut self, op: Binary, inputs: &[ValueId]) -> Lowered<Form> {
        let kind = match op {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "real_div",
        };
        let equal = self.graph.shape(inputs[0]) == self.graph.shape(inputs[1]);
        if equal && inputs.iter().any(|id| self.flat.contains_key(id)) {
            let (a, b) = (self.flat(inputs[0])?, self.flat(inputs[1])?);
            return Ok(Form::Flat(self.block.binary(kind, &a, &b)));
        }
        let (a, b) = (self.plain(inputs[0])?, self.plain(inputs[1])?);
        Ok(Form::Plain(self.block.binary(kind, &a, &b)))
    }
}
