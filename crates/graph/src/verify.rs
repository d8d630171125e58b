//! Checks that a graph is well formed; run after every pass.

use thiserror::Error;

use crate::graph::{Constant, Graph, Layout, Node, Origin};
use crate::{InferError, NodeId, Op, infer};

/// What is wrong with a graph. Always a mistake in a pass or a builder, never
/// in a user's input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A node reads a value that is computed after it, or that does not exist.
    #[error("{node}: reads input {position} before it is computed")]
    Order {
        /// The node.
        node: String,
        /// Which input.
        position: usize,
    },
    /// A node's output does not point back to it.
    #[error("{node}: its output belongs to another node")]
    Output {
        /// The node.
        node: String,
    },
    /// The operation does not fit its inputs.
    #[error("{node}: {source}")]
    Infer {
        /// The node.
        node: String,
        /// What does not fit.
        source: InferError,
    },
    /// The output's recorded type is not what its node computes.
    #[error("{node}: computes {computed}, recorded as {recorded}")]
    Type {
        /// The node.
        node: String,
        /// What inference says.
        computed: String,
        /// What the graph says.
        recorded: String,
    },
    /// A constant's data does not have the recorded type.
    #[error("{value}: the constant's data has another type")]
    Constant {
        /// The constant.
        value: String,
    },
    /// A layout that the value cannot have.
    #[error("{value}: only [batch, channels, height, width] can be channels-last")]
    Layout {
        /// The value.
        value: String,
    },
}

/// Checks order, types, constants and layouts.
///
/// # Errors
/// The first violation found.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    verify_values(graph)?;
    for (index, node) in graph.nodes().iter().enumerate() {
        verify_order(graph, node, NodeId(index as u32))?;
        verify_type(graph, node)?;
    }
    Ok(())
}

fn verify_values(graph: &Graph) -> Result<(), VerifyError> {
    for value in graph.values() {
        let name = || value.name.to_string();
        if let Origin::Constant(Constant::Data(tensor)) = &value.origin
            && (tensor.shape() != value.ty.shape || tensor.dtype() != value.ty.dtype)
        {
            return Err(VerifyError::Constant { value: name() });
        }
        if value.layout == Layout::ChannelsLast && value.ty.shape.rank() != 4 {
            return Err(VerifyError::Layout { value: name() });
        }
    }
    Ok(())
}

fn verify_order(graph: &Graph, node: &Node, id: NodeId) -> Result<(), VerifyError> {
    for (position, input) in node.inputs.iter().enumerate() {
        let known = graph.values().get(input.index()).is_some_and(|value| match value.origin {
            Origin::Node(producer) => producer < id,
            Origin::Input(_) | Origin::Constant(_) => true,
        });
        if !known {
            return Err(VerifyError::Order { node: node.name.to_string(), position });
        }
    }
    match graph.value(node.output).origin {
        Origin::Node(producer) if producer == id => Ok(()),
        _ => Err(VerifyError::Output { node: node.name.to_string() }),
    }
}

fn verify_type(graph: &Graph, node: &Node) -> Result<(), VerifyError> {
    let types: Vec<_> = node.inputs.iter().map(|&id| graph.ty(id)).collect();
    let computed = infer(&node.op, &types)
        .map_err(|source| VerifyError::Infer { node: node.name.to_string(), source })?;
    let output = graph.value(node.output);
    if computed != output.ty {
        return Err(VerifyError::Type {
            node: node.name.to_string(),
            computed: computed.to_string(),
            recorded: output.ty.to_string(),
        });
    }
    match node.op {
        Op::Relayout { to } if to != output.layout => {
            Err(VerifyError::Layout { value: output.name.to_string() })
        }
        _ => Ok(()),
    }
}
