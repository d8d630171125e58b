//! A package checked and run by reference/coreml, and how far its results are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use laterna_quality::max_relative_error;
use laterna_tensor::Tensor;
use laterna_weights::{MappedFile, write_safetensors};
use serde_json::{Value, json};

use crate::networks::Tensors;

/// reference/coreml.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/coreml")
}

/// The interpreter with coremltools.
pub fn python() -> PathBuf {
    let own = folder().join(".venv/bin/python");
    std::env::var_os("LATERNA_COREML_PYTHON").map_or(own, PathBuf::from)
}

/// Runs a package; gives its row of the record and its outputs. A package that
/// fails a check has no difference in its row, but what was said.
pub fn run(package: &Path, given: &Tensors, expected: &Tensors, told: &Value) -> (Value, Tensors) {
    let mut row = described(package, told);
    let start = Instant::now();
    match executed(package, given) {
        Ok(found) => {
            row["difference"] = json!(difference(expected, &found));
            row["check_seconds"] = json!(start.elapsed().as_secs_f64());
            eprintln!("{row}");
            (row, found)
        }
        Err(said) => {
            row["failed"] = json!(said);
            (row, Tensors::new())
        }
    }
}

/// What the export told of a package.
fn described(package: &Path, told: &Value) -> Value {
    let packages = told["packages"].as_array().unwrap();
    let of = |row: &&Value| Path::new(row["path"].as_str().unwrap()) == package;
    let row = packages.iter().find(of).unwrap();
    json!({
        "format": told["format"],
        "macos": told["macos"],
        "package": package.file_stem().unwrap().to_str(),
        "operations": row["functions"][0]["operations"],
        "program_bytes": row["program_bytes"],
        "weight_bytes": row["weight_bytes"],
        "weights_in_format": row["weights_in_format"],
    })
}

/// Types, lint and execution.
fn executed(package: &Path, given: &Tensors) -> Result<Tensors, String> {
    let files = tempfile::tempdir().unwrap();
    let [inputs, outputs] = ["inputs", "outputs"].map(|name| files.path().join(name));
    let views: Vec<_> = given.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    write_safetensors(&inputs, &views).unwrap();
    let mut command = Command::new(python());
    command.args(["-W", "ignore"]).arg(folder().join("verify.py")).arg(package);
    let said = command.arg("--inputs").arg(&inputs).arg("--outputs").arg(&outputs).output();
    let said = said.unwrap();
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned());
    }
    let file = MappedFile::open(&outputs).unwrap();
    let read = |name: &String| Tensor::from_raw(&file.read(name).unwrap());
    Ok(file.header().tensors().keys().map(|name| (name.clone(), read(name))).collect())
}

/// The largest of all outputs, relative to each one's largest magnitude.
fn difference(expected: &Tensors, found: &Tensors) -> f64 {
    let of = |(name, expected): (&String, &Tensor)| {
        let found = found.get(&called(name)).or_else(|| found.get(&format!("{name}_out")));
        relative(expected, found.unwrap_or_else(|| panic!("no output {name}")))
    };
    expected.iter().map(of).fold(0.0, |a, b| if a.is_nan() || a > b { a } else { b })
}

/// The graph's `name` as an identifier of a package, which puts `_out` behind an
/// output that is called like an input.
fn called(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn relative(expected: &Tensor, found: &Tensor) -> f64 {
    assert_eq!(expected.shape(), found.shape());
    max_relative_error(found.as_f32().unwrap(), expected.as_f32().unwrap()).unwrap()
}

/// Whole numbers as fractions: the checker's files hold nothing else.
pub fn as_f32(x: &Tensor) -> Tensor {
    match x.as_i64() {
        Ok(ids) => Tensor::from_f32(x.shape(), ids.iter().map(|&v| v as f32).collect()).unwrap(),
        Err(_) => x.clone(),
    }
}
