//! The graph itself: values, the nodes that make them, and how often each changes.
//!
//! A graph is immutable once built; it is edited by applying a [`Patch`](crate::Patch),
//! which gives a new graph with new identifiers.

use std::fmt;
use std::sync::Arc;

use laterna_tensor::{DType, Shape, Tensor};

use crate::Op;

/// Names a value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

/// Names a node of one graph; nodes are numbered in an order in which they can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl ValueId {
    /// Position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Element type and extents of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Logical extents.
    pub shape: Shape,
}

impl TensorType {
    /// An f32 tensor.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::F32, shape: shape.into() }
    }

    /// An i64 tensor.
    pub fn i64(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::I64, shape: shape.into() }
    }

    /// Bytes of a dense tensor of this type.
    pub fn size_bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size_bytes()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The physical order of a value's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// As the shape says: the last axis is contiguous.
    #[default]
    RowMajor,
    /// `[batch, channels, height, width]` stored as batch, height, width, channels.
    ChannelsLast,
}

/// How often a value changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// Never, once the model is loaded.
    Model,
    /// When the prompt changes.
    Prompt,
    /// With every frame.
    Frame,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Given by the caller, changing at this rate.
    Input(Rate),
    /// Fixed when the graph is compiled.
    Constant(Constant),
    /// Computed.
    Node(NodeId),
}

/// A value that never changes.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A tensor of the checkpoint, by name.
    Weight(Arc<str>),
    /// A tensor held by the graph: small, or the result of folding.
    Data(Arc<Tensor>),
}

/// One value.
#[derive(Clone, Debug)]
pub struct Value {
    /// For people: the input's, the weight's or the node's name.
    pub name: Arc<str>,
    /// Element type and extents.
    pub ty: TensorType,
    /// Physical order of the elements.
    pub layout: Layout,
    /// Where it comes from.
    pub origin: Origin,
}

/// One operation at work.
#[derive(Clone, Debug)]
pub struct Node {
    /// Path in the model, such as `unet.down_blocks.0.resnets.0.conv1`.
    pub name: Arc<str>,
    /// What is computed.
    pub op: Op,
    /// Operands, in the order that the operation documents.
    pub inputs: Vec<ValueId>,
    /// The result.
    pub output: ValueId,
}

/// A static, acyclic graph of operations.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<(Arc<str>, ValueId)>,
}

impl Graph {
    /// What the graph computes, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All nodes, in an order in which they can run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The values that the caller gives, in the order it gives them.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The values that the caller receives, with their names.
    pub fn outputs(&self) -> &[(Arc<str>, ValueId)] {
        &self.outputs
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// Element type and extents of one value.
    pub fn ty(&self, id: ValueId) -> TensorType {
        self.value(id).ty
    }

    /// Extents of one value.
    pub fn shape(&self, id: ValueId) -> Shape {
        self.value(id).ty.shape
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node that computes a value, unless it is an input or a constant.
    pub fn producer(&self, id: ValueId) -> Option<&Node> {
        match self.value(id).origin {
            Origin::Node(node) => Some(self.node(node)),
            Origin::Input(_) | Origin::Constant(_) => None,
        }
    }

    /// The constant behind a value, if it is one.
    pub fn constant(&self, id: ValueId) -> Option<&Constant> {
        match &self.value(id).origin {
            Origin::Constant(constant) => Some(constant),
            Origin::Input(_) | Origin::Node(_) => None,
        }
    }

    /// How often each value is read: by nodes, and once for each output.
    pub fn use_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.values.len()];
        let reads = self.nodes.iter().flat_map(|node| &node.inputs);
        for id in reads.chain(self.outputs.iter().map(|(_, id)| id)) {
            counts[id.index()] += 1;
        }
        counts
    }

    /// The names and types of all weights read, each once, in order of first use.
    pub fn weights(&self) -> impl Iterator<Item = (&Arc<str>, TensorType)> {
        self.values.iter().filter_map(|value| match &value.origin {
            Origin::Constant(Constant::Weight(name)) => Some((name, value.ty)),
            _ => None,
        })
    }
}
