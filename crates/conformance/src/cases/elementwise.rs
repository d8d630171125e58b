//! Functions of single elements and of pairs, with broadcasting.

use laterna_graph::Op;
use laterna_graph::op::{Activation, Binary};
use laterna_tensor::{DType, Tensor};

use super::{Case, ELEMENTWISE, EXACT, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all: Vec<_> = Activation::ALL.map(activation).into();
    all.extend(Activation::ALL.map(extreme_activation));
    all.extend(PAIRS.iter().flat_map(|(a, b)| BINARIES.map(|op| binary(op, a, b))));
    all.extend([affine(), clamp(), constant_operand(), float_to_integer(), cast_to_itself()]);
    all
}

const BINARIES: [Binary; 4] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div];

fn activation(a: Activation) -> Case {
    Case::of(a.name(), ELEMENTWISE, |b| {
        let x = input(b, "x", [2, 3, 7, 5]);
        b.activation("y", x, a)
    })
}

/// From where exponentials vanish to where they overflow.
fn extreme_activation(a: Activation) -> Case {
    let x = [-1e4, -104.0, -88.5, -30.0, -10.0, -5.5, -4.0, -1e-3, -1e-20, -0.0];
    let x: Vec<f32> = x.iter().copied().chain(x.iter().map(|v: &f32| -v)).collect();
    let case = Case::of(format!("{} of extreme numbers", a.name()), ELEMENTWISE, |b| {
        let x = input(b, "x", [x.len()]);
        b.activation("y", x, a)
    });
    let inputs = vec![Tensor::from_f32([x.len()], x).expect("as many elements as the shape")];
    Case { inputs, ..case }
}

/// Shapes that broadcast with each other.
const PAIRS: &[(&[usize], &[usize])] = &[
    (&[2, 3, 5, 7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[1, 3, 1, 1]),
    (&[2, 3, 5, 7], &[2, 3, 1, 1]),
    (&[2, 3, 1, 1], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[3, 1, 1]),
    (&[2, 3, 5, 7], &[7]),
    (&[2, 3, 5, 7], &[1]),
    (&[2, 3, 5, 7], &[2, 1, 5, 7]),
    (&[2, 9, 16], &[9, 16]),
    (&[2, 9, 16], &[16]),
    (&[2, 1, 16], &[1, 9, 1]),
    (&[33], &[33]),
];

fn binary(op: Binary, a_shape: &[usize], b_shape: &[usize]) -> Case {
    Case::of(format!("{} {a_shape:?} and {b_shape:?}", op.name()), ELEMENTWISE, |g| {
        let a = input(g, "a", a_shape);
        let b = input(g, "b", b_shape);
        // Keeps divisors away from 0.
        let b = g.activation("sigmoid", b, Activation::Sigmoid)?;
        g.node("y", Op::Binary(op), &[a, b])
    })
}

fn affine() -> Case {
    Case::of("affine", ELEMENTWISE, |b| {
        let x = input(b, "x", [2, 3, 7, 5]);
        b.affine("y", x, -1.7, 0.3)
    })
}

fn clamp() -> Case {
    Case::of("clamp", EXACT, |b| {
        let x = input(b, "x", [2, 3, 7, 5]);
        b.node("y", Op::Clamp { min: -0.5, max: 0.75 }, &[x])
    })
}

fn constant_operand() -> Case {
    Case::of("add a constant picture", ELEMENTWISE, |b| {
        let x = input(b, "x", [1, 2, 2, 3]);
        let data = (0..12u8).map(|v| f32::from(v) * 0.25).collect();
        let tensor = Tensor::from_f32([1, 2, 2, 3], data).expect("as many elements as the shape");
        let c = b.constant("c", tensor);
        b.add("y", x, c)
    })
}

/// Towards zero.
fn float_to_integer() -> Case {
    Case::of("cast f32 to i64", EXACT, |b| {
        let x = input(b, "x", [3, 7]);
        let x = b.affine("scale", x, 8.0, 0.0)?;
        b.cast("y", x, DType::I64)
    })
}

fn cast_to_itself() -> Case {
    Case::of("cast f32 to f32", EXACT, |b| {
        let x = input(b, "x", [1, 3, 2, 5]);
        b.cast("y", x, DType::F32)
    })
}
