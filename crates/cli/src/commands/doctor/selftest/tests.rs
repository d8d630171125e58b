//! The selftest's own test: on a device that stands in for Core ML everything
//! passes, on one that computes wrongly what it computes fails, and the list of
//! checks is the documentation's.
#![cfg(unix)]

#[allow(dead_code, reason = "the backend's tests use the rest")]
#[path = "../../../../../coreml/tests/backend/standin.rs"]
mod standin;

use std::process::Command;
use std::sync::Arc;

use laterna_coreml::run::{ComputeUnits, Prober};
use laterna_diffusion::session::Size;
use laterna_pipeline::blend::planes_to_rgb;
use laterna_pipeline::port::Aim;
use laterna_pipeline::prepare::Prepare;
use laterna_pipeline::{self as pipeline, Image};
use laterna_tensor::Surface;

use super::checks::CHECKS;
use super::report::{self, Machine};
use super::subject::Subject;
use standin::StandIn;

/// A picture that was taken, and the same made smaller, in memory that the device that
/// stands in reads.
fn camera(aim: Aim) -> Result<[Image; 2], String> {
    let mut taken = Image::new(pipeline::Size::new(60, 50));
    taken.rgb_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = (i / 37) as u8);
    let mut planes = vec![0.0; 3 * aim.size.area()];
    Prepare::default().run(&taken, aim.fit.into(), aim.size, &mut planes);
    let mut shared = Image::new(aim.size);
    planes_to_rgb(&planes, shared.rgb_mut());
    Prepare::default().run(&shared, aim.fit.into(), aim.size, &mut planes);
    shared.set_surface(Surface::new(planes));
    Ok([shared, taken])
}

/// Runs the selftest on a device; gives the report as JSON.
fn selftest(device: StandIn) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let device = Arc::new(device);
    let prober = || -> Option<Box<Prober>> { Some(Box::new(|_, _, _| Command::new("true"))) };
    let subject = Subject {
        device: device.clone(),
        units: ComputeUnits::default(),
        folder: folder.path().to_owned(),
        prober: &prober,
        told: &|entry, weights, written| device.told(entry, weights, written),
        camera: &camera,
        size: Some(Size { width: 32, height: 32 }),
    };
    let lines = report::run(&subject, &|_| ());
    let machine = Machine {
        model: "Mac0,0".to_owned(),
        cpu: "none".to_owned(),
        system: "15.0 (24A1)".to_owned(),
    };
    let text = report::text(&machine, &subject, &lines);
    assert_eq!(text.lines().count(), CHECKS.len() + 2, "{text}");
    assert!(text.starts_with("laterna ") && text.contains("on Mac0,0 (none), macOS 15.0 (24A1)"));
    report::json(&machine, &subject, &lines)
}

/// The checks in a state, each with what is told of it.
fn in_state<'r>(report: &'r serde_json::Value, state: &str) -> Vec<(&'r str, &'r str)> {
    let checks = report["checks"].as_array().unwrap().iter();
    let in_state = checks.filter(|check| check["state"] == state);
    in_state.map(|c| (c["name"].as_str().unwrap(), c["told"].as_str().unwrap())).collect()
}

#[test]
fn everything_passes_on_a_device_that_is_right() {
    let report = selftest(StandIn::default());
    assert_eq!(in_state(&report, "FAILED"), []);
    assert_eq!(in_state(&report, "skipped"), []);
    assert_eq!(report["failed"], 0);
}

/// A twentieth too much is seen wherever numbers are compared.
#[test]
fn a_device_that_is_wrong_is_found_out() {
    let report = selftest(StandIn { error: 0.05, ..StandIn::default() });
    let passed: Vec<_> = in_state(&report, "passed").into_iter().map(|(name, _)| name).collect();
    let without_numbers = [
        "a model is compiled, tried in a child process and loaded",
        "a compiled model is found again",
        "where operations run",
        "a camera's picture, cropped and scaled",
    ];
    assert_eq!(passed, without_numbers);
}

#[test]
fn a_device_that_refuses_is_quoted() {
    let report = selftest(StandIn { refuses: true, ..StandIn::default() });
    let failed = in_state(&report, "FAILED");
    // The camera's picture takes no package.
    assert_eq!(failed.len(), CHECKS.len() - 1);
    let quoted = failed.iter().filter(|(_, told)| told.contains("no package is good enough"));
    assert!(quoted.count() >= CHECKS.len() - 2, "{failed:?}");
}

#[test]
fn an_old_system_skips_what_it_lacks() {
    let report = selftest(StandIn { old: true, ..StandIn::default() });
    assert_eq!(in_state(&report, "FAILED"), []);
    let skipped = in_state(&report, "skipped");
    assert_eq!(skipped.len(), 5, "{skipped:?}");
    assert!(skipped.iter().all(|(_, why)| *why == "needs macOS 15"));
}

#[test]
fn the_documentation_lists_the_checks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/coreml.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once("## What a Mac must still prove").unwrap();
    let list = list.split("\n## ").next().unwrap();
    let listed = list.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
    let checked = CHECKS.iter().map(|check| check.name);
    assert!(listed.eq(checked), "{list}");
}
