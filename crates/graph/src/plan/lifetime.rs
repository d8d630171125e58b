//! From which node to which node a value must be kept.

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
/// their root; outputs live to the end. `None` for views, inputs and constants.
pub(super) fn of_roots(graph: &Graph, roots: &[ValueId]) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; graph.values().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        let output = node.output.index();
        if roots[output] == node.output {
            lifetimes[output] = Some(Lifetime { first: index, last: index });
        }
        for id in &node.inputs {
            if let Some(lifetime) = &mut lifetimes[roots[id.index()].index()] {
                lifetime.last = index;
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
