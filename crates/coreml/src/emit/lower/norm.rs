//! Normalisations and softmax.

use laterna_graph::ValueId;
use laterna_graph::op::GroupNorm;

use super::{Form, Lowered, Lowering};
use crate::emit::block::Var;
use crate::emit::options;

/// What the largest deviation from the mean is scaled to before it is squared:
/// large enough that 1/1000 of it has a square that half precision tells from
/// 0, small enough that the factor `TARGET / deviation` is a normal number for
/// deviations up to half precision's largest.
const TARGET: f32 = 16.0;

/// Deviations below this are scaled as if they were this large, so that the
/// factor stays in half precision's range.
const SMALLEST_DEVIATION: f32 = 1.0 / 2048.0;

impl Lowering<'_, '_, '_, '_> {
    pub(super) fn group_norm(&mut self, norm: &GroupNorm, inputs: &[ValueId]) -> Lowered {
        let x = self.plain(inputs[0])?;
        let (shape, rank) = (x.shape(), x.rank());
        let (batch, channels) = (shape[0], shape[1]);
        let per_group = channels / norm.groups;
        let area: usize = shape[2..].iter().product();
        let normalised = match self.options.group_norm {
            options::GroupNorm::LayerNorm => {
                let groups = self.block.reshape(&x, [batch, norm.groups, per_group * area]);
                self.block.layer_norm(&groups, 2, None, norm.eps)?
            }
            options::GroupNorm::Steps => {
                let groups = self.block.reshape(&x, [batch, norm.groups, per_group, area]);
                self.normalise(&groups, &[2, 3], norm.eps)?
            }
        };
        let y = self.block.reshape(&normalised, shape);
        let mut extents = vec![1; rank];
        extents[1] = channels;
        let y = self.scale_and_shift(&y, inputs, &extents)?;
        Ok(norm.activation.map_or(y.clone(), |activation| self.activate(activation, &y)))
    }

    fn scale_and_shift(&mut self, x: &Var, inputs: &[ValueId], extents: &[usize]) -> Lowered {
        let gamma = self.spread(inputs[1], extents)?;
        let beta = self.spread(inputs[2], extents)?;
        let scaled = self.block.mul(x, &gamma);
        Ok(self.block.add(&scaled, &beta))
    }

    /// `(x - mean) / sqrt(variance + eps)` over some axes, where no number leaves
    /// half precision. Halves are taken first, for a difference may be twice as
    /// large as its parts; then with `s = TARGET / max |x/2 - mean/2|` and
    /// `u = s (x/2 - mean/2)`, whose squares are small, the result is
    /// `u / sqrt(mean(u^2) + (s sqrt(eps) / 2)^2)`.
    fn normalise(&mut self, x: &Var, axes: &[usize], eps: f32) -> Lowered {
        let half = self.block.half("half", 0.5)?;
        let halved = self.block.mul(x, &half);
        let mean = self.block.reduce_mean(&halved, axes);
        let deviation = self.block.binary("sub", &halved, &mean);
        let size = self.block.unary("abs", &deviation);
        let size = self.block.reduce_max(&size, axes);
        let least = self.block.half("least", SMALLEST_DEVIATION.max(eps.sqrt() / 2.0))?;
        let size = self.block.binary("maximum", &size, &least);
        let target = self.block.half("target", TARGET)?;
        let scale = self.block.binary("real_div", &target, &size);
        let unit = self.block.mul(&deviation, &scale);
        let square = self.block.unary("square", &unit);
        let mut variance = self.block.reduce_mean(&square, axes);
        if eps > 0.0 {
            let root = self.block.half("root", eps.sqrt() / 2.0)?;
            let root = self.block.mul(&scale, &root);
            let scaled_eps = self.block.unary("square", &root);
            variance = self.block.add(&variance, &scaled_eps);
        }
        let factor = self.block.rsqrt(&variance)?;
        Ok(self.block.mul(&unit, &factor))
    }

    /// Over the last axis, or the channels of a flat token sequence.
    pub(super) fn layer_norm(&mut self, eps: f32, inputs: &[ValueId]) -> Lowered<Form> {
        let shape = self.graph.shape(inputs[0]);
        if self.writes_flat() && shape.rank() == 3 {
            let x = self.flat(inputs[0])?;
            let y = self.normalise(&x, &[1], eps)?;
            return self.scale_and_shift(&y, inputs, &[1, shape[2], 1, 1]).map(Form::Flat);
        }
        let x = self.plain(inputs[0])?;
        let axis = x.rank() - 1;
        if self.is_fixed(inputs[1]) && self.is_fixed(inputs[2]) {
            let (gamma, beta) = (self.plain(inputs[1])?, self.plain(inputs[2])?);
            return self.block.layer_norm(&x, axis, Some([&gamma, &beta]), eps).map(Form::Plain);
        }
        let y = self.block.layer_norm(&x, axis, None, eps)?;
        self.scale_and_shift(&y, inputs, &[shape[axis]]).map(Form::Plain)
    }

    pub(super) fn softmax(&mut self, x: ValueId) -> Lowered {
        let x = self.plain(x)?;
        Ok(self.block.softmax(&x, -1))
    }

    /// Scores of later keys become -inf, as the operation says.
    pub(super) fn causal_mask(&mut self, x: ValueId) -> Lowered {
        let x = self.plain(x)?;
        let (rank, shape) = (x.rank(), x.shape());
        let mask = self.mask(rank, shape[rank - 2], shape[rank - 1], f32::NEG_INFINITY)?;
        Ok(self.block.add(&x, &mask))
    }
}
