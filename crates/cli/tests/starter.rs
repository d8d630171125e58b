//! The built-in model: it is there wherever the command is started, gives the
//! pictures that PyTorch gives, and its options do what they say.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{arg, fixtures, laterna, refuse, succeed, tensors, text};
use laterna_quality::psnr;
use serde_json::Value;
use tempfile::TempDir;

/// Between the 8-bit pictures, in dB.
const MIN_PSNR: f64 = 50.0;

/// A folder for outputs, and the picture that is repainted.
struct Studio {
    folder: TempDir,
    scene: PathBuf,
}

impl Studio {
    fn new() -> Self {
        let scene = fixtures().join("pictures/scene.png");
        Self { folder: tempfile::tempdir().unwrap(), scene }
    }

    /// The arguments that write `name` in little time.
    fn arguments<'a>(&'a self, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["image", "--input", arg(&self.scene), "--output", arg(output)];
        let usual = [("--prompt", "oil painting"), ("--size", "64x64")];
        all.extend(
            usual.iter().filter(|(name, _)| !more.contains(name)).flat_map(|&(a, b)| [a, b]),
        );
        all.extend(more);
        all
    }

    /// The picture's file.
    fn paint(&self, more: &[&str]) -> Vec<u8> {
        let output = self.folder.path().join("out.png");
        succeed(&self.arguments(&output, more));
        std::fs::read(output).unwrap()
    }
}

fn pixels(path: &Path) -> Vec<f32> {
    let picture = image::open(path).unwrap().into_rgb8();
    picture.into_raw().into_iter().map(|byte| f32::from(byte) / 255.0).collect()
}

fn assert_all_differ(pictures: &[Vec<u8>]) {
    for (i, picture) in pictures.iter().enumerate() {
        assert!(!pictures[..i].contains(picture), "picture {i} is one of those before it");
    }
}

#[test]
fn pictures_are_those_of_pytorch() {
    let (folder, studio) = (fixtures().join("starter"), Studio::new());
    let cases = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let cases = cases["cases"].as_object().unwrap();
    let path = |name: &str| studio.folder.path().join(name);
    let (noise, output) = (path("noise.safetensors"), path("out.png"));
    for (name, case) in cases {
        let all = tensors(&folder.join(format!("{name}.safetensors")));
        let given = all.iter().find(|(name, _)| name == "noise").unwrap();
        laterna_weights::write_safetensors(&noise, &[("noise", given.1.view())]).unwrap();
        let input = folder.join(case["input"].as_str().unwrap());
        let size = format!("{}x{}", case["width"], case["height"]);
        let strength = case["strength"].to_string();
        let picture =
            ["image", "--input", arg(&input), "--prompt", case["prompt"].as_str().unwrap()];
        let options = ["--strength", &strength, "--size", &size, "--noise", arg(&noise)];
        succeed(&[&picture[..], &options, &["--output", arg(&output)]].concat());
        let expected = pixels(&folder.join(format!("{name}.png")));
        let found = psnr(&pixels(&output), &expected, 1.0).unwrap();
        assert!(found >= MIN_PSNR, "{name}: {found:.1} dB");
    }
    assert!(cases.len() >= 2, "only {} cases", cases.len());
}

/// Between pictures by different ways of computing convolutions, in dB.
const MIN_PSNR_OF_WAYS: f64 = 60.0;

#[test]
fn ways_of_computing_convolutions_agree() {
    let studio = Studio::new();
    let paint = |way: &str| {
        let output = studio.folder.path().join(format!("{way}.png"));
        succeed(&studio.arguments(&output, &["--convolutions", way]));
        pixels(&output)
    };
    let direct = paint("direct");
    for way in ["auto", "winograd2", "winograd4"] {
        // Equal pictures have no PSNR.
        let found = psnr(&paint(way), &direct, 1.0).unwrap_or(f64::INFINITY);
        assert!(found >= MIN_PSNR_OF_WAYS, "{way}: {found:.1} dB");
    }
}

/// Between a picture whose operands are rounded and the same in f32, in dB.
const MIN_PSNR_OF_ROUNDED: f64 = 40.0;

