//! Matrix products with packed weights: linear layers, 1x1 convolutions, and (with other rows) the
//! whole of convolution.

pub(crate) mod bf16;
pub(crate) mod driver;
pub(crate) mod epilogue;
pub(crate) mod int8;
mod layout;
mod matmul;
pub(crate) mod micro;
mod pack;
mod pass;
pub mod reference;

pub use epilogue::{BatchBias, Epilogue, Residual};
pub use layout::{Precision, UnknownPrecision, WeightShape};
pub use matmul::{MatmulShape, matmul, matmul_scratch_len};
pub(crate) use pack::Operand;
pub(crate) use pack::SendPointer;
pub use pack::{PackedWeights, ReadWeights};

use crate::pool::Pool;
use driver::{Gather, Job, Split, execute};
use micro::RowPointers;
use std::ops::Range;

/// out = epilogue(x W^T): a linear layer, or a 1x1 convolution over pixels.
///
/// x: `[rows, inputs]` with `x_stride` floats from row to row, rounded as `weights` are, their
/// products summed in f32; scratch: [`PackedWeights::scratch_len`] of the rows, of any content; out:
/// `[rows, columns]` with `out_stride`, where columns are the outputs of `weights` (half of them when
/// gated).
///
/// # Panics
/// When a slice is too short for its extents, or `weights` have more than one tap.
pub fn linear(
    pool: &Pool,
    rows: usize,
    x: &[f32],
    x_stride: usize,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
    out_stride: usize,
) {
    assert_eq!(weights.shape().taps, 1, "a linear layer has one tap");
    let Operand { words: x, stride, scales } = weights.operand(pool, rows, x, x_stride, scratch);
    multiply(pool, &Rows { x, stride }, scales, rows, weights, epilogue, out, out_stride);
}

/// out = epilogue(A W^T), where `gather` gives the rows of A in the words of `weights`, and
/// `row_scales` what the sums of each are multiplied by, if they are integers.
///
/// # Panics
/// When a slice is too short for its extents.
pub(crate) fn multiply(
    pool: &Pool,
    gather: &dyn Gather,
    row_scales: Option<&[f32]>,
    rows: usize,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    check_matrix("out", out.len(), rows, weights.columns(), out_stride);
    epilogue.check(rows, weights.columns(), weights.shape().outputs);
    execute(
        pool,
        &Job {
            gather,
            row_scales,
            weights: weights.panels(),
            epilogue,
            rows,
            out: SendPointer(out.as_mut_ptr()),
            out_stride,
            split: Split::new(rows, &weights.panels().layout, pool.threads()),
        },
    );
}

/// Panics unless `len` floats hold `[rows, columns]` with `stride` floats from row to row.
pub(crate) fn check_matrix(name: &str, len: usize, rows: usize, columns: usize, stride: usize) {
    assert!(stride >= columns, "{name}: stride {stride} is below {columns} columns");
    let needed = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
    assert!(len >= needed, "{name}: {len} floats, [{rows}, {columns}] needs {needed}");
}

/// Rows of a matrix.
pub(crate) struct Rows<'a> {
    pub x: &'a [f32],
    pub stride: usize,
}

impl Gather for Rows<'_> {
    fn fill(
        &self,
        rows: Range<usize>,
        _: Range<usize>,
        channel: usize,
        pointers: &mut [RowPointers],
    ) -> usize {
        for (pointer, row) in pointers[0].iter_mut().zip(rows) {
            *pointer = self.x[row * self.stride + channel..].as_ptr();
        }
        1
    }

    fn distance(&self, rows: usize) -> usize {
        rows * self.stride
    }
}

#[cfg(test)]
mod tests;
