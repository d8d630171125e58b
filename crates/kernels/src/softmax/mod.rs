//! Softmax over the last axis, and the causal mask that may precede it. For scores that exist as
//! a matrix; attention itself never makes one.

pub mod reference;

use crate::chunks::{for_each_chunk, task_elements};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::math::exp;
use crate::pool::Pool;

type Entry = fn(usize, &mut [f32]);

static VARIANTS: &[Variant<Entry>] = variants!(entry: Entry);

fn entry<S: Simd>(columns: usize, rows: &mut [f32]) {
    run::<S, _>(Rows { columns, rows });
}

/// out = e^x / sum(e^x) in each row. A row without a finite maximum becomes NaN.
///
/// x, out: `[rows, columns]`.
///
/// # Panics
/// When the lengths differ or are no multiple of `columns`.
pub fn softmax(isa: Isa, pool: &Pool, columns: usize, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have the same shape");
    let rows = pick(VARIANTS, isa);
    for_each_piece(pool, columns, out, |start, out| {
        out.copy_from_slice(&x[start..][..out.len()]);
        rows(columns, out);
    });
}

/// [`softmax`] of `x` in place.
///
/// # Panics
/// When the length of `x` is no multiple of `columns`.
pub fn softmax_in_place(isa: Isa, pool: &Pool, columns: usize, x: &mut [f32]) {
    let rows = pick(VARIANTS, isa);
    for_each_piece(pool, columns, x, |_, x| rows(columns, x));
}

/// out = x, but -inf where the key lies behind the query.
///
/// x, out: `[matrices, queries, keys]`.
///
/// # Panics
/// When the lengths differ or are no multiple of `queries * keys`.
pub fn causal_mask(pool: &Pool, queries: usize, keys: usize, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have the same shape");
    assert!(x.is_empty() || x.len().is_multiple_of(queries * keys), "[matrices, queries, keys]");
    for_each_piece(pool, keys, out, |start, out| {
        let rows = out.chunks_exact_mut(keys).zip(x[start..].chunks_exact(keys));
        for (row, (out, x)) in (start / keys..).zip(rows) {
            let (seen, hidden) = out.split_at_mut(keys.min(row % queries + 1));
            seen.copy_from_slice(&x[..seen.len()]);
            hidden.fill(f32::NEG_INFINITY);
        }
    });
}

/// Calls `task(start, rows)` for pieces of some whole rows of `data`, the first float of which is
/// `start`.
fn for_each_piece(
    pool: &Pool,
    columns: usize,
    data: &mut [f32],
    task: impl Fn(usize, &mut [f32]) + Sync,
) {
    assert!(data.is_empty() || data.len().is_multiple_of(columns), "[rows, columns]");
    let piece = task_elements(pool, data.len()).next_multiple_of(columns.max(1));
    for_each_chunk(pool, data, piece, |index, rows| task(index * piece, rows));
}

struct Rows<'a> {
    columns: usize,
    rows: &'a mut [f32],
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for row in self.rows.chunks_exact_mut(self.columns) {
            softmax_row(s, row);
        }
    }
}

#[inline(always)]
fn softmax_row<S: Simd>(s: S, row: &mut [f32]) {
    let max = s.splat(largest(s, row));
    let mut total = s.zero();
    for x in row.chunks_mut(S::LANES) {
        let e = exp(s, s.sub(s.read(x), max));
        s.write(x, e);
        // Read back, so that lanes beyond the row count as zero.
        total = s.add(total, s.read(x));
    }
    let inverse = s.splat(1.0 / s.reduce_sum(total));
    for x in row.chunks_mut(S::LANES) {
        let y = s.mul(s.read(x), inverse);
        s.write(x, y);
    }
}

/// The largest element; of a row with NaN, any that is not.
#[inline(always)]
fn largest<S: Simd>(s: S, row: &[f32]) -> f32 {
    let vectors = row.chunks_exact(S::LANES);
    let tail = vectors.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut max = s.splat(tail);
    for x in vectors {
        // The maximum so far comes second, so that it survives a NaN.
        max = s.max(s.read(x), max);
    }
    s.reduce_max(max)
}

#[cfg(test)]
mod tests;
