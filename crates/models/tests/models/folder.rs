//! Models opened from their folders, whole, in part and broken.

use std::fs;
use std::path::Path;

use crate::common::model;
use laterna_graph::Graph;
use laterna_models::clip::text::{self, Output};
use laterna_models::folder::{CheckError, check_weights, non_finite_weights};
use laterna_models::unet::{self, Extents};
use laterna_models::{Model, PipelineKind, VaeConfig, vae};
use laterna_tensor::Tensor;
use laterna_weights::{Checkpoint, Keys, Precision, write_safetensors};
use tempfile::TempDir;

fn open(root: &Path) -> Model {
    Model::open(root, Precision::Full).unwrap()
}

/// Every graph of a model at some small size.
fn graphs(model: &Model, components: &[&str]) -> Vec<Graph> {
    let mut graphs = Vec::new();
    for &component in components {
        match component {
            "unet" => {
                let extents = Extents { batch: 1, height: 8, width: 8, tokens: 5 };
                graphs.push(unet::graph(&model.unet().unwrap(), extents).unwrap());
            }
            "vae" => {
                let config = model.vae().unwrap();
                graphs.push(vae::encode_graph(&config, 1, 32, 32).unwrap());
                graphs.push(vae::decode_graph(&config, 1, 4, 4).unwrap());
            }
            text_encoder => {
                let encoder = model.text_encoder(text_encoder).unwrap();
                let output =
                    if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
                let config = &encoder.config;
                graphs.push(text::graph(text_encoder, config, 1, 7, &[output]).unwrap());
            }
        }
    }
    graphs
}

fn components(model: &Model) -> Vec<&'static str> {
    let all = ["unet", "vae", "text_encoder", "text_encoder_2"];
    all.into_iter().filter(|component| model.has(component)).collect()
}

#[test]
fn every_weight_of_every_fixture_is_read_and_no_other() {
    let root = model("");
    let mut opened = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let model = open(&folder);
        let components = components(&model);
        let weights = model.weights(&components).unwrap();
        let graphs = graphs(&model, &components);
        let extra = check_weights(&graphs.iter().collect::<Vec<_>>(), &weights).unwrap();
        assert_eq!(extra, Vec::<String>::new(), "{}", folder.display());
        assert_eq!(non_finite_weights(&weights), Vec::<String>::new());
        opened += 1;
    }
    assert!(opened >= 12);
}

#[test]
fn pipelines_are_told_apart() {
    for (name, expected) in [
        ("tiny-sdxs", PipelineKind::StableDiffusion),
        ("tiny-sdxl", PipelineKind::StableDiffusionXl),
        ("tiny-ip2p", PipelineKind::InstructPix2Pix),
    ] {
        assert_eq!(open(&model(name)).index().unwrap().pipeline, expected, "{name}");
    }
}

#[test]
fn tokenizers_are_found() {
    let model = open(&model("tiny-sdxl"));
    for component in ["tokenizer", "tokenizer_2"] {
        assert_eq!(model.tokenizer(component).unwrap().max_length(), 77);
    }
}

/// A copy of one fixture's `vae` folder, alone in a root, its files changed.
fn lone_vae(name: &str, edit: impl Fn(&str) -> String) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("vae");
    fs::create_dir(&folder).unwrap();
    let from = model(name).join("vae");
    let config = fs::read_to_string(from.join("config.json")).unwrap();
    fs::write(folder.join("config.json"), edit(&config)).unwrap();
    let weights = "diffusion_pytorch_model.safetensors";
    fs::copy(from.join(weights), folder.join(weights)).unwrap();
    root
}

#[test]
fn a_component_may_stand_alone() {
    let root = lone_vae("tiny-sd15", str::to_owned);
    for folder in [root.path().to_owned(), root.path().join("vae")] {
        let model = open(&folder);
        assert!(model.index().is_none());
        assert!(matches!(model.vae().unwrap(), VaeConfig::Kl(_)));
        let graphs = graphs(&model, &["vae"]);
        let weights = model.weights(&["vae"]).unwrap();
        check_weights(&graphs.iter().collect::<Vec<_>>(), &weights).unwrap();
    }
}

#[test]
fn errors_name_file_and_field() {
    for (from, to, expected) in [
        ("\"AutoencoderKL\"", "\"AutoencoderDC\"", "class \"AutoencoderDC\" is not supported"),
        ("\"act_fn\"", "\"act\"", "config.json: act: unknown field"),
        ("\"latents_std\": null", "\"latents_std\": [1]", "config.json: latents_std: [1] is not"),
        ("{", "[", "config.json: not a JSON object"),
    ] {
        let root = lone_vae("tiny-sd15", |config| config.replacen(from, to, 1));
        let config = root.path().join("vae/config.json");
        let error = match open(root.path()).vae() {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{expected}"),
        };
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with(&config.parent().unwrap().display().to_string()), "{error}");
    }
    let missing = open(&model("tiny-tinysd")).vae().unwrap_err().to_string();
    assert!(missing.contains("no component `vae`"), "{missing}");
}

/// The weights of a fixture's unet, one of them replaced or dropped.
fn rewritten(name: &str, replaced: &str, with: Option<Tensor>) -> (TempDir, Model) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("unet");
    fs::create_dir(&folder).unwrap();
    let from = model(name).join("unet");
    fs::copy(from.join("config.json"), folder.join("config.json")).unwrap();
    let file = "diffusion_pytorch_model.safetensors";
    let checkpoint = Checkpoint::open(&from.join(file), Keys::AsStored).unwrap();
    let names = checkpoint.names().filter(|name| *name != replaced);
    let read = |name: &str| Tensor::from_raw(&checkpoint.read(name).unwrap());
    let mut tensors: Vec<_> = names.map(|name| (name, read(name))).collect();
    tensors.extend(with.map(|tensor| (replaced, tensor)));
    let views: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor.view())).collect();
    write_safetensors(&folder.join(file), &views).unwrap();
    let model = open(root.path());
    (root, model)
}

#[test]
fn wrong_weights_are_named() {
    let check = |model: &Model| {
        let graphs = graphs(model, &["unet"]);
        check_weights(&graphs.iter().collect::<Vec<_>>(), &model.weights(&["unet"]).unwrap())
    };
    let (_root, model) = rewritten("tiny-sdxs", "conv_in.bias", None);
    assert_eq!(check(&model), Err(CheckError::Missing(vec!["unet.conv_in.bias".into()])));

    let (_root, model) = rewritten("tiny-sdxs", "conv_in.bias", Some(Tensor::zeros([9])));
    let error = check(&model).unwrap_err().to_string();
    assert_eq!(error, "weight unet.conv_in.bias: [9] in the checkpoint, [8] by the configuration");

    let (_root, model) = rewritten("tiny-sdxs", "extra.weight", Some(Tensor::zeros([2])));
    assert_eq!(check(&model), Ok(vec!["unet.extra.weight".into()]));

    let bad = Tensor::from_f32([8], vec![f32::NAN; 8]).unwrap();
    let (_root, model) = rewritten("tiny-sdxs", "conv_in.bias", Some(bad));
    let weights = model.weights(&["unet"]).unwrap();
    assert_eq!(non_finite_weights(&weights), ["unet.conv_in.bias"]);
}
