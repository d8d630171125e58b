//! Fusions: several operations become one that a device runs at once.

pub mod activation;
pub mod affine;
pub mod attention;
pub mod batch_bias;
pub mod geglu;
pub mod group_norm_silu;
pub mod residual;
pub mod token_residual;
pub mod upsample;

use super::PassError;
use super::pattern::{Match, Pattern, rewrite};
use crate::graph::{Graph, Node};
use crate::op::{Epilogue, EpilogueOperands};
use crate::{Patch, PatchError, ValueId};

/// The patch of a pass with one formula.
fn fuse<'g>(
    pass: &'static str,
    graph: &'g Graph,
    formula: &Pattern,
    build: impl FnMut(&Match<'g>, &mut Patch<'g>) -> Result<Option<ValueId>, PatchError>,
) -> Result<Patch<'g>, PassError> {
    let mut patch = Patch::new(graph);
    rewrite(&mut patch, graph, formula, build)
        .map_err(|source| PassError::Patch { pass, source })?;
    Ok(patch)
}

/// A convolution or linear layer taken apart, so that its epilogue can be edited.
struct Product<'g> {
    node: &'g Node,
    epilogue: Epilogue,
    operands: EpilogueOperands,
}

impl<'g> Product<'g> {
    /// # Panics
    /// If the node has no epilogue.
    fn new(node: &'g Node) -> Self {
        let epilogue = node.op.epilogue().expect("a product has an epilogue").clone();
        let operands = epilogue.operands(&node.inputs[2..]);
        Self { node, epilogue, operands }
    }

    /// Whether it does no more than add biases.
    fn only_adds_biases(&self) -> bool {
        let biases = Epilogue {
            bias: self.epilogue.bias,
            batch_bias: self.epilogue.batch_bias,
            ..Epilogue::default()
        };
        self.epilogue == biases
    }

    /// The node with the edited epilogue on this input and weight.
    fn rebuild(
        mut self,
        patch: &mut Patch<'_>,
        input: ValueId,
        weight: ValueId,
    ) -> Result<ValueId, PatchError> {
        let EpilogueOperands { bias, batch_bias, residual } = self.operands;
        self.epilogue.bias = bias.is_some();
        self.epilogue.batch_bias = batch_bias.is_some();
        self.epilogue.residual = residual.is_some();
        let mut inputs = vec![input, weight];
        inputs.extend([bias, batch_bias, residual].into_iter().flatten());
        patch.node(&self.node.name, self.node.op.with_epilogue(self.epilogue), &inputs)
    }

    /// The node with the edited epilogue.
    fn finish(self, patch: &mut Patch<'_>) -> Result<ValueId, PatchError> {
        let (input, weight) = (self.node.inputs[0], self.node.inputs[1]);
        self.rebuild(patch, input, weight)
    }
}
