//! Moves elements without changing them: transposition of any axes, and copies of blocks between
//! rows of different strides (slices and concatenations).

pub mod reference;
mod tile;

use crate::chunks::{for_each_chunk, task_elements};
use crate::gemm::check_matrix;
use crate::pool::Pool;
use crate::strided::{MAX_RANK, Walk};

/// out = x with its axes in another order: output axis i is input axis `axes[i]`.
///
/// x: `extents`, at most [`MAX_RANK`] axes; out: the permuted extents.
///
/// # Panics
/// When a length disagrees with the extents, or `axes` does not name each axis once.
pub fn permute(pool: &Pool, extents: &[usize], axes: &[usize], x: &[f32], out: &mut [f32]) {
    let walk = transposed_walk(extents, axes);
    assert_eq!(x.len(), walk.elements(), "x: {extents:?}");
    assert_eq!(out.len(), x.len(), "out: {extents:?} by {axes:?}");
    match tile::Matrices::of(&walk) {
        Some(matrices) => matrices.transpose(pool, x, out),
        None => {
            let task = task_elements(pool, out.len());
            for_each_chunk(pool, out, task, |index, out| gather(&walk, index * task, x, out));
        }
    }
}

/// The walk over the output, reading the input.
fn transposed_walk(extents: &[usize], axes: &[usize]) -> Walk<1> {
    let rank = extents.len();
    assert!(rank <= MAX_RANK && axes.len() == rank, "{extents:?} by {axes:?}");
    assert!((0..rank).all(|axis| axes.contains(&axis)), "{axes:?} is no order of axes");
    let mut strides = [1; MAX_RANK];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * extents[axis];
    }
    let (mut to, mut from) = ([0; MAX_RANK], [0; MAX_RANK]);
    for (i, &axis) in axes.iter().enumerate() {
        (to[i], from[i]) = (extents[axis], strides[axis]);
    }
    Walk::new(&to[..rank], [&from[..rank]])
}

/// out = the elements of the walk from `start` on.
fn gather(walk: &Walk<1>, start: usize, x: &[f32], out: &mut [f32]) {
    let [stride] = walk.inner_strides();
    for run in walk.runs(start, out.len()) {
        let (out, x) = (&mut out[run.start..][..run.len], &x[run.offsets[0]..]);
        if stride == 1 {
            out.copy_from_slice(&x[..run.len]);
        } else {
            out.iter_mut().zip(x.iter().step_by(stride)).for_each(|(out, &x)| *out = x);
        }
    }
}

/// Copies `rows` blocks of `width` floats, `x_stride` floats apart in `x`, to places `out_stride`
/// apart in `out`; what lies between those places stays.
///
/// A slice along an axis is a block of each row of `x` (start `x` at the first element kept), and
/// a concatenation writes one block of each row of `out` for every operand.
///
/// # Panics
/// When a slice is too short for its extents or a stride is below the width.
pub fn copy_rows(
    pool: &Pool,
    rows: usize,
    width: usize,
    x: &[f32],
    x_stride: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    check_matrix("x", x.len(), rows, width, x_stride);
    check_matrix("out", out.len(), rows, width, out_stride);
    if rows == 0 || width == 0 {
        return;
    }
    let block = task_elements(pool, rows * width).div_ceil(width);
    let out = &mut out[..(rows - 1) * out_stride + width];
    for_each_chunk(pool, out, block * out_stride, |index, out| {
        let x = x[index * block * x_stride..].chunks(x_stride);
        for (out, x) in out.chunks_mut(out_stride).zip(x) {
            out[..width].copy_from_slice(&x[..width]);
        }
    });
}

#[cfg(test)]
mod tests;
