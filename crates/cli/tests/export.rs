//! `laterna export`: the packages of the built-in model and of a fixture. What
//! is in them is tested in `laterna-coreml`.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{arg, entries, model, refuse, succeed};
use serde_json::Value;

/// Exports and gives the packages as `--json` tells them.
fn export(folder: &Path, more: &[&str]) -> Vec<Value> {
    let output = arg(folder);
    let mut arguments = vec!["export", "--json", "--quiet", "--output", output];
    arguments.extend(more);
    let told: Value = serde_json::from_str(&succeed(&arguments)).unwrap();
    told["packages"].as_array().unwrap().clone()
}

fn names(parameters: &Value) -> Vec<&str> {
    parameters.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect()
}

#[test]
fn each_network_is_a_package() {
    let folder = tempfile::tempdir().unwrap();
    let packages = export(&folder.path().join("new"), &["--size", "64x32", "--weights", "int8"]);
    let found: BTreeSet<_> = entries(&folder.path().join("new")).into_iter().collect();
    let expected = ["vae_encoder", "unet", "vae_decoder", "text_encoder"];
    assert_eq!(found, expected.map(|name| format!("{name}.mlpackage")).into());
    let unet = &packages[1]["functions"][0];
    assert_eq!(names(&unet["inputs"]), ["sample", "timestep", "encoder_hidden_states"]);
    assert_eq!(names(&unet["outputs"]), ["out_sample"]);
    assert!(packages[1]["weights_in_format"].as_u64().unwrap() > 1_000_000);
}

#[test]
fn a_frame_takes_pictures_and_the_prompts_keys() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--parts", "frame", "--images", "--size", "64", "--strength", "0.6"];
    let packages = export(folder.path(), &more);
    let [frame, prompt] = [0, 1].map(|i| &packages[i]["functions"][0]);
    let inputs = names(&frame["inputs"]);
    assert_eq!(inputs[..5], ["image", "noise", "previous", "keep", "feedback"]);
    assert_eq!(inputs[5..], names(&prompt["outputs"])[..]);
    assert!(inputs.len() > 5, "the prompt's keys and values");
    assert_eq!(names(&prompt["inputs"]), ["encoder_hidden_states"]);
    assert_eq!(names(&frame["outputs"]), ["image_out", "latent"]);
    assert_eq!(frame["inputs"][0]["image"], true);
    assert_eq!(frame["outputs"][0]["image"], true);
}

#[test]
fn several_sizes_share_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder_of_model = model("tiny-sdxs");
    let model = arg(&folder_of_model);
    let sized = |sizes| {
        let more = ["--model", model, "--size", sizes, "--macos", "15"];
        export(&folder.path().join(sizes), &more)
    };
    let (one, two) = (sized("64"), sized("64,128x64"));
    assert_eq!(one[1]["weight_bytes"], two[1]["weight_bytes"]);
    let functions = two[1]["functions"].as_array().unwrap();
    let functions: Vec<_> = functions.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(functions, ["size_64x64", "size_128x64"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = arg(folder.path());
    let refused = |more: &[&str], parts: &[&str]| {
        let mut arguments = vec!["export", "--output", output];
        arguments.extend(more);
        refuse(&arguments, parts);
    };
    refused(&["--attention", "sdpa"], &["cannot write", "only from macOS 15 on", "hint: "]);
    refused(&["--weights", "int4"], &["4-bit integers: only from macOS 15 on"]);
    refused(&["--size", "64,128"], &["several functions: only from macOS 15 on"]);
    refused(&["--size", "63"], &["multiples of"]);
    refused(&["--group", "8"], &["only palettes have groups"]);
    refused(&["--parts", "frame", "--strength", "0"], &["cannot use --strength"]);
    assert!(entries(folder.path()).is_empty());
}
