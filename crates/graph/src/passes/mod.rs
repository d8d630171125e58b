//! Rewrites of a graph: each reads one graph and gives a patch; the graph is
//! verified after each.

use thiserror::Error;

use crate::reference::ReferenceError;
use crate::{CompileOptions, Graph, Patch, PatchError, WeightError, WeightSource};

/// Why a pass failed.
#[derive(Debug, Error)]
pub enum PassError {
    /// A constant could not be computed.
    #[error("folding constants: {0}")]
    Reference(#[from] ReferenceError),
    /// A weight could not be read.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// A patch does not fit: a mistake in the pass.
    #[error("pass {pass}: {source}")]
    Patch {
        /// The pass.
        pass: &'static str,
        /// What does not fit.
        source: PatchError,
    },
}

/// One rewrite. It is applied until its patch is empty.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Its name in dumps and options.
    pub name: &'static str,
    /// The edits it wants to make to a graph.
    pub patch: for<'g> fn(&'g Graph, &dyn WeightSource) -> Result<Patch<'g>, PassError>,
}

/// The passes of every backend, in order.
pub const STANDARD: &[Pass] = &[];

/// Applies passes in order.
///
/// # Errors
/// The first failure.
pub fn run(
    graph: &Graph,
    passes: &[Pass],
    weights: &dyn WeightSource,
    options: &CompileOptions<'_>,
) -> Result<Graph, PassError> {
    let observe = |stage: &str, graph: &Graph| {
        if let Some(observer) = options.observer {
            observer(stage, graph);
        }
    };
    observe("input", graph);
    let mut graph = graph.clone();
    for pass in passes {
        loop {
            let patch = (pass.patch)(&graph, weights)?;
            if patch.is_empty() {
                break;
            }
            graph = patch.apply().map_err(|source| PassError::Patch { pass: pass.name, source })?;
        }
        observe(pass.name, &graph);
    }
    Ok(graph)
}
