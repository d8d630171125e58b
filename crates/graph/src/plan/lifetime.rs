//! From which node to which node a value must be kept.

use super::Needs;
use crate::graph::{Graph, ValueId};

/// Nodes between which a value is needed, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The node that computes it.
    pub first: usize,
    /// The last node that reads it.
    pub last: usize,
}

impl Lifetime {
    /// Whether some node needs both.
    pub fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The lifetime of every computed value that owns memory, views counted as
/// their root; outputs live to the end. `None` for views, inputs, constants, and
/// what a kernel keeps to itself.
pub(super) fn of_roots(
    graph: &Graph,
    roots: &[ValueId],
    needs: &dyn Needs,
) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; graph.values().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        let output = node.output.index();
        let part_of = needs.part_of(graph, node);
        if roots[output] == node.output && part_of.is_none() {
            lifetimes[output] = Some(Lifetime { first: index, last: index });
        }
        let last = part_of.unwrap_or(index);
        for id in &node.inputs {
            if let Some(lifetime) = &mut lifetimes[roots[id.index()].index()] {
                lifetime.last = lifetime.last.max(last);
            }
        }
    }
    for (_, id) in graph.outputs() {
        if let Some(lifetime) = &mut lifetimes[roots[id.index()].index()] {
            lifetime.last = graph.nodes().len();
        }
    }
    lifetimes
}