#[test]
fn rounding_paints_nearly_the_same_picture() {
    let studio = Studio::new();
    // All convolutions direct, so that what is rounded does not depend on the CPU.
    let paint = |precision: &str| {
        let output = studio.folder.path().join(format!("{precision}.png"));
        let how = ["--convolutions", "direct", "--precision", precision];
        succeed(&studio.arguments(&output, &how));
        pixels(&output)
    };
    let exact = paint("f32");
    for precision in ["bf16", "int8"] {
        let found = psnr(&paint(precision), &exact, 1.0).expect("rounding changes a picture");
        assert!(found >= MIN_PSNR_OF_ROUNDED, "{precision}: {found:.1} dB");
        let shown = succeed(&["inspect", "--kernels", "unet", "--precision", precision]);
        assert!(shown.contains(&format!("gemm.{precision}")), "{shown}");
    }
    let refused = laterna(&["inspect", "--precision", "fp8"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("f32, bf16, int8"), "{}", text(&refused.stderr));
}

#[test]
fn a_precision_is_chosen_told_and_remembered() {
    let studio = Studio::new();
    let cache = tempfile::tempdir().unwrap();
    let paint = || {
        let output = Command::new(env!("CARGO_BIN_EXE_laterna"))
            .args(
                studio.arguments(&studio.folder.path().join("auto.png"), &["--precision", "auto"]),
            )
            .env("XDG_CACHE_HOME", cache.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told = text(&output.stderr);
        let line = told.lines().find(|line| line.starts_with("precision "));
        line.unwrap_or_else(|| panic!("it says what it chose: {told}")).to_owned()
    };
    let first = paint();
    let known = ["precision f32:", "precision bf16:", "precision int8:"];
    assert!(known.iter().any(|start| first.starts_with(start)), "{first}");
    let file = cache.path().join("laterna/precision.json");
    let remembered = std::fs::read_to_string(&file).unwrap();
    assert_eq!(paint(), first);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), remembered);
    // What cannot be read is made anew.
    std::fs::write(&file, "not JSON").unwrap();
    assert_eq!(paint(), first);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), remembered);

    let refused = laterna(&["inspect", "--kernels", "unet", "--precision", "auto"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("hint: name f32"), "{}", text(&refused.stderr));
}

