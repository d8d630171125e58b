//! Whether a checkpoint has the weights that its graphs read.

use std::collections::HashSet;

use laterna_graph::{Graph, TensorType, WeightSource};
use laterna_tensor::{DType, Shape};
use thiserror::Error;

use crate::source::Weights;

/// Names that a message lists before it only counts.
const LISTED: usize = 5;

/// Why weights do not fit a graph.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// Weights that the graph reads are absent.
    #[error("missing weights: {}", list(.0))]
    Missing(Vec<String>),
    /// A weight has another shape.
    #[error("weight {name}: {found} in the checkpoint, {expected} by the configuration")]
    Shape {
        /// The weight.
        name: String,
        /// Its shape in the checkpoint.
        found: Shape,
        /// The shape that the configuration asks for.
        expected: Shape,
    },
    /// A weight is not made of floating-point numbers.
    #[error("weight {name}: {found} elements, not floating-point numbers")]
    Kind {
        /// The weight.
        name: String,
        /// Its element type.
        found: DType,
    },
}

/// Checks that every weight of the graphs is there with its shape; gives the
/// names of weights that no graph reads, which deserve a warning: together,
/// the graphs should be everything that the components compute.
///
/// # Errors
/// If weights are missing or of another shape.
pub fn check_weights(graphs: &[&Graph], weights: &Weights) -> Result<Vec<String>, CheckError> {
    let mut missing = Vec::new();
    let mut read = HashSet::new();
    for (name, expected) in graphs.iter().flat_map(|graph| graph.weights()) {
        match weights.info(name) {
            _ if !read.insert(&**name) => {}
            Some(found) => check_type(name, found, expected)?,
            None => missing.push(name.to_string()),
        }
    }
    if !missing.is_empty() {
        return Err(CheckError::Missing(missing));
    }
    let names = weights.parts().flat_map(|(prefix, checkpoint)| {
        checkpoint.names().map(move |name| format!("{prefix}.{name}"))
    });
    Ok(names.filter(|name| !read.contains(name.as_str())).collect())
}

/// For each component the first weight that holds a NaN or an infinity. Reads
/// every byte of every weight.
pub fn non_finite_weights(weights: &Weights) -> Vec<String> {
    let first = |(prefix, checkpoint): (&str, &laterna_weights::Checkpoint)| {
        checkpoint.first_non_finite().map(|name| format!("{prefix}.{name}"))
    };
    weights.parts().filter_map(first).collect()
}

fn check_type(name: &str, found: TensorType, expected: TensorType) -> Result<(), CheckError> {
    let name = name.to_owned();
    if found.shape != expected.shape {
        return Err(CheckError::Shape { name, found: found.shape, expected: expected.shape });
    }
    if matches!(found.dtype, DType::I64 | DType::U8) {
        return Err(CheckError::Kind { name, found: found.dtype });
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
