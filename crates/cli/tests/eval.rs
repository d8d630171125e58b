//! `laterna eval` on every fixture component against PyTorch's outputs.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{arg, copy_folder, entries, fixtures, refuse, succeed, tensors};
use laterna_tensor::{Tensor, TensorView};
use laterna_weights::write_safetensors;

/// Largest max |error| / max |reference| of a component's call.
const TOLERANCE: f32 = 2e-5;

type Named = BTreeMap<String, Tensor>;

/// The cases of an io file: its tensors are named `<case>.<tensor>`.
fn cases(io: &Path) -> BTreeMap<String, Named> {
    let mut cases: BTreeMap<_, Named> = BTreeMap::new();
    for (name, tensor) in tensors(io) {
        let (case, tensor_name) = name.split_once('.').expect("<case>.<tensor>");
        cases.entry(case.to_owned()).or_default().insert(tensor_name.to_owned(), tensor);
    }
    cases
}

fn is_output(component: &str, name: &str) -> bool {
    match component {
        "unet" => name == "out_sample",
        "vae.encode" => name == "latent",
        "vae.decode" => name == "image",
        _ => name != "input_ids",
    }
}

fn write(path: &Path, tensors: &Named) {
    let views: Vec<(&str, TensorView<'_>)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    write_safetensors(path, &views).unwrap();
}

fn error(value: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(value.shape(), expected.shape());
    let (value, expected) = (value.as_f32().unwrap(), expected.as_f32().unwrap());
    let scale = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
    // Not `max`, which would pass over a NaN.
    let worst = |most: f32, e: f32| if e > most || e.is_nan() { e } else { most };
    value.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, worst) / scale
}

/// Runs one case; gives how many outputs were compared.
fn check(model: &Path, component: &str, case: &str, all: &Named, folder: &Path) -> usize {
    let (given, written) = (folder.join("in.safetensors"), folder.join("out.safetensors"));
    let (expected, inputs): (Named, Named) =
        all.clone().into_iter().partition(|(name, _)| is_output(component, name));
    write(&given, &inputs);
    let (model_arg, given, out) = (arg(model), arg(&given), arg(&written));
    succeed(&[
        "eval",
        "--model",
        model_arg,
        "--component",
        component,
        "--inputs",
        given,
        "--outputs",
        out,
    ]);
    let outputs: Named = tensors(&written).into_iter().collect();
    for (name, expected) in &expected {
        let error = error(&outputs[name], expected);
        assert!(error <= TOLERANCE, "{} {component} {case} {name}: {error:e}", model.display());
    }
    expected.len()
}

#[test]
fn every_component_agrees_with_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for model in entries(&fixtures().join("models")) {
        let model = fixtures().join("models").join(model);
        if !model.is_dir() {
            continue;
        }
        for file in entries(&model.join("io")) {
            let component = file.strip_suffix(".safetensors").unwrap();
            for (case, tensors) in cases(&model.join("io").join(&file)) {
                compared += check(&model, component, &case, &tensors, folder.path());
            }
        }
    }
    assert!(compared > 80, "only {compared} outputs were compared");
}

#[test]
fn a_component_alone_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let whole = common::model("tiny-sdxs");
    for (component, part) in
        [("unet", "unet"), ("vae.encode", "vae"), ("text_encoder", "text_encoder")]
    {
        let alone = folder.path().join(component);
        copy_folder(&whole.join(part), &alone.join(part));
        let all = cases(&whole.join("io").join(format!("{component}.safetensors")));
        let (case, tensors) = all.iter().next().unwrap();
        assert!(check(&alone, component, case, tensors, folder.path()) > 0);
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::model("tiny-sdxs");
    let (given, out) =
        (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    let run = |component: &str, inputs: &Named, parts: &[&str]| {
        write(&given, inputs);
        let (model, given, out) = (arg(&model), arg(&given), arg(&out));
        refuse(
            &[
                "eval",
                "--model",
                model,
                "--component",
                component,
                "--inputs",
                given,
                "--outputs",
                out,
            ],
            parts,
        );
        assert!(!Path::new(out).exists());
    };
    let mut unet = cases(&model.join("io/unet.safetensors")).remove("8x8").unwrap();
    unet.remove("out_sample");
    let with = |name: &str, tensor: Option<Tensor>| {
        let mut changed = unet.clone();
        changed.remove(name);
        changed.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        changed
    };
    run("unet", &with("sample", None), &["in.safetensors", "sample", "no such tensor"]);
    run("unet", &with("sample", Some(Tensor::zeros([1, 5, 8, 8]))), &["sample", "[1, 5, 8, 8]"]);
    run("unet", &with("sample", Some(Tensor::zeros([8, 8]))), &["sample", "[8, 8]"]);
    run("unet", &with("sample", Some(Tensor::zeros([0, 4, 8, 8]))), &["sample", "no elements"]);
    run("unet", &with("timestep", Some(Tensor::zeros([3]))), &["timestep"]);
    let image = Named::from([("image".to_owned(), Tensor::zeros([1, 3, 20, 16]))]);
    run("vae.encode", &image, &["20x16", "multiples of 8", "would work"]);
    let ids = Tensor::from_i64([1, 3], vec![0, -1, 5]).unwrap();
    run("text_encoder", &Named::from([("input_ids".to_owned(), ids)]), &["-1"]);
    let ids = Named::from([("input_ids".to_owned(), Tensor::zeros([1, 3]))]);
    run("text_encoder", &ids, &["input_ids", "i64"]);
}
