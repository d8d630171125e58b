//! Operations that look rows up, and the embedding of timesteps.

use std::sync::Arc;

use laterna_graph::{Graph, Node, RunError, op};
use laterna_kernels::Isa;
use laterna_kernels::lookup::{self, IndexError};

use super::Lowered;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers an embedding: rows of a table, by index.
pub fn embedding(graph: &Graph, node: &Node) -> Lowered {
    let channels = graph.shape(node.inputs[1])[1];
    Lowered::plain(node, Embedding { node: node.name.clone(), channels })
}

/// Lowers the choice of one token of each batch entry.
pub fn select_token(graph: &Graph, node: &Node) -> Lowered {
    let x = graph.shape(node.inputs[0]);
    let (tokens, channels) = (x[1], x[2]);
    Lowered::plain(node, SelectToken { node: node.name.clone(), tokens, channels })
}

/// Lowers the sinusoidal embedding of timesteps.
pub fn timestep_embedding(node: &Node, op: &op::TimestepEmbedding) -> Lowered {
    let embedding = lookup::TimestepEmbedding {
        channels: op.dim,
        flip_sin_to_cos: op.flip_sin_to_cos,
        freq_shift: op.freq_shift,
        max_period: op.max_period,
    };
    Lowered::plain(node, TimestepEmbedding(embedding))
}

fn at_node(node: &Arc<str>, IndexError { index, rows }: IndexError) -> RunError {
    RunError::Index { node: node.clone(), index, rows }
}

struct Embedding {
    node: Arc<str>,
    channels: usize,
}

impl Kernel for Embedding {
    fn name(&self, _: Isa) -> String {
        "embedding".into()
    }

    fn run(&self, _: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (indices, table) = (operands.indices(0), operands.input(1));
        let (out, _) = operands.write();
        lookup::gather_rows(self.channels, table, indices, out).map_err(|e| at_node(&self.node, e))
    }
}

struct SelectToken {
    node: Arc<str>,
    tokens: usize,
    channels: usize,
}

impl Kernel for SelectToken {
    fn name(&self, _: Isa) -> String {
        "select_token".into()
    }

    fn run(&self, _: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (x, indices) = (operands.input(0), operands.indices(1));
        let (out, _) = operands.write();
        lookup::select_token(self.tokens, self.channels, x, indices, out)
            .map_err(|e| at_node(&self.node, e))
    }
}

struct TimestepEmbedding(lookup::TimestepEmbedding);

impl Kernel for TimestepEmbedding {
    fn name(&self, _: Isa) -> String {
        "timestep_embedding".into()
    }

    fn run(&self, _: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let timesteps = operands.input(0);
        lookup::timestep_embedding(&self.0, timesteps, operands.write().0);
        Ok(())
    }
}
