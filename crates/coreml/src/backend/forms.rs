//! The ways to write a graph, in the order in which they are tried.

use std::fmt;

use laterna_graph::{Graph, Op};

use crate::emit::{Attention, Target};
use crate::run::ComputeUnits;

/// A way to write a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How attention is written.
    pub attention: Attention,
    /// Inputs and outputs that are pictures are pixel buffers, not arrays.
    pub pictures: bool,
}

/// Such as "attention as sdpa, pictures as pixel buffers".
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pictures = if self.pictures { ", pictures as pixel buffers" } else { "" };
        write!(f, "attention as {}{pictures}", name(self.attention))
    }
}

/// With pixel buffers first, if there are pictures; then all arrays.
pub(super) fn in_turn(attentions: &[Attention], has_pictures: bool) -> Vec<Form> {
    let ways: &[bool] = if has_pictures { &[true, false] } else { &[false] };
    let with = |&pictures| attentions.iter().map(move |&attention| Form { attention, pictures });
    ways.iter().flat_map(with).collect()
}

/// The attentions that the system has, the preferred one first: split attention for the
/// Neural Engine, as Apple's converter of Stable Diffusion chooses. A graph without
/// attention is written in the first alone.
pub(super) fn attentions(graph: &Graph, target: Target, units: ComputeUnits) -> Vec<Attention> {
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

/// Attention for people, as `laterna export` has it.
pub(super) fn name(form: Attention) -> &'static str {
    match form {
        Attention::Sdpa => "sdpa",
        Attention::MatMul => "matmul",
        Attention::SplitEinsum => "split-einsum",
    }
}
