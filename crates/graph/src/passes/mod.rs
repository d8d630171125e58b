//! Rewrites of a graph: each reads one graph and gives a patch; the graph is
//! verified after each.

pub mod fold;
pub mod fuse;
pub mod layout;
mod pattern;
pub mod simplify;
#[cfg(test)]
mod testing;

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
pub const STANDARD: &[Pass] = &[
    // A fixed timestep's embedding becomes a constant that biases can take in.
    fold::FOLD,
    // Before simplification, which would merge the reshapes that split heads
    // with those before them.
    fuse::attention::ATTENTION,
    fuse::geglu::GEGLU,
    simplify::SIMPLIFY,
    // An epilogue adds its biases first, then gates, activates, adds the
    // residual and activates again: fusions take their parts in that order.
    fuse::affine::AFFINE,
    fuse::group_norm_silu::GROUP_NORM_SILU,
    fuse::upsample::UPSAMPLE,
    fuse::batch_bias::BATCH_BIAS,
    fuse::activation::ACTIVATION,
    fuse::residual::RESIDUAL,
    fuse::token_residual::TOKEN_RESIDUAL,
    fuse::activation::ACTIVATION,
    // Scaled weights and summed biases, which the fusions leave to be computed.
    fold::FOLD,
];

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
