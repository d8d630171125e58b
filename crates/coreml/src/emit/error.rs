//! Why no package could be written.

use std::io;
use std::path::PathBuf;

use laterna_graph::WeightError;
use laterna_graph::passes::PassError;
use thiserror::Error;

use super::options::Target;

/// Why no package could be written.
#[derive(Debug, Error)]
pub enum EmitError {
    /// A pass over the graph failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A weight could not be read or has another shape.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// Core ML has no form of an operation.
    #[error("{node}: {reason}")]
    Unsupported {
        /// The node, or the input or output.
        node: String,
        /// What Core ML cannot do.
        reason: String,
    },
    /// A choice that the target does not have.
    #[error("{what}: only from {} on", needed.name())]
    Target {
        /// The choice.
        what: String,
        /// The oldest system that has it.
        needed: Target,
    },
    /// Choices that do not fit.
    #[error("{0}")]
    Options(String),
    /// A number that half precision cannot hold.
    #[error("{value}: {number:e} does not fit half precision")]
    Range {
        /// Whose number it is.
        value: String,
        /// The number.
        number: f32,
    },
    /// The weight file could not be written.
    #[error("the weight file: {0}")]
    WeightFile(#[from] io::Error),
    /// Another file or folder could not be written.
    #[error("{}: {reason}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        reason: io::Error,
    },
}

impl EmitError {
    /// Only the newer target has this.
    pub(super) fn needs_macos_15(what: &str) -> Self {
        Self::Target { what: what.to_owned(), needed: Target::MacOs15 }
    }

    pub(super) fn unsupported(node: &str, reason: impl Into<String>) -> Self {
        Self::Unsupported { node: node.to_owned(), reason: reason.into() }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Target { .. } => Some("choose the newer system, or another form"),
            Self::Range { .. } => Some("Core ML's fast devices compute in half precision alone"),
            _ => None,
        }
    }
}
