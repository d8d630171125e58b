//! The ways to write attention, in the order in which they are tried.

use laterna_graph::{Graph, Op};

use crate::emit::{Attention, Target};
use crate::run::ComputeUnits;

/// The forms that the system has, the preferred one first: split attention for the
/// Neural Engine, as Apple's converter of Stable Diffusion chooses. A graph without
/// attention is written in the first alone.
pub(super) fn in_turn(graph: &Graph, target: Target, units: ComputeUnits) -> Vec<Attention> {
    use Attention::{MatMul, Sdpa, SplitEinsum};
    let mut forms = match units {
        ComputeUnits::CpuAndNeuralEngine => vec![SplitEinsum, Sdpa, MatMul],
        _ => vec![Sdpa, MatMul, SplitEinsum],
    };
    forms.retain(|&form| form != Sdpa || target >= Target::MacOs15);
    if !graph.nodes().iter().any(|node| matches!(node.op, Op::Attention(_))) {
        forms.truncate(1);
    }
    forms
}

/// The form for people, as `laterna export` has it.
pub(super) fn name(form: Attention) -> &'static str {
    match form {
        Attention::Sdpa => "sdpa",
        Attention::MatMul => "matmul",
        Attention::SplitEinsum => "split-einsum",
    }
}
