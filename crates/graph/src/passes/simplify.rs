//! Removes operations that do nothing, merges neighbours that can be one, and
//! computes equal things once.

use std::collections::HashMap;

use super::{Pass, PassError};
use crate::graph::{Graph, Node};
use crate::op::{Op, Permutation};
use crate::{Patch, PatchError, ValueId, WeightSource};

/// The pass.
pub const SIMPLIFY: Pass = Pass { name: "simplify", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    patches(graph).map_err(|source| PassError::Patch { pass: SIMPLIFY.name, source })
}

fn patches(graph: &Graph) -> Result<Patch<'_>, PatchError> {
    let mut patch = Patch::new(graph);
    let twins = twins(graph);
    for node in graph.nodes() {
        if let Some(&twin) = twins.get(&node.output) {
            patch.replace(node.output, twin)?;
        } else if is_identity(graph, node) {
            patch.replace(node.output, node.inputs[0])?;
        } else if let Some((op, input)) = merged(graph, node) {
            let new = patch.node(&node.name, op, &[input])?;
            patch.replace(node.output, new)?;
        }
    }
    Ok(patch)
}

/// Values that an earlier node computes too: the same operation on the same
/// inputs, where inputs that are twins count as the same.
fn twins(graph: &Graph) -> HashMap<ValueId, ValueId> {
    let mut twins: HashMap<ValueId, ValueId> = HashMap::new();
    let mut known: HashMap<Vec<ValueId>, Vec<&Node>> = HashMap::new();
    for node in graph.nodes() {
        let first = |id: &ValueId| twins.get(id).copied().unwrap_or(*id);
        let inputs: Vec<_> = node.inputs.iter().map(first).collect();
        let candidates = known.entry(inputs).or_default();
        match candidates.iter().find(|candidate| candidate.op == node.op) {
            Some(twin) => {
                twins.insert(node.output, twin.output);
            }
            None => candidates.push(node),
        }
    }
    twins
}

fn is_identity(graph: &Graph, node: &Node) -> bool {
    let unchanged = || graph.ty(node.inputs[0]) == graph.ty(node.output);
    match &node.op {
        Op::Reshape { .. } | Op::Slice { .. } | Op::Cast { .. } => unchanged(),
        Op::Transpose(order) => order.axes().is_sorted(),
        Op::Affine { scale, offset } => *scale == 1.0 && *offset == 0.0,
        Op::Concat { .. } => node.inputs.len() == 1,
        Op::UpsampleNearest { factor } => *factor == 1,
        _ => false,
    }
}

/// An operation and the one before it as one operation on the latter's input.
fn merged(graph: &Graph, node: &Node) -> Option<(Op, ValueId)> {
    let before = graph.producer(*node.inputs.first()?)?;
    let op = match (&before.op, &node.op) {
        (Op::Reshape { .. }, Op::Reshape { shape }) => Op::Reshape { shape: *shape },
        (Op::Transpose(first), Op::Transpose(second)) => Op::Transpose(compose(first, second)?),
        (&Op::Affine { scale: s, offset: o }, &Op::Affine { scale, offset }) => {
            Op::Affine { scale: s * scale, offset: o * scale + offset }
        }
        _ => return None,
    };
    Some((op, before.inputs[0]))
}

/// The order of axes after both.
fn compose(first: &Permutation, second: &Permutation) -> Option<Permutation> {
    let axes: Vec<_> = second.axes().iter().map(|&axis| first.axes()[axis]).collect();
    Permutation::new(&axes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Activation;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType};

    fn builder() -> (Builder, ValueId) {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3, 4]));
        (b, x)
    }

    #[test]
    fn what_does_nothing_is_removed() {
        let (mut b, x) = builder();
        let y = b.activation("tanh", x, Activation::Tanh).unwrap();
        let y = b.reshape("reshape", y, [2, 3, 4]).unwrap();
        let y = b.slice("slice", y, 1, 0, 3).unwrap();
        let y = b.transpose("transpose", y, &[0, 1, 2]).unwrap();
        let y = b.affine("affine", y, 1.0, 0.0).unwrap();
        let y = b.concat("concat", &[y], 0).unwrap();
        let y = b.transpose("there", y, &[1, 2, 0]).unwrap();
        let y = b.transpose("back", y, &[2, 0, 1]).unwrap();
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &[SIMPLIFY], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn neighbours_are_merged() {
        let (mut b, x) = builder();
        let y = b.transpose("turn", x, &[1, 2, 0]).unwrap();
        let y = b.transpose("swap", y, &[0, 2, 1]).unwrap();
        let y = b.reshape("first", y, [4, 3, 2]).unwrap();
        let y = b.reshape("second", y, [4, 6]).unwrap();
        let y = b.affine("double", y, 2.0, 1.0).unwrap();
        let y = b.affine("triple", y, 3.0, -2.0).unwrap();
        // 6 x + 1 instead of 3 (2 x + 1) - 2: one rounding less.
        let (after, text) = rewritten(&b.finish(&[("y", y)]), &[SIMPLIFY], 2e-7);
        insta::assert_snapshot!(text);
        assert_untouched(&after, SIMPLIFY);
    }

    #[test]
    fn equal_chains_are_computed_once() {
        let (mut b, x) = builder();
        let mut chain = |name: &str| {
            let y = b.activation(name, x, Activation::Silu).unwrap();
            b.linear("shared", y, 4, true).unwrap()
        };
        let (first, second) = (chain("first"), chain("second"));
        let y = b.add("add", first, second).unwrap();
        let (after, _) = rewritten(&b.finish(&[("y", y)]), &[SIMPLIFY], 0.0);
        assert_eq!(after.nodes().len(), 3);
    }

    #[test]
    fn what_differs_stays() {
        let (mut b, x) = builder();
        let silu = b.activation("silu", x, Activation::Silu).unwrap();
        let gelu = b.activation("gelu", x, Activation::Gelu).unwrap();
        let part = b.slice("slice", x, 1, 0, 2).unwrap();
        let turned = b.transpose("transpose", x, &[0, 2, 1]).unwrap();
        let outputs = [("silu", silu), ("gelu", gelu), ("part", part), ("turned", turned)];
        assert_untouched(&b.finish(&outputs), SIMPLIFY);
    }
}
