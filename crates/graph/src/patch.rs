//! Edits to a graph, collected while it is only read and applied at once.
//!
//! A pass looks at the old graph, adds nodes and constants to a patch and says
//! which old values they replace. Applying it redirects the readers, drops what
//! nobody reads any more, sorts, and verifies.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_tensor::Tensor;
use thiserror::Error;

use crate::graph::{Constant, Graph, Layout, Node, NodeId, Origin, TensorType, Value};
use crate::{InferError, Op, ValueId, VerifyError, infer, verify};

/// Why a patch could not be made or applied. Always a mistake in a pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// A new node does not fit its inputs.
    #[error("{node}: {source}")]
    Infer {
        /// The new node's name.
        node: String,
        /// What does not fit.
        source: InferError,
    },
    /// A replacement has another type.
    #[error("{value}: {old} replaced by {new}")]
    Type {
        /// The value replaced.
        value: String,
        /// Its type.
        old: String,
        /// The replacement's type.
        new: String,
    },
    /// The patched graph has a cycle through this node.
    #[error("{node}: depends on itself")]
    Cycle {
        /// A node on the cycle.
        node: String,
    },
    /// The patched graph is not well formed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// A set of edits to one graph.
#[derive(Debug)]
pub struct Patch<'g> {
    graph: &'g Graph,
    values: Vec<Value>,
    nodes: Vec<Node>,
    replacements: HashMap<ValueId, ValueId>,
    layouts: HashMap<ValueId, Layout>,
}

impl<'g> Patch<'g> {
    /// No edits yet.
    pub fn new(graph: &'g Graph) -> Self {
        let (values, nodes) = (Vec::new(), Vec::new());
        Self { graph, values, nodes, replacements: HashMap::new(), layouts: HashMap::new() }
    }

    /// Whether the patch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.replacements.is_empty() && self.layouts.is_empty()
    }

    /// A value of the old graph or one added by this patch.
    pub fn value(&self, id: ValueId) -> &Value {
        match id.index().checked_sub(self.graph.values.len()) {
            Some(added) => &self.values[added],
            None => self.graph.value(id),
        }
    }

    /// Adds a node; its inputs may be old values or new ones.
    ///
    /// # Errors
    /// If the operation does not fit its inputs.
    pub fn node(
        &mut self,
        name: &Arc<str>,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, PatchError> {
        let types: Vec<_> = inputs.iter().map(|&id| self.value(id).ty).collect();
        let ty = infer(&op, &types)
            .map_err(|source| PatchError::Infer { node: name.to_string(), source })?;
        let layout = match op {
            Op::Relayout { to } => to,
            _ => Layout::RowMajor,
        };
        let node = NodeId((self.graph.nodes.len() + self.nodes.len()) as u32);
        let output =
            self.push(Value { name: name.clone(), ty, layout, origin: Origin::Node(node) });
        self.nodes.push(Node { name: name.clone(), op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &Arc<str>, tensor: Tensor) -> ValueId {
        let ty = TensorType { dtype: tensor.dtype(), shape: tensor.shape() };
        let origin = Origin::Constant(Constant::Data(Arc::new(tensor)));
        self.push(Value { name: name.clone(), ty, layout: Layout::RowMajor, origin })
    }

    /// Lets every reader of `old` read `new` instead.
    ///
    /// # Errors
    /// If their types differ.
    pub fn replace(&mut self, old: ValueId, new: ValueId) -> Result<(), PatchError> {
        let (from, to) = (self.value(old), self.value(new));
        if from.ty != to.ty {
            return Err(PatchError::Type {
                value: from.name.to_string(),
                old: from.ty.to_string(),
                new: to.ty.to_string(),
            });
        }
        self.replacements.insert(old, new);
        Ok(())
    }

    /// Assigns a physical layout to a value, old or new.
    pub fn set_layout(&mut self, id: ValueId, layout: Layout) {
        self.layouts.insert(id, layout);
    }

    /// The edited graph, without what nobody reads any more, sorted and verified.
    ///
    /// # Errors
    /// If the edits make a cycle or an ill-formed graph.
    pub fn apply(self) -> Result<Graph, PatchError> {
        let old = self.graph;
        let mut values: Vec<Value> = old.values.iter().cloned().chain(self.values).collect();
        for (id, layout) in self.layouts {
            values[id.index()].layout = layout;
        }
        let redirect = |mut id: ValueId| {
            while let Some(&next) = self.replacements.get(&id) {
                id = next;
            }
            id
        };
        let mut nodes: Vec<Node> = old.nodes.iter().cloned().chain(self.nodes).collect();
        for node in &mut nodes {
            node.inputs.iter_mut().for_each(|id| *id = redirect(*id));
        }
        let outputs = old.outputs.iter().map(|(name, id)| (name.clone(), redirect(*id))).collect();
        let edited =
            Graph { name: old.name.clone(), values, nodes, inputs: old.inputs.clone(), outputs };
        let graph = sweep(&edited)?;
        verify(&graph)?;
        Ok(graph)
    }

    fn push(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId((self.graph.values.len() + self.values.len() - 1) as u32)
    }
}

/// The graph with only what its outputs need, in an order in which it can run.
/// Inputs stay, read or not: they are the caller's contract.
pub(crate) fn sweep(graph: &Graph) -> Result<Graph, PatchError> {
    let order = order_by_need(graph)?;
    let mut swept = Sweep { old: graph, new: Graph::default(), ids: HashMap::new() };
    swept.new.name.clone_from(&graph.name);
    for &id in &graph.inputs {
        let id = swept.value(id);
        swept.new.inputs.push(id);
    }
    for &node in &order {
        swept.node(&graph.nodes[node]);
    }
    for (name, id) in &graph.outputs {
        let id = swept.value(*id);
        swept.new.outputs.push((name.clone(), id));
    }
    Ok(swept.new)
}

struct Sweep<'g> {
    old: &'g Graph,
    new: Graph,
    ids: HashMap<ValueId, ValueId>,
}

impl Sweep<'_> {
    fn value(&mut self, old: ValueId) -> ValueId {
        if let Some(&id) = self.ids.get(&old) {
            return id;
        }
        let id = ValueId(self.new.values.len() as u32);
        self.new.values.push(self.old.value(old).clone());
        self.ids.insert(old, id);
        id
    }

    fn node(&mut self, old: &Node) {
        let inputs = old.inputs.iter().map(|&id| self.value(id)).collect();
        let output = self.value(old.output);
        self.new.values[output.index()].origin = Origin::Node(NodeId(self.new.nodes.len() as u32));
        self.new.nodes.push(Node { inputs, output, ..old.clone() });
    }
}

