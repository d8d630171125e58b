//! Products of two matrices that are both computed at run time: correct on every size, not tuned,
//! since networks multiply by weights and attention has a kernel of its own.

use crate::chunks::for_each_chunk;
use crate::pool::Pool;

/// The extents of a batch of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulShape {
    /// Pairs of matrices.
    pub batch: usize,
    /// Rows of a and of the product.
    pub rows: usize,
    /// Columns of a.
    pub inner: usize,
    /// Columns of the product.
    pub columns: usize,
    /// Whether b is given as `[columns, inner]`.
    pub transpose_b: bool,
}

/// out = a b, pair by pair.
///
/// a: `[batch, rows, inner]`; b: `[batch, inner, columns]` or, transposed, `[batch, columns,
/// inner]`; out: `[batch, rows, columns]`.
///
/// # Panics
/// When a length disagrees with the shape.
pub fn matmul(pool: &Pool, shape: &MatmulShape, a: &[f32], b: &[f32], out: &mut [f32]) {
    let MatmulShape { batch, rows, inner, columns, transpose_b } = *shape;
    assert_eq!(a.len(), batch * rows * inner, "a: {shape:?}");
    assert_eq!(b.len(), batch * inner * columns, "b: {shape:?}");
    assert_eq!(out.len(), batch * rows * columns, "out: {shape:?}");
    if out.is_empty() {
        return;
    }
    for_each_chunk(pool, out, columns, |row, out| {
        let a = &a[row * inner..][..inner];
        let b = &b[row / rows * inner * columns..][..inner * columns];
        match transpose_b {
            true => dot_rows(a, b, out),
            false => add_rows(a, b, out),
        }
    });
}

/// Each output is the dot product of `a` with a row of b.
fn dot_rows(a: &[f32], b: &[f32], out: &mut [f32]) {
    for (column, out) in out.iter_mut().enumerate() {
        let b = &b[column * a.len()..][..a.len()];
        *out = a.iter().zip(b).map(|(a, b)| a * b).sum();
    }
}

/// The outputs are the rows of b, weighted by `a` and added.
fn add_rows(a: &[f32], b: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (a, b) in a.iter().zip(b.chunks_exact(out.len())) {
        for (out, b) in out.iter_mut().zip(b) {
            *out += a * b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_b_give_the_product() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
        let b_transposed = [7.0, 9.0, 11.0, 8.0, 10.0, 12.0];
        for (b, transpose_b) in [(b, false), (b_transposed, true)] {
            let shape = MatmulShape { batch: 1, rows: 2, inner: 3, columns: 2, transpose_b };
            let mut out = [f32::NAN; 4];
            matmul(&Pool::new(2), &shape, &a, &b, &mut out);
            assert_eq!(out, [58.0, 64.0, 139.0, 154.0]);
        }
    }
}
