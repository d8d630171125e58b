//! The product of a LoRA's factors, added to a weight.

use std::num::NonZero;
use std::thread;

/// Multiplications for which another thread is worth starting.
const WORK_PER_THREAD: usize = 1 << 22;

/// weight += up * down.
///
/// weight: `[out, columns]`; up: `[out, rank]`; down: `[rank, columns]`. Each
/// element is summed in one order whatever the number of threads.
pub(super) fn add_product(weight: &mut [f32], up: &[f32], down: &[f32], rank: usize) {
    let (rows, columns) = (up.len() / rank, down.len() / rank);
    if rows == 0 || columns == 0 {
        return;
    }
    let available = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = available.min(weight.len() * rank / WORK_PER_THREAD + 1);
    if threads == 1 {
        return add_rows(weight, up, down, rank);
    }
    let rows_each = rows.div_ceil(threads);
    thread::scope(|scope| {
        let parts = weight.chunks_mut(rows_each * columns).zip(up.chunks(rows_each * rank));
        for (weight, up) in parts {
            scope.spawn(move || add_rows(weight, up, down, rank));
        }
    });
}

/// Rows of `down` taken at a time: fewer passes over the weight's row.
const UNROLL: usize = 4;

fn add_rows(weight: &mut [f32], up: &[f32], down: &[f32], rank: usize) {
    let columns = down.len() / rank;
    for (row, up) in weight.chunks_exact_mut(columns).zip(up.chunks_exact(rank)) {
        for (up, down) in up.chunks(UNROLL).zip(down.chunks(UNROLL * columns)) {
            match up {
                &[a, b, c, d] => add_four(row, [a, b, c, d], down),
                _ => {
                    up.iter().zip(down.chunks_exact(columns)).for_each(|(&u, d)| add_one(row, u, d))
                }
            }
        }
    }
}

fn add_four(row: &mut [f32], up: [f32; UNROLL], down: &[f32]) {
    let (first, second) = down.split_at(2 * row.len());
    let (a, b) = first.split_at(row.len());
    let (c, d) = second.split_at(row.len());
    for ((((w, a), b), c), d) in row.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *w += (up[0] * a + up[1] * b) + (up[2] * c + up[3] * d);
    }
}

fn add_one(row: &mut [f32], up: f32, down: &[f32]) {
    row.iter_mut().zip(down).for_each(|(w, d)| *w += up * d);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula, one element at a time, in f64.
    fn reference(weight: &[f32], up: &[f32], down: &[f32], rank: usize) -> Vec<f64> {
        let columns = down.len() / rank;
        let element = |(i, &w): (usize, &f32)| {
            let (row, column) = (i / columns, i % columns);
            let term = |k| f64::from(up[row * rank + k]) * f64::from(down[k * columns + column]);
            f64::from(w) + (0..rank).map(term).sum::<f64>()
        };
        weight.iter().enumerate().map(element).collect()
    }

    fn noise(length: usize, seed: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
        (0..length).map(value).collect()
    }

    #[test]
    fn the_product_is_the_reference() {
        for (rows, rank, columns) in [(3, 1, 5), (7, 4, 9), (5, 6, 1), (1, 11, 13), (300, 128, 320)]
        {
            let (up, down) = (noise(rows * rank, 1), noise(rank * columns, 2));
            let mut weight = noise(rows * columns, 3);
            let expected = reference(&weight, &up, &down, rank);
            add_product(&mut weight, &up, &down, rank);
            for (found, expected) in weight.iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 2e-6 * rank as f64, "{rows} {rank} {columns}: {error}");
            }
        }
    }
}
