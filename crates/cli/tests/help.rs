//! The help texts, as files under tests/help, and the small print of a command
//! line: versions, quiet runs, closed pipes.

mod common;

use std::fs;
use std::path::Path;

use common::{laterna, succeed, text};

const COMMANDS: &[&str] =
    &["run", "video", "image", "eval", "bench", "inspect", "export", "fetch", "doctor"];

/// Compares with the file; with UPDATE_SNAPSHOTS set, writes it.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, found).expect("the snapshot is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}: run again with UPDATE_SNAPSHOTS=1 if this is wanted");
}

#[test]
fn help_texts_are_as_reviewed() {
    compare("laterna", &succeed(&["--help"]));
    for command in COMMANDS {
        compare(command, &succeed(&[command, "--help"]));
    }
}

#[test]
fn every_command_has_examples() {
    for command in COMMANDS {
        let help = succeed(&[command, "--help"]);
        assert!(help.contains("Examples:\n  laterna "), "{command}");
    }
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(succeed(&["--version"]), concat!("laterna ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn unknown_arguments_are_bad_input() {
    for arguments in
        [&["paint"][..], &["image", "--odd"], &["image", "--size", "x"], &["run", "--fps", "0"]]
    {
        let output = laterna(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn presets_are_inspected_without_weights() {
    let overview = succeed(&["inspect", "sdxs-512-0.9"]);
    let unet = overview.lines().find(|line| line.starts_with("unet ")).unwrap();
    assert!(unet.contains("328,177,284") && unet.ends_with("418.1"), "{unet}");
    let json: serde_json::Value =
        serde_json::from_str(&succeed(&["inspect", "sdxs-512-0.9", "--json"])).unwrap();
    assert_eq!(json["networks"][2]["parameters"], 328_177_284);
}

#[test]
fn graphs_plans_and_kernels_are_shown() {
    let model = common::model("tiny-sdxs");
    let inspect = |more: &[&str]| {
        succeed(&[&["inspect", common::arg(&model), "--size", "32x16"], more].concat())
    };
    assert!(inspect(&["--graph", "vae.encode"]).starts_with("graph vae.encode\n"));
    let passes = inspect(&["--graph", "unet", "--passes"]);
    assert!(passes.contains("# after fold: ") && passes.contains("# after channels_last: "));
    let pass = inspect(&["--graph", "unet", "--pass", "attention"]);
    assert_eq!(pass.matches("# before attention: ").count(), 1);
    assert!(pass.contains("# after attention: "));
    assert!(inspect(&["--plan", "vae.decode"]).contains("\narena "));
    assert!(inspect(&["--kernels", "unet"]).contains("gemm"));
}

#[test]
fn the_bench_hashes_its_output() {
    let model = common::model("tiny-sdxs");
    let bench = || {
        let arguments = ["bench", "--model", common::arg(&model), "--size", "32", "--frames", "2"];
        let json = succeed(&[&arguments[..], &["--json", "--per-layer"]].concat());
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let (first, second) = (bench(), bench());
    assert_eq!(first["output_hash"], second["output_hash"]);
    assert!(first["frame"]["median_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(first["stages"].as_array().unwrap().len(), 4);
    assert!(first["layers"].as_array().unwrap().len() > 50);
}

#[test]
fn the_doctor_says_what_would_be_used() {
    let report = succeed(&["doctor"]);
    assert!(report.contains("default") && report.contains("portable"), "{report}");
    let json: serde_json::Value = serde_json::from_str(&succeed(&["doctor", "--json"])).unwrap();
    assert_eq!(json["models"]["HF_HUB_OFFLINE"], "1");
    let media = &json["media"];
    assert!(media["cameras"].is_array() && media["virtual_cameras"].is_array(), "{media}");
    assert!(report.contains("\n  ffmpeg ") && media["ffmpeg"].is_string(), "{report}");
    let has_none = media["cameras"].as_array().is_some_and(Vec::is_empty);
    assert_eq!(report.contains("no cameras"), has_none, "{report}");
}
