//! Attention in its three forms.

use half::f16;
use laterna_graph::ValueId;
use laterna_graph::op::Attention;
use laterna_tensor::Shape;

use super::{Form, Lowered, Lowering};
use crate::emit::block::Var;
use crate::emit::options::{self, QUERY_CHUNK};

/// What is added to the score of a key that a query must not see. It leaves
/// nothing of any score below 20,000, and no sum leaves half precision.
const HIDDEN: f32 = -40_000.0;

impl Lowering<'_, '_, '_, '_> {
    pub(super) fn attention(&mut self, op: &Attention, inputs: &[ValueId]) -> Lowered<Form> {
        let [q, k, v] = [inputs[0], inputs[1], inputs[2]];
        match self.options.attention {
            options::Attention::SplitEinsum => {
                let [q, k, v] = [self.flat(q)?, self.flat(k)?, self.flat(v)?];
                self.split_attention(op, [&q, &k, &v]).map(Form::Flat)
            }
            options::Attention::Sdpa | options::Attention::MatMul => {
                let [q, k, v] = [self.plain(q)?, self.plain(k)?, self.plain(v)?];
                self.whole_attention(op, [&q, &k, &v]).map(Form::Plain)
            }
        }
    }

    /// All heads at once. q, k, v `[batch, tokens, heads * d]`.
    fn whole_attention(&mut self, op: &Attention, [q, k, v]: [&Var; 3]) -> Lowered {
        let shape = q.shape();
        let [q, k, v] = [q, k, v].map(|x| self.split_heads(x, op.heads));
        let keys = k.shape()[k.rank() - 2];
        let rows = shape[1];
        let mask = if op.causal { Some(self.mask(q.rank(), rows, keys, HIDDEN)?) } else { None };
        let mixed = if self.options.attention == options::Attention::Sdpa {
            // The operation divides by sqrt(d) itself.
            let d = shape[2] / op.heads;
            let q = self.scaled(&q, f64::from(op.scale) * (d as f64).sqrt())?;
            self.block.sdpa([&q, &k, &v], mask.as_ref())
        } else {
            // Queries rather than scores, which are more and larger.
            let q = self.scaled(&q, f64::from(op.scale))?;
            let scores = self.block.matmul(&q, &k, true);
            let scores = mask.map_or(scores.clone(), |mask| self.block.add(&scores, &mask));
            let weights = self.block.softmax(&scores, -1);
            self.block.matmul(&weights, &v, false)
        };
        if op.heads == 1 {
            return Ok(mixed);
        }
        let tokens = self.block.transpose(&mixed, &[0, 2, 1, 3]);
        Ok(self.block.reshape(&tokens, shape))
    }

    /// `[batch, tokens, heads * d]` as `[batch, heads, tokens, d]`; one head stays.
    fn split_heads(&mut self, x: &Var, heads: usize) -> Var {
        let &[batch, tokens, channels] = &*x.shape() else { unreachable!("inferred") };
        if heads == 1 {
            return x.clone();
        }
        let split = self.block.reshape(x, [batch, tokens, heads, channels / heads]);
        self.block.transpose(&split, &[0, 2, 1, 3])
    }

    fn scaled(&mut self, x: &Var, factor: f64) -> Lowered {
        let factor = factor as f32;
        // Within a rounding of f32, which is how the scale was computed.
        if (factor - 1.0).abs() < 1e-6 {
            return Ok(x.clone());
        }
        let factor = self.block.half("scale", factor)?;
        Ok(self.block.mul(x, &factor))
    }

    /// One head and one chunk of queries at a time. q, k, v
    /// `[batch, heads * d, 1, tokens]`.
    fn split_attention(&mut self, op: &Attention, [q, k, v]: [&Var; 3]) -> Lowered {
        let (channels, queries, keys) = (q.shape()[1], q.shape()[3], k.shape()[3]);
        let sizes = vec![channels / op.heads; op.heads];
        let q = self.scaled(q, f64::from(op.scale))?;
        let keys_first = self.block.transpose(k, &[0, 3, 2, 1]);
        let [q, k, v] =
            [(&q, 1), (&keys_first, 3), (v, 1)].map(|(x, axis)| self.block.split(x, &sizes, axis));
        let mask = if op.causal { Some(self.keys_first_mask(queries, keys)?) } else { None };
        let mut heads = Vec::with_capacity(op.heads);
        for head in 0..op.heads {
            heads.push(self.head([&q[head], &k[head], &v[head]], mask.as_ref()));
        }
        Ok(self.block.concat(&heads, 1))
    }

    /// q `[batch, d, 1, queries]`, k `[batch, keys, 1, d]`, v `[batch, d, 1, keys]`.
    fn head(&mut self, [q, k, v]: [&Var; 3], mask: Option<&Var>) -> Var {
        let sizes = chunks(q.shape()[3]);
        let queries = self.block.split(q, &sizes, 3);
        let masks = mask.map(|mask| self.block.split(mask, &sizes, 3));
        let mut mixed = Vec::with_capacity(sizes.len());
        for (index, q) in queries.iter().enumerate() {
            let mut scores = self.block.einsum(k, q);
            if let Some(masks) = &masks {
                scores = self.block.add(&scores, &masks[index]);
            }
            let weights = self.block.softmax(&scores, 1);
            mixed.push(self.block.einsum(v, &weights));
        }
        self.block.concat(&mixed, 3)
    }

    /// `[.., queries, keys]` of `rank` dimensions: `hidden` where the key comes
    /// after the query, else 0.
    pub(super) fn mask(
        &mut self,
        rank: usize,
        queries: usize,
        keys: usize,
        hidden: f32,
    ) -> Lowered {
        let mut extents = vec![1; rank];
        extents[rank - 2] = queries;
        extents[rank - 1] = keys;
        self.triangle(Shape::new(&extents), keys, |query, key| key > query, hidden)
    }

    /// `[1, keys, 1, queries]`
    fn keys_first_mask(&mut self, queries: usize, keys: usize) -> Lowered {
        let shape = Shape::from([1, keys, 1, queries]);
        self.triangle(shape, queries, |key, query| key > query, HIDDEN)
    }

    fn triangle(
        &mut self,
        shape: Shape,
        columns: usize,
        hides: impl Fn(usize, usize) -> bool,
        hidden: f32,
    ) -> Lowered {
        let number = |hidden_here| f16::from_f32(if hidden_here { hidden } else { 0.0 });
        let at = |i: usize| number(hides(i / columns, i % columns)).to_le_bytes();
        let bytes: Vec<u8> = (0..shape.elements()).flat_map(at).collect();
        Ok(self.block.halves("causal_mask", shape, &bytes)?)
    }
}

/// So many queries at a time.
fn chunks(queries: usize) -> Vec<usize> {
    let sizes = (0..queries).step_by(QUERY_CHUNK);
    sizes.map(|start| QUERY_CHUNK.min(queries - start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_queries() {
        assert_eq!(chunks(77), [77]);
        assert_eq!(chunks(1024), [512, 512]);
        assert_eq!(chunks(1025), [512, 512, 1]);
    }
}
