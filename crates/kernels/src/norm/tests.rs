//! The normalisations on every instruction set against the f64 definitions, with group sizes that
//! fit no vector, and data far from zero.

use super::*;
use crate::isa::Isa;
use crate::math::Activation;
use crate::pool::Pool;
use crate::testing::{Random, assert_close};

/// Relative to the largest result: a few roundings of f32.
const TOLERANCE: f32 = 1e-6;

fn shape(batch: usize, positions: usize, channels: usize, groups: usize) -> GroupNormShape {
    let activation = Activation::Identity;
    GroupNormShape { batch, positions, channels, groups, eps: 1e-5, activation }
}

fn elements(shape: &GroupNormShape) -> usize {
    shape.batch * shape.positions * shape.channels
}

fn check_group_norm(pool: &Pool, shape: &GroupNormShape, x: &[f32]) {
    let mut random = Random::new(7);
    let (gamma, beta) = (random.vector(shape.channels), random.vector(shape.channels));
    let mut want = vec![0.0; x.len()];
    reference::group_norm(shape, x, &gamma, &beta, &mut want);
    // Stale scratch must not matter.
    let mut scratch = vec![f32::NAN; group_norm_scratch_len(shape)];
    for isa in Isa::available() {
        let mut got = vec![f32::NAN; x.len()];
        group_norm(isa, pool, shape, x, &gamma, &beta, &mut scratch, &mut got);
        assert_close(&got, &want, TOLERANCE, &(isa, shape));
    }
}

#[test]
fn groups_of_any_size_match_the_reference() {
    let (pool, mut random) = (Pool::new(3), Random::new(1));
    for [channels, groups] in [
        [320, 32],
        [96, 32],
        [160, 32],
        [32, 32],
        [64, 32],
        [1, 1],
        [3, 1],
        [7, 7],
        [10, 2],
        [60, 4],
    ] {
        for positions in [1, 2, 5, 63, 130, 1030] {
            let shape = shape(random.integer(1, 3), positions, channels, groups);
            let x = random.vector(elements(&shape));
            check_group_norm(&pool, &shape, &x);
        }
    }
}

#[test]
fn many_chunks_and_segments_are_merged() {
    let (pool, mut random) = (Pool::new(2), Random::new(2));
    for [positions, channels, groups] in
        [[40_001, 3, 3], [9000, 10, 2], [600, 320, 32], [70, 1290, 30]]
    {
        let shape = shape(1, positions, channels, groups);
        let x = random.vector(elements(&shape));
        check_group_norm(&pool, &shape, &x);
    }
}

#[test]
fn data_far_from_zero_lose_no_digits() {
    let (pool, mut random) = (Pool::new(2), Random::new(3));
    for offset in [1e2, -1e4, 1e6] {
        let shape = shape(2, 4100, 40, 4);
        let mut x: Vec<f32> = random.vector(elements(&shape)).iter().map(|x| x + offset).collect();
        check_group_norm(&pool, &shape, &x);
        // A first pixel that is nothing like the rest.
        x[..40].fill(-3.0 * offset);
        check_group_norm(&pool, &shape, &x);
    }
}

#[test]
fn channels_of_different_means_share_a_group() {
    let (pool, mut random) = (Pool::new(2), Random::new(4));
    let shape = shape(1, 5000, 20, 2);
    let x = random.vector(elements(&shape)).into_iter().enumerate();
    let x: Vec<f32> = x.map(|(i, x)| x + (i % 20 * 50) as f32).collect();
    check_group_norm(&pool, &shape, &x);
}

#[test]
fn constant_groups_become_beta() {
    let pool = Pool::new(2);
    let shape = shape(1, 3000, 12, 3);
    check_group_norm(&pool, &shape, &vec![1234.567; elements(&shape)]);
}

#[test]
fn every_activation_follows_the_norm() {
    let (pool, mut random) = (Pool::new(2), Random::new(5));
    for activation in Activation::ALL {
        let shape = GroupNormShape { activation, ..shape(2, 37, 48, 16) };
        let x = random.vector(elements(&shape));
        check_group_norm(&pool, &shape, &x);
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let shape = GroupNormShape { activation: Activation::Silu, ..shape(1, 3000, 64, 32) };
    let x = Random::new(6).vector(elements(&shape));
    let affine = vec![1.5; 64];
    let mut scratch = vec![0.0; group_norm_scratch_len(&shape)];
    let results = [1, 2, 5].map(|threads| {
        let mut out = vec![0.0; x.len()];
        let pool = Pool::new(threads);
        group_norm(Isa::best(), &pool, &shape, &x, &affine, &affine, &mut scratch, &mut out);
        out
    });
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn layer_norm_matches_the_reference() {
    let (pool, mut random) = (Pool::new(3), Random::new(8));
    for channels in (1..40).chain([320, 769, 1280]) {
        for (rows, offset) in [(0, 0.0), (1, 0.0), (33, 5.0), (70, -1e4), (9, 1e6)] {
            let x: Vec<f32> = random.vector(rows * channels).iter().map(|x| x + offset).collect();
            let (gamma, beta) = (random.vector(channels), random.vector(channels));
            let mut want = vec![0.0; x.len()];
            reference::layer_norm(1e-5, &x, &gamma, &beta, &mut want);
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; x.len()];
                layer_norm(isa, &pool, 1e-5, &x, &gamma, &beta, &mut got);
                assert_close(&got, &want, TOLERANCE, &(isa, channels, rows, offset));
            }
        }
    }
}