#[test]
fn what_is_measured_of_convolutions_is_told_and_remembered() {
    let cache = tempfile::tempdir().unwrap();
    let kernels = || {
        let output = Command::new(env!("CARGO_BIN_EXE_laterna"))
            .args(["inspect", "--kernels", "unet", "--size", "64", "--verbose"])
            .args(["--convolutions", "measured"])
            .env("XDG_CACHE_HOME", cache.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (chosen, told) = kernels();
    assert!(told.contains("measured: ") && chosen.contains("conv3x3."), "{chosen}{told}");
    let (again, told) = kernels();
    assert!(!told.contains("measured: "), "{told}");
    assert_eq!(again, chosen);
    // What is remembered is shown, whoever wrote it.
    let file = cache.path().join("laterna/convolutions.json");
    let mut remembered: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(remembered.keys().all(|what| what.contains(" f32 ") && what.contains(" to ")));
    remembered.values_mut().for_each(|way| *way = "winograd2".to_owned());
    std::fs::write(&file, serde_json::to_vec(&remembered).unwrap()).unwrap();
    let (pinned, _) = kernels();
    assert!(pinned.contains("conv3x3.winograd2") && !pinned.contains("winograd4."), "{pinned}");
}

#[test]
fn a_way_of_computing_convolutions_is_told_and_kept() {
    let kernels = |way: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_laterna"))
            .args(["inspect", "--kernels", "unet"])
            .env("LATERNA_CONVOLUTIONS", way)
            .output()
            .unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    for way in ["winograd2", "winograd4"] {
        let (_, shown) = kernels(way);
        assert!(shown.contains(&format!("conv3x3.{way}")), "{shown}");
    }
    let (_, direct) = kernels("direct");
    assert!(direct.contains("conv3x3.indirect") && !direct.contains("winograd"), "{direct}");
    let (worked, why) = kernels("fft");
    assert!(!worked && why.contains("hint: unset LATERNA_CONVOLUTIONS"), "{why}");
    let shown = succeed(&["inspect", "--kernels", "unet", "--convolutions", "winograd2"]);
    assert!(shown.contains("conv3x3.winograd2") && !shown.contains("winograd4"), "{shown}");
    let refused = laterna(&["inspect", "--convolutions", "fft"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("winograd4"), "{}", text(&refused.stderr));
}

#[test]
fn the_command_carries_its_model() {
    let studio = Studio::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let command = elsewhere.path().join(format!("laterna{}", std::env::consts::EXE_SUFFIX));
    std::fs::copy(env!("CARGO_BIN_EXE_laterna"), &command).unwrap();
    let output = elsewhere.path().join("out.png");
    // A folder of the model's name does not stand in for it.
    std::fs::create_dir(elsewhere.path().join("starter")).unwrap();
    let arguments = studio.arguments(Path::new("out.png"), &[]);
    let run = Command::new(&command)
        .args(&arguments)
        .current_dir(elsewhere.path())
        .env_clear()
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert_eq!(std::fs::read(output).unwrap(), studio.paint(&["--model", "starter"]));
}

#[test]
fn the_strength_is_a_scale_with_a_single_step() {
    let studio = Studio::new();
    let strengths: Vec<_> = (1..=10).map(|tenth| format!("{}", f64::from(tenth) / 10.0)).collect();
    let pictures: Vec<_> = strengths.iter().map(|s| studio.paint(&["--strength", s])).collect();
    assert_all_differ(&pictures);
    assert_eq!(pictures[7], studio.paint(&[]), "0.8 is the preset's strength");
}

#[test]
fn the_strength_is_a_scale_of_other_models_too() {
    let (studio, sdxs) = (Studio::new(), common::model("tiny-sdxs"));
    let paint = |s| {
        studio.paint(&["--model", arg(&sdxs), "--steps", "1", "--guidance", "1", "--strength", s])
    };
    assert_all_differ(&["0.2", "0.5", "0.9", "1"].map(paint));
}

#[test]
fn at_strength_0_the_picture_is_the_input() {
    let studio = Studio::new();
    studio.paint(&["--strength", "0", "--size", "48x40"]);
    assert_eq!(pixels(&studio.folder.path().join("out.png")), pixels(&studio.scene));
}

#[test]
fn strengths_outside_the_scale_are_refused() {
    let studio = Studio::new();
    let output = studio.folder.path().join("out.png");
    for strength in ["1.5", "-0.5", "nan"] {
        let arguments = studio.arguments(&output, &["--strength", strength]);
        refuse(&arguments, &["strength", "not between 0 and 1"]);
    }
}

#[test]
fn schedulers_agree_on_the_single_step() {
    let studio = Studio::new();
    let euler = studio.folder.path().join("euler.png");
    succeed(&studio.arguments(&euler, &["--scheduler", "euler"]));
    let other = studio.folder.path().join("other.png");
    // DDIM clips the latent by default, so that its picture is another one.
    succeed(&studio.arguments(&other, &["--scheduler", "ddim"]));
    for scheduler in ["euler-a", "dpm++2m", "lcm"] {
        succeed(&studio.arguments(&other, &["--scheduler", scheduler]));
        let found = psnr(&pixels(&other), &pixels(&euler), 1.0).unwrap();
        assert!(found >= MIN_PSNR, "{scheduler}: {found:.1} dB");
    }
}

#[test]
fn any_text_is_a_prompt() {
    let studio = Studio::new();
    let long = "a painting of the sea ".repeat(500);
    let prompts = [
        "",
        "🎨🖌️ oil",
        "水彩画，粗墨线",
        "\u{1}\u{7f}\u{200b}\u{feff}\t\n",
        "<|endoftext|>",
        &long,
    ];
    for prompt in prompts {
        studio.paint(&["--prompt", prompt]);
    }
}

#[test]
fn the_prompt_changes_the_picture() {
    let studio = Studio::new();
    let prompts = ["", "oil painting", "watercolour with bold ink outlines"];
    assert_all_differ(&prompts.map(|prompt| studio.paint(&["--prompt", prompt])));
}

#[test]
fn sizes_are_multiples_of_the_latents_factor() {
    let studio = Studio::new();
    for size in ["256", "384x256", "100x60", "4x4"] {
        studio.paint(&["--size", size]);
        let (width, height) = size.split_once('x').unwrap_or((size, size));
        let found = image::image_dimensions(studio.folder.path().join("out.png")).unwrap();
        assert_eq!(found, (width.parse().unwrap(), height.parse().unwrap()));
    }
    let output = studio.folder.path().join("out.png");
    let arguments = studio.arguments(&output, &["--size", "250x256"]);
    refuse(&arguments, &["250x256", "multiples of 4", "248x256", "252x256"]);
}

#[test]
fn the_seed_decides_the_picture() {
    let studio = Studio::new();
    let pictures = ["0", "1", "2"].map(|seed| studio.paint(&["--seed", seed]));
    assert_all_differ(&pictures);
    assert_eq!(studio.paint(&["--seed", "1"]), pictures[1]);
}

#[test]
fn a_picture_is_asked_for() {
    refuse(&["image", "--prompt", "oil", "--output", "a.png"], &["edits pictures", "--input"]);
}

#[test]
fn every_command_uses_it_unless_told_otherwise() {
    assert_eq!(succeed(&["inspect"]), succeed(&["inspect", "starter"]));
    let kernels = laterna(&["inspect", "--kernels", "unet", "--size", "64"]);
    assert!(kernels.status.success() && kernels.stderr.is_empty(), "{}", text(&kernels.stderr));
    refuse(&["fetch", "starter"], &["it is built into laterna"]);
    assert!(succeed(&["doctor"]).contains("built in           starter, "));
    let hash = |more: &[&str]| {
        let fixed = ["bench", "--size", "64", "--frames", "1", "--warm-up", "0", "--json"];
        let json: Value = serde_json::from_str(&succeed(&[&fixed[..], more].concat())).unwrap();
        json["output_hash"].as_str().unwrap().to_owned()
    };
    let whole = hash(&[]);
    assert_eq!(whole, hash(&["--strength", "1", "--model", "starter"]));
    assert_ne!(whole, hash(&["--strength", "0.5"]));
}
