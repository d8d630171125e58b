//! What the passes' tests share: a pass must not change what a graph computes.

use laterna_tensor::Tensor;

use super::{Pass, PassError, run};
use crate::graph::{Constant, Graph, Origin, TensorType};
use crate::{CompileOptions, MemoryWeights, dump, reference};

/// Applies passes; the result computes the same within `tolerance` (largest
/// difference over largest value), and is given with its dump before and after.
pub(super) fn rewritten(graph: &Graph, passes: &[Pass], tolerance: f32) -> (Graph, String) {
    let weights = weights(graph);
    let inputs = inputs(graph);
    let after = run(graph, passes, &weights, &CompileOptions::default()).unwrap();
    let expected = reference::run(graph, &weights, &inputs).unwrap();
    let found = reference::run(&after, &weights, &inputs).unwrap();
    for (expected, found) in expected.iter().zip(&found) {
        let error = relative_error(expected, found);
        assert!(error <= tolerance, "{error:e} is above {tolerance:e}\n{}", dump(&after));
    }
    let text = format!("{}\n{}", dump(graph), dump(&after));
    (after, text)
}

/// That a pass finds nothing to do.
pub(super) fn assert_untouched(graph: &Graph, pass: Pass) {
    let patch: Result<_, PassError> = (pass.patch)(graph, &weights(graph));
    assert!(patch.unwrap().is_empty(), "{} edits\n{}", pass.name, dump(graph));
}

/// Numbers for every weight of a graph.
pub(super) fn weights(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (seed, value) in graph.values().iter().enumerate() {
        if let Origin::Constant(Constant::Weight(name)) = &value.origin {
            weights.insert(&**name, &numbers(value.ty, seed as u64 + 1));
        }
    }
    weights
}

fn inputs(graph: &Graph) -> Vec<Tensor> {
    let types = graph.inputs().iter().map(|&id| graph.ty(id));
    types.enumerate().map(|(seed, ty)| numbers(ty, seed as u64 + 1000)).collect()
}

/// Numbers in -1..1 that look random: SplitMix64 (Steele et al. 2014) of the position.
pub(super) fn numbers(ty: TensorType, seed: u64) -> Tensor {
    let data = (0..ty.shape.elements() as u64).map(|i| {
        let mut z = (seed << 32 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    Tensor::from_f32(ty.shape, data.collect()).unwrap()
}

fn relative_error(expected: &Tensor, found: &Tensor) -> f32 {
    let (expected, found) = (expected.as_f32().unwrap(), found.as_f32().unwrap());
    assert_eq!(expected.len(), found.len());
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let difference = expected.iter().zip(found).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    difference / largest
}
