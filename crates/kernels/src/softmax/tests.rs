//! Softmax and mask on every instruction set and row length around the vectors' lengths.

use super::*;
use crate::testing::{Random, assert_close};

#[test]
fn rows_of_any_length_match_the_reference() {
    let (pool, mut random) = (Pool::new(2), Random::new(1));
    for isa in Isa::available() {
        for columns in (1..40).chain([77, 4096, 20_000]) {
            let rows = random.integer(1, 5);
            let x: Vec<f32> =
                random.vector(rows * columns).iter().map(|x| x * 30.0 - 200.0).collect();
            let (mut got, mut want) = (vec![f32::NAN; x.len()], vec![0.0; x.len()]);
            softmax(isa, &pool, columns, &x, &mut got);
            reference::softmax(columns, &x, &mut want);
            // Against the largest probability of the row, hence no less than 1 / columns.
            let scale = want.iter().copied().fold(0.0, f32::max);
            let relative = |y: &[f32]| y.iter().map(|y| y / scale).collect::<Vec<_>>();
            assert_close(&relative(&got), &relative(&want), 2e-6, &(isa, columns));
            let mut in_place = x;
            softmax_in_place(isa, &pool, columns, &mut in_place);
            assert_eq!(in_place, got);
        }
    }
}

#[test]
fn masked_scores_have_no_weight_and_nan_is_kept() {
    let pool = Pool::new(1);
    let hidden = f32::NEG_INFINITY;
    for isa in Isa::available() {
        let mut rows = vec![hidden; 3 * 19];
        rows[18] = -5000.0;
        rows[19 + 3] = f32::NAN;
        rows[19 + 4] = 1.0;
        softmax_in_place(isa, &pool, 19, &mut rows);
        assert!(rows[..18].iter().all(|&p| p == 0.0) && rows[18] == 1.0, "{isa}");
        assert!(rows[19..].iter().all(|p| p.is_nan()), "{isa}");
    }
}

#[test]
fn the_mask_hides_later_keys_only() {
    let pool = Pool::new(2);
    for [matrices, queries, keys] in [[1, 1, 1], [2, 3, 5], [3, 5, 3], [2, 150, 77], [0, 4, 4]] {
        let x = Random::new(2).vector(matrices * queries * keys);
        let mut out = vec![0.0; x.len()];
        causal_mask(&pool, queries, keys, &x, &mut out);
        for (i, (&x, &out)) in x.iter().zip(&out).enumerate() {
            let (query, key) = (i / keys % queries, i % keys);
            assert_eq!(out, if key > query { f32::NEG_INFINITY } else { x }, "{query} {key}");
        }
    }
}
