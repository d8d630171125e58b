//! The fixtures: models with random weights, and what PyTorch computes with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use laterna_graph::{Graph, reference};
use laterna_models::Weights;
use laterna_tensor::Tensor;
use laterna_weights::{Checkpoint, Keys, ModelFolder, Precision};

/// Largest error, relative to the largest magnitude of PyTorch's result.
pub const TOLERANCE: f32 = 2e-5;

/// The folder of a model with random weights.
pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name)
}

/// The text of a component's config.json.
pub fn config(name: &str, component: &str) -> String {
    std::fs::read_to_string(model(name).join(component).join("config.json")).unwrap()
}

/// The weights of one component under its name.
pub fn weights(name: &str, component: &str, keys: Keys) -> Weights {
    let folder = ModelFolder::open(&model(name)).unwrap();
    let mut weights = Weights::new();
    weights.insert(component, folder.checkpoint(component, keys, Precision::Full).unwrap());
    weights
}

/// A component's inputs and PyTorch's outputs, case by case.
pub struct Cases {
    io: Checkpoint,
}

impl Cases {
    /// Opens `io/<component>.safetensors`.
    pub fn open(name: &str, component: &str) -> Self {
        let path = model(name).join("io").join(format!("{component}.safetensors"));
        Self { io: Checkpoint::open(&path, Keys::AsStored).unwrap() }
    }

    /// The names of the cases.
    pub fn names(&self) -> BTreeSet<String> {
        let first = |name: &str| name.split('.').next().unwrap().to_owned();
        self.io.names().map(first).collect()
    }

    /// A tensor of a case.
    pub fn tensor(&self, case: &str, name: &str) -> Tensor {
        Tensor::from_raw(&self.io.read(&format!("{case}.{name}")).unwrap())
    }

    /// Runs a graph on a case's inputs, given in the graph's order, and
    /// compares every output that the case has.
    pub fn check(&self, case: &str, graph: &Graph, weights: &Weights, inputs: &[Tensor]) {
        let outputs = reference::run(graph, weights, inputs).unwrap();
        assert!(!outputs.is_empty());
        for ((name, _), found) in graph.outputs().iter().zip(&outputs) {
            let expected = self.tensor(case, name);
            assert_eq!(found.shape(), expected.shape(), "{case}: {name}");
            let error = relative_error(found, &expected);
            assert!(error <= TOLERANCE, "{}: {case}: {name}: error {error:e}", graph.name());
        }
    }
}

/// max |found - expected| / max |expected|
pub fn relative_error(found: &Tensor, expected: &Tensor) -> f32 {
    let (found, expected) = (found.as_f32().unwrap(), expected.as_f32().unwrap());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN must fail, so that it may not disappear in a maximum.
    worst.fold(0.0f32, |m, v| if v > m || v.is_nan() { v } else { m }) / largest
}
