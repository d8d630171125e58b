//! Transposition of matrices in square tiles that stay in the first-level cache: the order of
//! pixels and channels of a picture, either way.

use crate::chunks::{for_each_chunk, task_elements};
use crate::pool::Pool;
use crate::strided::Walk;

/// Rows and columns of a tile: a cache line of f32.
const TILE: usize = 16;

/// `[batch, rows, columns]` to be turned into `[batch, columns, rows]`.
pub(super) struct Matrices {
    rows: usize,
    columns: usize,
}

impl Matrices {
    /// The matrices that the walk transposes, if it does that, and with enough columns to fill a
    /// tile: fewer are as fast read one by one.
    pub(super) fn of(walk: &Walk<1>) -> Option<Self> {
        let (columns, rows) = match (walk.extents(), walk.strides()) {
            (&[columns, rows], &[[1], _]) => (columns, rows),
            (&[_, columns, rows], &[[step], [1], _]) if step == rows * columns => (columns, rows),
            _ => return None,
        };
        (columns >= TILE / 2 && rows > 0).then_some(Self { rows, columns })
    }

    pub(super) fn transpose(&self, pool: &Pool, x: &[f32], out: &mut [f32]) {
        let matrix = self.rows * self.columns;
        for (x, out) in x.chunks_exact(matrix).zip(out.chunks_exact_mut(matrix)) {
            self.transpose_one(pool, x, out);
        }
    }

    fn transpose_one(&self, pool: &Pool, x: &[f32], out: &mut [f32]) {
        let task = task_elements(pool, out.len());
        let block = task.div_ceil(self.rows).next_multiple_of(TILE);
        for_each_chunk(pool, out, block * self.rows, |index, out| {
            for (i, out) in out.chunks_mut(TILE * self.rows).enumerate() {
                self.transpose_columns(x, index * block + i * TILE, out);
            }
        });
    }

    /// Writes the columns of `x` from `first` on as rows of `out`, at most [`TILE`].
    fn transpose_columns(&self, x: &[f32], first: usize, out: &mut [f32]) {
        let mut tile = [[0.0; TILE]; TILE];
        let width = out.len() / self.rows;
        for start in (0..self.rows).step_by(TILE) {
            let height = TILE.min(self.rows - start);
            for (row, line) in tile[..height].iter_mut().enumerate() {
                let x = &x[(start + row) * self.columns + first..];
                line[..width].copy_from_slice(&x[..width]);
            }
            for (column, out) in out.chunks_exact_mut(self.rows).enumerate() {
                for (out, line) in out[start..][..height].iter_mut().zip(&tile) {
                    *out = line[column];
                }
            }
        }
    }
}
