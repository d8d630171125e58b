//! Errors of emission and of the device in the words of the backend's contract.

use std::fmt::Display;

use laterna_graph::{CompileError, Graph, RunError};

use super::NAME;
use crate::emit::EmitError;
use crate::run;

/// The device does not take the graph.
pub(super) fn refused(reason: &dyn Display, hint: Option<String>) -> CompileError {
    CompileError::Device { device: NAME, reason: reason.to_string(), hint }
}

/// A node, or an input or output, that the device cannot run.
pub(super) fn unsupported(node: &str, op: &'static str, reason: String) -> CompileError {
    CompileError::Unsupported { node: node.to_owned(), backend: NAME, op, reason }
}

/// The graph, as it is written, does not become a package.
pub(super) fn unwritten(graph: &Graph, error: EmitError) -> CompileError {
    match error {
        EmitError::Pass(error) => CompileError::Pass(error),
        EmitError::Weight(error) => CompileError::Weight(error),
        EmitError::Unsupported { node, reason } => {
            let found = graph.nodes().iter().find(|candidate| *candidate.name == *node);
            unsupported(&node, found.map_or("this", |node| node.op.name()), reason)
        }
        error => refused(&error, error.hint().map(str::to_owned)),
    }
}

/// The device failed while it ran.
pub(super) fn failed(error: &run::RunError) -> RunError {
    RunError::Device { device: NAME, reason: error.to_string() }
}
