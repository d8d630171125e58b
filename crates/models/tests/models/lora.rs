//! Networks with a LoRA merged in, against diffusers with the same file loaded.

use std::path::Path;
use std::sync::Arc;

use crate::common::{Cases, TOLERANCE, config, relative_error, weights};
use laterna_graph::{Graph, reference};
use laterna_models::clip::ClipTextConfig;
use laterna_models::clip::text::{self, Output};
use laterna_models::unet::{self, Extents};
use laterna_models::{UnetConfig, Weights};
use laterna_tensor::Tensor;
use laterna_weights::{Checkpoint, Keys, Lora};

/// The naming schemes; each has a file of its own. Attention processors, the
/// oldest, are those of UNets alone.
const UNET_FILES: [&str; 3] = ["kohya", "diffusers", "legacy"];
const TEXT_FILES: [&str; 2] = ["kohya", "diffusers"];

/// The scale at which diffusers ran.
const SCALE: f32 = 0.7;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lora")
}

fn merged(file: &str, component: &str, keys: Keys) -> Weights {
    let mut weights = weights("tiny-sd15", component, keys);
    let lora = Arc::new(Lora::open(&folder().join(format!("{file}.safetensors"))).unwrap());
    let checkpoint = weights.checkpoint_mut(component).unwrap();
    let report = checkpoint.merge(&lora, component, SCALE).unwrap();
    assert!(report.unmatched.is_empty(), "{file}: {:?}", report.unmatched);
    weights
}

/// Compares with diffusers, and makes sure that the LoRA changed something.
fn check(file: &str, graph: &Graph, plain: &Weights, merged: &Weights, inputs: &[Tensor]) {
    let output = &graph.outputs()[0].0;
    let goldens = Checkpoint::open(&folder().join("outputs.safetensors"), Keys::AsStored).unwrap();
    let expected = Tensor::from_raw(&goldens.read(&format!("{file}.{output}")).unwrap());
    let found = reference::run(graph, merged, inputs).unwrap().remove(0);
    let error = relative_error(&found, &expected);
    assert!(error <= TOLERANCE, "{file}: {output}: error {error:e}");
    let without = reference::run(graph, plain, inputs).unwrap().remove(0);
    assert!(relative_error(&without, &expected) > 100.0 * TOLERANCE, "{file}: no effect");
}

#[test]
fn unets_with_a_lora() {
    let config = UnetConfig::parse("config.json", &config("tiny-sd15", "unet")).unwrap();
    let cases = Cases::open("tiny-sd15", "unet");
    let sample = cases.tensor("8x8", "sample");
    let text = cases.tensor("8x8", "encoder_hidden_states");
    let timestep = cases.tensor("8x8", "timestep");
    let timestep = timestep.as_i64().unwrap()[0] as f32;
    let timestep = Tensor::from_f32([1], vec![timestep]).unwrap();
    let extents = Extents { batch: 1, height: 8, width: 8, tokens: text.shape()[1] };
    let graph = unet::graph(&config, extents).unwrap();
    let plain = weights("tiny-sd15", "unet", Keys::AsStored);
    for file in UNET_FILES {
        let merged = merged(file, "unet", Keys::AsStored);
        check(file, &graph, &plain, &merged, &[sample.clone(), timestep.clone(), text.clone()]);
    }
}

#[test]
fn text_encoders_with_a_lora() {
    let config = config("tiny-sd15", "text_encoder");
    let config = ClipTextConfig::parse("config.json", &config).unwrap();
    let ids = Cases::open("tiny-sd15", "text_encoder").tensor("77", "input_ids");
    let &[batch, tokens] = &*ids.shape() else { panic!("input_ids is [batch, tokens]") };
    let outputs = [Output::LastHiddenState];
    let graph = text::graph("text_encoder", &config, batch, tokens, &outputs).unwrap();
    let plain = weights("tiny-sd15", "text_encoder", Keys::ClipText);
    for file in TEXT_FILES {
        let merged = merged(file, "text_encoder", Keys::ClipText);
        check(file, &graph, &plain, &merged, std::slice::from_ref(&ids));
    }
}
