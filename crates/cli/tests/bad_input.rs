//! Bad input gets one clear line that names the file, tensor or field, exit
//! code 2, and nothing half-written.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{arg, copy_folder, entries, laterna, model, refuse, tensors, text};
use laterna_tensor::{Tensor, TensorView};
use laterna_weights::write_safetensors;
use tempfile::TempDir;

/// A copy of a model that may be broken, and a folder for outputs.
struct Place {
    folder: TempDir,
}

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&model("tiny-sdxs"), &folder.path().join("model"));
        fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("model").join(name)
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// Arguments of a small picture from text.
    fn image(&self, more: &[&str]) -> Vec<String> {
        let (model, output) = (self.file(""), self.output("a.png"));
        let fixed = ["image", "--model", arg(&model), "--prompt", "a", "--steps", "1"];
        let size = if more.contains(&"--size") { [].as_slice() } else { &["--size", "16x16"] };
        let out = if more.contains(&"--output") { vec![] } else { vec!["--output", arg(&output)] };
        let all = fixed.iter().chain(size).chain(more).copied().chain(out);
        all.map(str::to_owned).collect()
    }

    /// Making a picture is refused, and leaves nothing.
    fn refuses(&self, more: &[&str], parts: &[&str]) {
        let arguments = self.image(more);
        refuse(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
        assert_eq!(entries(&self.folder.path().join("out")), Vec::<String>::new());
    }

    /// Replaces the UNet's weights by what `edit` makes of them.
    fn edit_weights(&self, edit: impl FnOnce(&mut Vec<(String, Tensor)>)) {
        let path = self.file(WEIGHTS);
        let mut all = tensors(&path);
        edit(&mut all);
        let views: Vec<(&str, TensorView<'_>)> =
            all.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        write_safetensors(&path, &views).unwrap();
    }

    fn edit_text(&self, file: &str, from: &str, to: &str) {
        let path = self.file(file);
        let old = fs::read_to_string(&path).unwrap();
        assert!(old.contains(from), "{old}");
        fs::write(path, old.replacen(from, to, 1)).unwrap();
    }
}

#[test]
fn damaged_weights_name_the_file() {
    let place = Place::new();
    let path = place.file(WEIGHTS);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    place.refuses(&[], &[WEIGHTS]);
    fs::write(&path, &whole[..5]).unwrap();
    place.refuses(&[], &[WEIGHTS]);
    fs::write(&path, [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat()).unwrap();
    place.refuses(&[], &[WEIGHTS]);
    fs::write(&path, "").unwrap();
    place.refuses(&[], &[WEIGHTS]);
    fs::remove_file(&path).unwrap();
    place.refuses(&[], &["unet", "no safetensors weights"]);
}

#[test]
fn overlapping_tensors_are_refused() {
    let place = Place::new();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 12]].concat();
    fs::write(place.file(WEIGHTS), bytes).unwrap();
    place.refuses(&[], &[WEIGHTS]);
}

#[test]
fn weights_that_do_not_fit_name_the_tensor() {
    let place = Place::new();
    place.edit_weights(|all| all.retain(|(name, _)| name != "conv_in.weight"));
    place.refuses(&[], &["conv_in.weight", WEIGHTS]);

    let place = Place::new();
    place.edit_weights(|all| {
        let found = all.iter_mut().find(|(name, _)| name == "conv_out.bias").unwrap();
        found.1 = Tensor::zeros([7]);
    });
    place.refuses(&[], &["conv_out.bias", "[7]", WEIGHTS]);
}

