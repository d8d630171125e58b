//! Element-wise kernels on every instruction set against their definitions.

use super::*;
use crate::isa::Isa;
use crate::math::Activation;
use crate::pool::Pool;
use crate::testing::{Random, assert_close};

/// Lengths around those of the vectors and of a task.
const LENGTHS: [usize; 8] = [0, 1, 7, 16, 33, 16_384, 16_385, 40_001];

#[test]
fn functions_of_one_operand_match_their_definitions() {
    let (pool, mut random) = (Pool::new(2), Random::new(1));
    let affine = Unary::Affine { scale: -1.5, offset: 0.3 };
    let clamp = Unary::Clamp { min: -0.5, max: 0.25 };
    let functions = Activation::ALL.map(Unary::Activation).into_iter().chain([affine, clamp]);
    for function in functions {
        for len in LENGTHS {
            let x: Vec<f32> = random.vector(len).iter().map(|x| x * 4.0).collect();
            let want: Vec<f32> = x.iter().map(|&x| reference::unary(function, x)).collect();
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; len];
                unary(isa, &pool, function, &x, &mut got);
                assert_close(&got, &want, 1e-6, &(isa, function, len));
            }
        }
    }
}

#[test]
fn clamping_keeps_nan_and_takes_infinities() {
    let pool = Pool::new(1);
    let clamp = Unary::Clamp { min: 0.0, max: 1.0 };
    for isa in Isa::available() {
        let mut out = [9.0; 4];
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5];
        unary(isa, &pool, clamp, &x, &mut out);
        assert!(out[0].is_nan() && out[1..] == [1.0, 0.0, 0.5], "{isa}: {out:?}");
    }
}

#[test]
fn copies_are_equal() {
    let pool = Pool::new(2);
    for len in LENGTHS {
        let x = Random::new(2).vector(len);
        let mut out = vec![f32::NAN; len];
        copy(&pool, &x, &mut out);
        assert_eq!(out, x);
    }
}

fn check_binary(pool: &Pool, random: &mut Random, a_shape: &[usize], b_shape: &[usize]) {
    let a = random.vector(a_shape.iter().product());
    // Away from zero, for the division.
    let b: Vec<f32> =
        random.vector(b_shape.iter().product()).iter().map(|b| b + 1.5f32.copysign(*b)).collect();
    let broadcast = Broadcast::new(a_shape, b_shape).unwrap();
    for function in Binary::ALL {
        let want = reference::binary(function, (&a, a_shape), (&b, b_shape));
        assert_eq!(broadcast.elements(), want.len());
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; want.len()];
            binary(isa, pool, function, &broadcast, &a, &b, &mut got);
            assert_eq!(got, want, "{isa} {function:?} {a_shape:?} {b_shape:?}");
        }
    }
}

#[test]
fn the_usual_broadcasts_match_the_reference() {
    let (pool, mut random) = (Pool::new(2), Random::new(3));
    let cases: [[&[usize]; 2]; 8] = [
        [&[], &[]],
        [&[2, 9, 9, 35], &[2, 9, 9, 35]],
        [&[1, 130, 130, 3], &[1, 1, 1, 1]],
        [&[2, 40, 41, 10], &[1, 1, 1, 10]],
        [&[2, 40, 41, 10], &[2, 1, 1, 10]],
        [&[2, 5, 6, 7], &[2, 5, 1, 1]],
        [&[1, 1, 17], &[3, 19, 1]],
        [&[3, 0, 4], &[1, 1, 4]],
    ];
    for [a, b] in cases {
        check_binary(&pool, &mut random, a, b);
        check_binary(&pool, &mut random, b, a);
    }
}

#[test]
fn random_broadcasts_match_the_reference() {
    let (pool, mut random) = (Pool::new(2), Random::new(4));
    for _ in 0..200 {
        let rank = random.integer(0, crate::MAX_RANK);
        let joint: Vec<usize> = (0..rank).map(|_| random.integer(1, 7)).collect();
        let mut operand =
            || joint.iter().map(|&n| if random.coin() { n } else { 1 }).collect::<Vec<_>>();
        let (a, b) = (operand(), operand());
        check_binary(&pool, &mut random, &a, &b);
    }
}

#[test]
fn shapes_align_at_the_last_axis_and_clashes_are_refused() {
    let same = Broadcast::new(&[2, 3, 4], &[2, 3, 4]).unwrap();
    assert_eq!(Broadcast::new(&[24], &[24]), Some(same));
    assert_eq!(Broadcast::new(&[2, 3, 4], &[4]), Broadcast::new(&[2, 3, 4], &[1, 1, 4]));
    assert_eq!(Broadcast::new(&[2, 3], &[2]), None);
    assert_eq!(Broadcast::new(&[1; 7], &[1]), None);
}
