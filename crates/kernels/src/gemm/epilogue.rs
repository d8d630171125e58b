//! What happens to a finished tile of sums before it is stored: biases, activations, a residual.

use crate::isa::{MAX_LANES, MAX_TILE_ROWS, Simd, SimdOp};
use crate::math::{Activation, gelu};

/// The operations fused into a product, in the order in which they are applied:
/// `out = post(pre(sum + bias + batch_bias) + residual)`.
///
/// With gated weights `pre` is replaced by the gate: `value * gelu(gate)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `[outputs]`
    pub bias: Option<&'a [f32]>,
    /// `[batch, outputs]`, for a bias that depends on the sample, such as a time embedding.
    pub batch_bias: Option<BatchBias<'a>>,
    /// Applied before the residual is added.
    pub pre: Activation,
    /// Added after `pre`; must not overlap the output.
    pub residual: Option<Residual<'a>>,
    /// Applied last.
    pub post: Activation,
}

/// A bias for each sample of the batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchBias<'a> {
    /// `[batch, outputs]`
    pub values: &'a [f32],
    /// Rows of the product (pixels, tokens) that belong to one sample.
    pub rows: usize,
}

/// A tensor that is added to the product.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// `[rows, columns]` with `stride` floats from row to row.
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

impl<'a> Epilogue<'a> {
    /// Only a bias: `[outputs]`.
    pub fn bias(bias: &'a [f32]) -> Self {
        Self { bias: Some(bias), ..Self::default() }
    }

    /// Panics when a slice is too short for `[rows, columns]` results of `outputs` outputs.
    pub(crate) fn check(&self, rows: usize, columns: usize, outputs: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), outputs, "bias is [outputs]");
        }
        if let Some(bias) = self.batch_bias {
            let batch = rows.div_ceil(bias.rows);
            assert!(bias.values.len() >= batch * outputs, "batch_bias is [batch, outputs]");
        }
        if let Some(residual) = self.residual {
            super::check_matrix("residual", residual.values.len(), rows, columns, residual.stride);
        }
        if columns != outputs {
            assert_eq!(self.pre, Activation::Identity, "the gate is the activation");
        }
    }
}

/// Sums of one tile: `[rows, 2 * LANES]`, on the stack and on a cache line.
#[repr(align(64))]
pub(crate) struct TileBuffer(pub [f32; MAX_TILE_ROWS * 2 * MAX_LANES]);

/// Stores a tile through the epilogue. The bounds were checked by `Epilogue::check`.
pub(crate) struct Finish<'a> {
    pub sums: &'a TileBuffer,
    pub epilogue: &'a Epilogue<'a>,
    /// First row and number of rows.
    pub row: usize,
    pub rows: usize,
    /// First column and number of columns.
    pub column: usize,
    pub columns: usize,
    /// The number of outputs; columns are half of it when gated.
    pub outputs: usize,
    pub gated: bool,
    /// Floats from one row of `sums` to the next.
    pub sums_stride: usize,
    /// The element (row, column) of the output.
    pub out: *mut f32,
    pub out_stride: usize,
}

impl SimdOp for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for i in 0..self.rows {
            let sums = &self.sums.0[i * self.sums_stride..];
            for j in (0..self.columns).step_by(S::LANES) {
                let lanes = S::LANES.min(self.columns - j);
                let v = self.value(s, self.row + i, j, lanes, sums);
                let out = self.out.wrapping_add(i * self.out_stride + j);
                // SAFETY: (row + i, column + j .. + lanes) is inside the output, which the public
                // entry checked, and this task alone writes this tile.
                unsafe { s.store_partial(out, lanes, v) };
            }
        }
    }
}

impl Finish<'_> {
    #[inline(always)]
    fn value<S: Simd>(&self, s: S, row: usize, j: usize, lanes: usize, sums: &[f32]) -> S::V {
        let column = self.column + j;
        let sum = self.biased(s, row, column, lanes, s.read(&sums[j..]));
        let v = if self.gated {
            let gate_column = column + self.outputs / 2;
            let gate = self.biased(s, row, gate_column, lanes, s.read(&sums[S::LANES..]));
            s.mul(sum, gelu(s, gate))
        } else {
            self.epilogue.pre.apply(s, sum)
        };
        let v = match self.epilogue.residual {
            Some(r) => s.add(v, s.read(&r.values[row * r.stride + column..][..lanes])),
            None => v,
        };
        self.epilogue.post.apply(s, v)
    }

    #[inline(always)]
    fn biased<S: Simd>(&self, s: S, row: usize, output: usize, lanes: usize, v: S::V) -> S::V {
        let v = match self.epilogue.bias {
            Some(bias) => s.add(v, s.read(&bias[output..output + lanes])),
            None => v,
        };
        match self.epilogue.batch_bias {
            Some(bias) => {
                let start = row / bias.rows * self.outputs + output;
                s.add(v, s.read(&bias.values[start..start + lanes]))
            }
            None => v,
        }
    }
}