#[test]
fn odd_weights_are_warned_of() {
    let place = Place::new();
    place.edit_weights(|all| {
        all.push(("left.over".to_owned(), Tensor::zeros([2])));
        let found = all.iter_mut().find(|(name, _)| name == "conv_in.bias").unwrap();
        found.1.as_f32_mut().unwrap()[0] = f32::NAN;
    });
    let arguments = place.image(&[]);
    let output = laterna(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for part in ["warning: ", "left.over", "conv_in.bias: has NaN", WEIGHTS] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert_eq!(entries(&place.folder.path().join("out")), ["a.png"]);
}

#[test]
fn configurations_name_the_field() {
    for (file, from, to, parts) in [
        ("unet/config.json", "{", r#"{"new_feature": 3,"#, ["unet/config.json", "new_feature"]),
        (
            "unet/config.json",
            "CrossAttnDownBlock2D",
            "OddBlock2D",
            ["unet/config.json", "OddBlock2D"],
        ),
        ("vae/config.json", "{", r#"{"act_fn_2": 3,"#, ["vae/config.json", "act_fn_2"]),
        (
            "model_index.json",
            "AutoencoderTiny",
            "AutoencoderDC",
            ["model_index.json", "AutoencoderDC"],
        ),
        (
            "model_index.json",
            "StableDiffusionPipeline",
            "FluxPipeline",
            ["_class_name", "FluxPipeline"],
        ),
        ("scheduler/scheduler_config.json", "{", r#"{"odd": 1,"#, ["scheduler_config.json", "odd"]),
        (
            "scheduler/scheduler_config.json",
            "EulerDiscrete",
            "Odd",
            ["scheduler_config.json", "OddScheduler"],
        ),
        ("unet/config.json", "{", "[", ["unet/config.json", "not a JSON object"]),
        ("tokenizer/vocab.json", "{", "[", ["tokenizer", "vocab.json"]),
    ] {
        let place = Place::new();
        place.edit_text(file, from, to);
        place.refuses(&[], &parts);
    }
}

#[test]
fn broken_pictures_name_the_file() {
    let place = Place::new();
    let picture = place.file("in.png");
    let whole = fs::read(common::fixtures().join("pictures/scene.png")).unwrap();
    for bytes in [&whole[..whole.len() / 2], &whole[..20], b"not a picture", b""] {
        fs::write(&picture, bytes).unwrap();
        place.refuses(&["--input", arg(&picture), "--strength", "1"], &["in.png"]);
    }
    place.refuses(&["--input", "/absent/in.png"], &["/absent/in.png"]);
}

#[test]
fn sizes_that_do_not_fit_name_those_that_do() {
    let place = Place::new();
    place.refuses(&["--size", "20x16"], &["20x16", "multiples of 8", "16x16", "24x16"]);
    place.refuses(&["--size", "4x4"], &["8x8"]);
}

#[test]
fn options_that_do_not_fit_say_why() {
    let place = Place::new();
    place.refuses(&["--scheduler", "odd"], &["odd", "euler-a"]);
    place.refuses(&["--backend", "tpu"], &["tpu", "cpu"]);
    let noise = place.file("noise.safetensors");
    write_safetensors(&noise, &[("noise", Tensor::zeros([1, 4, 3, 3]).view())]).unwrap();
    place.refuses(&["--noise", arg(&noise)], &["noise", "[1, 4, 3, 3]"]);
    let weights = place.file(WEIGHTS);
    place.refuses(&["--lora", arg(&weights)], &[WEIGHTS]);
    place.refuses(&["--lora", "/absent.safetensors:0.5"], &["/absent.safetensors"]);
}

#[test]
fn models_that_are_not_there_are_named() {
    for name in ["no-such-model", "/absent/model", "nobody/nothing"] {
        refuse(&["image", "--model", name, "--prompt", "a", "--output", "a.png"], &[name]);
    }
    let missing =
        ["eval", "--model", "x", "--component", "unet", "--inputs", "x", "--outputs", "x"];
    refuse(&missing, &["x"]);
}

#[test]
fn a_model_without_text_encoder_takes_embeddings() {
    let place = Place::new();
    place.edit_text("model_index.json", "\"CLIPTextModel\"", "null");
    place.refuses(&[], &["no text encoder", "--prompt-embeds"]);

    let (embeds, model) = (place.file("embeds.safetensors"), place.file(""));
    let run = |output: &Path| {
        let fixed = ["image", "--model", arg(&model), "--prompt-embeds", arg(&embeds)];
        let more = ["--steps", "1", "--guidance", "1", "--size", "16x16", "--output", arg(output)];
        laterna(&[&fixed[..], &more].concat())
    };
    write_safetensors(&embeds, &[("prompt_embeds", Tensor::zeros([1, 77, 3]).view())]).unwrap();
    let refused = run(&place.output("a.png"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("[1, 77, 3]"), "{}", text(&refused.stderr));
    write_safetensors(&embeds, &[("prompt_embeds", Tensor::zeros([1, 77, 16]).view())]).unwrap();
    assert!(run(&place.output("a.png")).status.success());
}

#[test]
fn outputs_that_cannot_be_written_leave_nothing() {
    let place = Place::new();
    let absent = place.folder.path().join("absent/a.png");
    place.refuses(&["--output", arg(&absent)], &["absent/a.png", "no folder"]);
    let unknown = place.output("a.gif");
    place.refuses(&["--output", arg(&unknown)], &["a.gif"]);
    place.refuses(&["--output", arg(&place.file("unet"))], &["unet"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_reported() {
    Place::new().refuses(&["--output", "/proc/a.png"], &["/proc/a.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let place = Place::new();
    let full = place.file("full.png");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    place.refuses(&["--output", arg(&full)], &["full.png", "space"]);
    let io = place.file("io/vae.decode.safetensors");
    let case = tensors(&io).into_iter().find(|(name, _)| name.ends_with(".latent")).unwrap();
    let given = place.file("in.safetensors");
    write_safetensors(&given, &[("latent", case.1.view())]).unwrap();
    let model = place.file("");
    let component = ["--component", "vae.decode", "--inputs", arg(&given)];
    let arguments =
        [&["eval", "--model", arg(&model)], &component[..], &["--outputs", "/dev/full"]];
    refuse(&arguments.concat(), &["/dev/full", "space"]);
}

#[test]
fn backends_of_other_systems_are_refused_with_a_way_out() {
    let known = ["--backend cuda", "there is no backend of this name", "only cpu"];
    refuse(&["bench", "--backend", "cuda"], &known);
    if !cfg!(target_os = "macos") {
        let parts = ["--backend coreml", "on macOS alone", "hint: ", "laterna export"];
        refuse(&["bench", "--backend", "coreml"], &parts);
        let image = ["image", "--prompt", "a fox", "--backend", "coreml", "--output", "x.png"];
        refuse(&image, &parts);
        let probe = ["coreml-probe", "x.mlmodelc", "--compute-units", "cpu"];
        let features = ["--input", "x=f16:1x4", "--output", "y=i32:2"];
        refuse(&[&probe[..], &features].concat(), &["x.mlmodelc", "on macOS alone"]);
        let bad = laterna(&[&probe[..], &["--input", "x=f16:0"]].concat());
        assert_eq!(bad.status.code(), Some(2));
        refuse(&["doctor", "--coreml-selftest"], &["on macOS alone", "hint: run this on a Mac"]);
    }
}
