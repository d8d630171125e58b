//! The plain definitions of the element-wise kernels.

use super::{Binary, Unary};

/// The function of one number.
pub fn unary(function: Unary, x: f32) -> f32 {
    match function {
        Unary::Activation(activation) => activation.reference(f64::from(x)) as f32,
        Unary::Affine { scale, offset } => x.mul_add(scale, offset),
        Unary::Clamp { min, max } => x.clamp(min, max),
    }
}

/// The function of two arrays of the given shapes, which have the same rank.
pub fn binary(
    function: Binary,
    (a, a_shape): (&[f32], &[usize]),
    (b, b_shape): (&[f32], &[usize]),
) -> Vec<f32> {
    let extents = a_shape.iter().zip(b_shape);
    let joint: Vec<usize> = extents.map(|(&a, &b)| if a == 1 { b } else { a }).collect();
    let elements = joint.iter().product();
    let pair = |flat| (a[source(flat, &joint, a_shape)], b[source(flat, &joint, b_shape)]);
    (0..elements).map(pair).map(|(a, b)| number(function, a, b)).collect()
}

fn number(function: Binary, a: f32, b: f32) -> f32 {
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    }
}

/// Where element `flat` of the joint shape lies in an operand of `shape`.
fn source(mut flat: usize, joint: &[usize], shape: &[usize]) -> usize {
    let (mut step, mut offset) = (1, 0);
    for (&extent, &own) in joint.iter().zip(shape).rev() {
        offset += flat % extent % own * step;
        flat /= extent;
        step *= own;
    }
    offset
}
