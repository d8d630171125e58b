//! Why a checkpoint could not be opened or read; each error names the file
//! and, where there is one, the tensor.
//!
//! Names come from strangers: they are escaped, so that an error stays one line
//! and cannot write to the terminal.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::header::{HeaderError, Unsupported};
use crate::shards::IndexError;

/// Why a checkpoint could not be opened or read.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "`file` and `tensor` are the ones that failed")]
pub enum WeightError {
    /// The operating system refused.
    #[error("{}: {reason}", file.display())]
    Io { file: PathBuf, reason: io::Error },
    /// The file is not a sound safetensors file.
    #[error("{}: {reason}", file.display())]
    Header { file: PathBuf, reason: Box<HeaderError> },
    /// The file is not a sound index of shards.
    #[error("{}: {reason}", file.display())]
    Index { file: PathBuf, reason: IndexError },
    /// No such tensor.
    #[error("{}: {}: no such tensor", file.display(), tensor.escape_debug())]
    Missing { file: PathBuf, tensor: String },
    /// The tensor is there, in a form that cannot be read.
    #[error("{}: {}: {reason}", file.display(), tensor.escape_debug())]
    Unsupported { file: PathBuf, tensor: String, reason: Unsupported },
    /// Two tensors of one checkpoint stand for the same weight.
    #[error("{}: {}: the same weight as {}", file.display(), tensor.escape_debug(), other.escape_debug())]
    Collision { file: PathBuf, tensor: String, other: String },
    /// A folder holds no weights under any name that diffusers uses.
    #[error("{}: no safetensors weights (looked for {looked_for})", folder.display())]
    NoWeights {
        /// The component's folder.
        folder: PathBuf,
        /// The file names tried.
        looked_for: String,
    },
    /// A model's folder lacks a component.
    #[error("{}: no component `{component}` (a folder with a config.json)", root.display())]
    NoComponent {
        /// The model's root.
        root: PathBuf,
        /// The folder that is missing.
        component: String,
    },
}
