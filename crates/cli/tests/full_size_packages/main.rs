//! SDXS-512-0.9 at full size as Core ML packages: exported as a user does, checked
//! and executed by reference/coreml, and compared with laterna's CPU backend in f32
//! on the same, dequantised weights; each network and the whole frame, for both
//! systems and in every weight format. Times and memory of the exports are
//! recorded with the differences.
//!
//! Needs 14 GB of memory, 8 GB of disk, some hours on two cores, reference/coreml's
//! Python and the model; a checkpoint with random weights will do:
//!
//! ```sh
//! reference/coreml/setup
//! python reference/make_full_size.py sdxs-512-0.9 CHECKPOINT --text-encoder
//! LATERNA_FULL_SIZE_MODEL=CHECKPOINT LATERNA_RECORD=record.json \
//!     cargo test --release -p laterna-cli --test full_size_packages -- --ignored
//! ```
//!
//! `LATERNA_FORMATS=fp16,int8` takes some formats alone; a record that is there is
//! continued.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod checks;
mod formats;
mod networks;
mod record;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use laterna_models::Model;
use laterna_weights::Precision;
use serde_json::{Value, json};

use formats::{Format, System};
use networks::Networks;
use record::Record;

/// Largest error, relative to the largest magnitude of laterna's result.
const TOLERANCE: f64 = 5e-3;

/// Of an export of all parts.
const MOST_SECONDS: f64 = 20.0;
const MOST_BYTES: u64 = 2_500_000_000;

#[test]
#[ignore = "needs a full-size model, reference/coreml's Python and hours"]
fn full_size_packages_compute_what_laterna_does() {
    let folder = PathBuf::from(std::env::var_os("LATERNA_FULL_SIZE_MODEL").expect("its folder"));
    let model = Model::open(&folder, Precision::Full).unwrap();
    let mut record = Record::open();
    let mut wrong = Vec::new();
    for format in formats::chosen() {
        let mut networks = Networks::of(&model, format);
        record.begin(format.name);
        for &system in format.systems() {
            for parts in ["separate", "frame"] {
                let packages = tempfile::tempdir().unwrap();
                let told = export(&folder, format, system, parts, packages.path());
                wrong.extend(over_the_limits(&told));
                let checked = networks.check(parts, packages.path(), &told);
                wrong.extend(checked.iter().filter_map(too_different));
                record.add(told, checked);
            }
        }
    }
    assert!(wrong.is_empty(), "{} fail:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes the packages of a model; gives what `--json` tells, and the time.
fn export(model: &Path, format: &Format, system: System, parts: &str, output: &Path) -> Value {
    let start = Instant::now();
    let told = Command::new(env!("CARGO_BIN_EXE_laterna"))
        .args(["export", "--json", "--quiet", "--size", "512", "--parts", parts, "--model"])
        .arg(model)
        .arg("--output")
        .arg(output)
        .args(["--macos", system.name()])
        .args(format.arguments)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut told: Value = serde_json::from_slice(&told.stdout).unwrap();
    told["seconds"] = json!(start.elapsed().as_secs_f64());
    told["format"] = json!(format.name);
    told["macos"] = json!(system.name());
    told["parts"] = json!(parts);
    told
}

fn over_the_limits(told: &Value) -> Option<String> {
    let (seconds, bytes) = (told["seconds"].as_f64()?, told["peak_bytes"].as_u64()?);
    (seconds > MOST_SECONDS || bytes > MOST_BYTES).then(|| {
        format!("export {} {}: {seconds:.1} s, {bytes} bytes", told["format"], told["parts"])
    })
}

fn too_different(checked: &Value) -> Option<String> {
    let difference = checked["difference"].as_f64().unwrap_or(f64::NAN);
    (difference.is_nan() || difference > TOLERANCE).then(|| checked.to_string())
}
