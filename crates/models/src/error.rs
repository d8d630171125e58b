//! Why a network could not be built for a configuration and a size.

use laterna_graph::BuildError;
use laterna_tensor::Shape;
use thiserror::Error;

use crate::config::ConfigError;

/// Why a network could not be built.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ModelError {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A layer does not fit its input.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The network has no form for pictures of this size.
    #[error("{network}: {height}x{width} (height x width): {reason}")]
    Size {
        /// The network's prefix.
        network: String,
        /// Height asked for.
        height: usize,
        /// Width asked for.
        width: usize,
        /// What would work.
        reason: String,
    },
    /// A value given to the network has another shape.
    #[error("{network}: {input} is {found}, not {expected}")]
    Input {
        /// The network's prefix.
        network: String,
        /// The input.
        input: &'static str,
        /// Its shape.
        found: Shape,
        /// The shape that the network reads.
        expected: String,
    },
    /// The network needs an input that was not given.
    #[error("{network}: needs {input}")]
    MissingInput {
        /// The network's prefix.
        network: String,
        /// The input.
        input: &'static str,
    },
    /// Two components do not belong together.
    #[error("{0}")]
    Mismatch(String),
}
