//! Normalisations and softmax.

use laterna_graph::Op;
use laterna_graph::op::{Activation, GroupNorm};

use super::{COMPOSITE, Case, EXACT, SUM, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all: Vec<_> = GROUP_NORMS.iter().map(group_norm).collect();
    all.extend(Activation::ALL.map(|a| group_norm(&(&[2, 12, 3, 5], 3, Some(a)))));
    all.extend(LAYER_NORMS.iter().map(|shape| layer_norm(shape)));
    all.extend(SOFTMAXES.iter().map(|shape| softmax(shape)));
    all.extend([far_from_zero(), large_softmax(), causal_mask(), masked_softmax()]);
    all
}

/// Shape of x, groups, activation.
type GroupNormCase = (&'static [usize], usize, Option<Activation>);

const GROUP_NORMS: &[GroupNormCase] = &[
    (&[1, 4, 3, 5], 1, None),
    (&[2, 6, 5, 3], 3, None),
    (&[1, 64, 8, 8], 32, None),
    (&[1, 40, 7, 9], 8, None),
    (&[2, 5, 4, 4], 5, None),
    // Tokens behind the channels, and channels alone.
    (&[2, 8, 11], 4, None),
    (&[2, 8], 2, None),
    (&[1, 8, 1, 1], 2, None),
];

fn group_norm(&(shape, groups, activation): &GroupNormCase) -> Case {
    let then = activation.map(|a| format!(" then {}", a.name())).unwrap_or_default();
    Case::of(format!("group_norm {shape:?}, {groups} groups{then}"), SUM, |b| {
        let x = input(b, "x", shape);
        let gamma = b.weight("norm.weight", [shape[1]])?;
        let beta = b.weight("norm.bias", [shape[1]])?;
        let norm = GroupNorm { groups, eps: 1e-5, activation };
        b.node("norm", Op::GroupNorm(norm), &[x, gamma, beta])
    })
}

/// A mean that is large beside the deviation: the mean square less the squared
/// mean would lose the variance. Rounding of x itself weighs more here.
fn far_from_zero() -> Case {
    Case::of("group_norm far from zero", COMPOSITE, |b| {
        let x = input(b, "x", [1, 8, 16, 16]);
        let x = b.affine("shift", x, 1.0, 60.0)?;
        b.group_norm("norm", x, 2, 1e-6)
    })
}

const LAYER_NORMS: &[&[usize]] = &[&[2, 7, 64], &[1, 77, 33], &[5, 5], &[2, 3, 4, 17], &[768]];

fn layer_norm(shape: &[usize]) -> Case {
    Case::of(format!("layer_norm {shape:?}"), SUM, |b| {
        let x = input(b, "x", shape);
        b.layer_norm("norm", x, 1e-5)
    })
}

const SOFTMAXES: &[&[usize]] = &[&[1], &[3, 1], &[2, 5], &[1, 2, 7, 77], &[4, 130]];

fn softmax(shape: &[usize]) -> Case {
    Case::of(format!("softmax {shape:?}"), SUM, |b| {
        let x = input(b, "x", shape);
        b.node("softmax", Op::Softmax, &[x])
    })
}

fn large_softmax() -> Case {
    Case::of("softmax of large numbers", SUM, |b| {
        let x = input(b, "x", [3, 40]);
        // A power of two: the scaled numbers are exact.
        let x = b.affine("scale", x, 256.0, 0.0)?;
        b.node("softmax", Op::Softmax, &[x])
    })
}

fn causal_mask() -> Case {
    Case::of("causal_mask", EXACT, |b| {
        let x = input(b, "x", [2, 3, 5, 7]);
        b.node("mask", Op::CausalMask, &[x])
    })
}

fn masked_softmax() -> Case {
    Case::of("softmax of masked scores", SUM, |b| {
        let x = input(b, "x", [2, 9, 9]);
        let x = b.node("mask", Op::CausalMask, &[x])?;
        b.node("softmax", Op::Softmax, &[x])
    })
}
