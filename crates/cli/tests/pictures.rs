//! `laterna image` against whole pictures of diffusers' pipelines that used
//! the same noise.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::path::Path;

use common::{arg, fixtures, model, succeed, tensors};
use laterna_quality::psnr;
use serde_json::Value;

/// Between the 8-bit pictures, in dB.
const MIN_PSNR: f64 = 60.0;

/// The names of diffusers' schedulers on the command line.
const SCHEDULERS: &[(&str, &str)] = &[
    ("DDIMScheduler", "ddim"),
    ("EulerDiscreteScheduler", "euler"),
    ("DPMSolverMultistepScheduler", "dpm++2m"),
];

fn read(path: &Path) -> Vec<f32> {
    let picture = image::open(path).unwrap().into_rgb8();
    picture.into_raw().into_iter().map(|byte| f32::from(byte) / 255.0).collect()
}

fn arguments(name: &str, case: &Value, noise: &Path, output: &Path) -> Vec<String> {
    let pictures = fixtures().join("pictures");
    let text = |field: &str| case[field].as_str().map(str::to_owned);
    let number = |field: &str| case[field].as_f64().map(|number| number.to_string());
    let scene = arg(&pictures.join("scene.png")).to_owned();
    let from_picture = !case["strength"].is_null() || name.starts_with("ip2p");
    let scheduler = text("scheduler").map(|class| {
        let row = SCHEDULERS.iter().find(|(known, _)| *known == class).unwrap();
        row.1.to_owned()
    });
    let size = format!("{}x{}", case["width"], case["height"]);
    let options = [
        ("--model", Some(arg(&model(&text("model").unwrap())).to_owned())),
        ("--prompt", text("prompt")),
        ("--negative", text("negative")),
        ("--input", from_picture.then_some(scene)),
        ("--strength", number("strength")),
        ("--steps", number("steps")),
        ("--guidance", number("guidance")),
        ("--image-guidance", number("image_guidance")),
        ("--scheduler", scheduler),
        ("--size", Some(size)),
        ("--noise", Some(arg(noise).to_owned())),
        ("--output", Some(arg(output).to_owned())),
    ];
    let given = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
    ["image".to_owned()].into_iter().chain(given.flatten()).collect()
}

/// The noise as `--noise` takes it. An autoencoder's posterior is sampled only
/// if the case says so.
fn write_noise(fixture: &Path, case: &Value, to: &Path) {
    let all = tensors(fixture);
    let sampled = case["latent"] == "sample";
    let wanted =
        |name: &str| name == "noise" || name == "step_noise" || (name == "vae_noise" && sampled);
    let views: Vec<_> = all
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, tensor)| (name.as_str(), tensor.view()))
        .collect();
    laterna_weights::write_safetensors(to, &views).unwrap();
}

#[test]
fn pictures_are_those_of_diffusers() {
    let pictures = fixtures().join("pictures");
    let cases = std::fs::read_to_string(pictures.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (noise, output) = (folder.path().join("noise.safetensors"), folder.path().join("out.png"));
    let cases = cases["cases"].as_object().unwrap();
    for (name, case) in cases {
        write_noise(&pictures.join(format!("{name}.safetensors")), case, &noise);
        let arguments = arguments(name, case, &noise, &output);
        succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = read(&pictures.join(format!("{name}.png")));
        let found = psnr(&read(&output), &expected, 1.0).unwrap();
        assert!(found >= MIN_PSNR, "{name}: {found:.1} dB");
    }
    assert!(cases.len() >= 10, "only {} cases", cases.len());
}

#[test]
fn a_seed_decides_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let make = |seed: &str, name: &str| {
        let path = folder.path().join(name);
        let model = model("tiny-sdxs");
        succeed(&[
            "image",
            "--model",
            arg(&model),
            "--prompt",
            "a",
            "--size",
            "32x24",
            "--steps",
            "2",
            "--guidance",
            "1",
            "--seed",
            seed,
            "--output",
            arg(&path),
        ]);
        std::fs::read(path).unwrap()
    };
    assert_eq!(make("7", "a.png"), make("7", "b.png"));
    assert_ne!(make("7", "a.png"), make("8", "b.png"));
}
