//! Every order of axes of random extents, and block copies, against their definitions.

use super::*;
use crate::testing::Random;

/// All orders of `0..rank`.
fn orders(rank: usize) -> Vec<Vec<usize>> {
    let Some(last) = rank.checked_sub(1) else { return vec![vec![]] };
    let insert =
        |order: Vec<usize>| (0..rank).map(move |at| [&order[..at], &[last], &order[at..]].concat());
    orders(last).into_iter().flat_map(insert).collect()
}

fn check(pool: &Pool, extents: &[usize], axes: &[usize]) {
    let x = Random::new(5).vector(extents.iter().product());
    let (mut got, mut want) = (vec![f32::NAN; x.len()], vec![0.0; x.len()]);
    permute(pool, extents, axes, &x, &mut got);
    reference::permute(extents, axes, &x, &mut want);
    assert_eq!(got, want, "{extents:?} by {axes:?}");
}

#[test]
fn every_order_of_axes_matches_the_reference() {
    let (pool, mut random) = (Pool::new(2), Random::new(4));
    for rank in 0..=MAX_RANK {
        for axes in orders(rank) {
            let extents: Vec<usize> = (0..rank).map(|_| random.integer(1, 6)).collect();
            check(&pool, &extents, &axes);
        }
    }
}

#[test]
fn pictures_change_between_channels_first_and_last() {
    let pool = Pool::new(2);
    for channels in [1, 3, 4, 8, 9, 16, 33, 320] {
        for [batch, height, width] in [[1, 1, 1], [2, 5, 7], [1, 64, 65], [0, 3, 3]] {
            check(&pool, &[batch, channels, height, width], &[0, 2, 3, 1]);
            check(&pool, &[batch, height, width, channels], &[0, 3, 1, 2]);
        }
    }
}

#[test]
fn blocks_are_copied_and_the_gaps_kept() {
    let pool = Pool::new(2);
    for [rows, width] in [[0, 3], [1, 1], [3, 5], [700, 37], [5, 20_000]] {
        let (x_stride, out_stride) = (width + 2, width + 3);
        let x = Random::new(6).vector(rows * x_stride);
        let mut out = vec![9.0; rows * out_stride];
        copy_rows(&pool, rows, width, &x, x_stride, &mut out, out_stride);
        for (i, &out) in out.iter().enumerate() {
            let (row, column) = (i / out_stride, i % out_stride);
            let want = if column < width { x[row * x_stride + column] } else { 9.0 };
            assert_eq!(out, want, "row {row}, column {column} of [{rows}, {width}]");
        }
    }
}
