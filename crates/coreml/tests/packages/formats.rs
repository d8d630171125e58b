//! Every way to write a graph: systems, forms, weight formats; and what laterna
//! makes of the graph as it is written.

use laterna_coreml::emit::{Attention, GroupNorm, Options, Target, WeightFormat, as_stored};
use laterna_graph::{Graph, WeightSource, reference};
use laterna_tensor::Tensor;

/// Formats of macOS 14, in both systems.
const OLD: &[WeightFormat] = &[
    WeightFormat::Fp16,
    WeightFormat::Int8 { symmetric: true },
    WeightFormat::Int8 { symmetric: false },
    palette(8, None),
    palette(6, None),
    palette(4, None),
    palette(2, None),
    palette(1, None),
    WeightFormat::Sparse { density: 0.5 },
];

/// What macOS 15 adds.
const NEW: &[WeightFormat] = &[
    palette(3, None),
    palette(8, Some(8)),
    palette(6, Some(8)),
    palette(4, Some(8)),
    palette(3, Some(8)),
    palette(2, Some(8)),
    palette(1, Some(8)),
    WeightFormat::Int4 { block: 32 },
];

const fn palette(bits: u8, group: Option<usize>) -> WeightFormat {
    WeightFormat::Palette { bits, group }
}

/// Every format.
pub fn all() -> Vec<WeightFormat> {
    [OLD, NEW].concat()
}

/// How a format is written: on each system that has it, with forms by turns.
pub fn writings(weights: WeightFormat, turn: usize, min_elements: usize) -> Vec<Options> {
    let new_only = NEW.contains(&weights);
    let targets = [Target::MacOs14, Target::MacOs15];
    let targets = targets.into_iter().filter(|target| !new_only || *target == Target::MacOs15);
    let written = |target| {
        let attention = match (turn % 3, target) {
            (0, Target::MacOs15) => Attention::Sdpa,
            (0 | 1, _) => Attention::MatMul,
            _ => Attention::SplitEinsum,
        };
        let group_norm = [GroupNorm::LayerNorm, GroupNorm::Steps][turn / 3 % 2];
        Options { target, attention, group_norm, weights, min_elements }
    };
    targets.map(written).collect()
}

/// What laterna computes in f32: with the weights as they are for half precision,
/// else with those that the package stores.
pub fn expected(
    graph: &Graph,
    weights: &dyn WeightSource,
    options: &Options,
    inputs: &[Tensor],
) -> Vec<Tensor> {
    if options.weights == WeightFormat::Fp16 {
        return reference::run(graph, weights, inputs).unwrap();
    }
    let stored = as_stored(graph, weights, options).unwrap();
    reference::run(&stored, weights, inputs).unwrap()
}