/// Depth-first post-order over what the outputs need, without recursion: a
/// UNet's chains are deeper than a thread's stack should have to be.
fn order_by_need(graph: &Graph) -> Result<Vec<usize>, PatchError> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let producer = |id: ValueId| match graph.value(id).origin {
        Origin::Node(node) => Some(node.index()),
        Origin::Input(_) | Origin::Constant(_) => None,
    };
    let mut state = vec![State::New; graph.nodes.len()];
    let mut order = Vec::with_capacity(graph.nodes.len());
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for root in graph.outputs.iter().filter_map(|&(_, id)| producer(id)) {
        if state[root] == State::New {
            state[root] = State::Open;
            stack.push((root, 0));
        }
        while let Some((node, next)) = stack.pop() {
            let Some(&input) = graph.nodes[node].inputs.get(next) else {
                state[node] = State::Done;
                order.push(node);
                continue;
            };
            stack.push((node, next + 1));
            match producer(input).map(|needed| (needed, state[needed])) {
                Some((needed, State::New)) => {
                    state[needed] = State::Open;
                    stack.push((needed, 0));
                }
                Some((needed, State::Open)) => {
                    let node = graph.nodes[needed].name.to_string();
                    return Err(PatchError::Cycle { node });
                }
                Some((_, State::Done)) | None => {}
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Activation;
    use crate::{Builder, Rate};

    fn relu_of_x() -> Graph {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2]));
        let y = b.activation("y", x, Activation::Relu).unwrap();
        b.finish(&[("y", y)])
    }

    #[test]
    fn replaced_nodes_are_swept() {
        let graph = relu_of_x();
        let (x, y) = (graph.inputs()[0], graph.outputs()[0].1);
        let mut patch = Patch::new(&graph);
        let new = patch.node(&"z".into(), Op::Activation(Activation::Tanh), &[x]).unwrap();
        patch.replace(y, new).unwrap();
        let patched = patch.apply().unwrap();
        let names: Vec<_> = patched.nodes().iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["z"]);
    }

    #[test]
    fn a_cycle_is_found() {
        let graph = relu_of_x();
        let y = graph.outputs()[0].1;
        let mut patch = Patch::new(&graph);
        let on_y = patch.node(&"z".into(), Op::Activation(Activation::Tanh), &[y]).unwrap();
        patch.replace(y, on_y).unwrap();
        assert!(matches!(patch.apply(), Err(PatchError::Cycle { .. })));
    }

    #[test]
    fn another_type_is_refused() {
        let graph = relu_of_x();
        let y = graph.outputs()[0].1;
        let mut patch = Patch::new(&graph);
        let other = patch.constant(&"c".into(), Tensor::zeros([3]));
        assert!(matches!(patch.replace(y, other), Err(PatchError::Type { .. })));
    }
}
