//! The record: what was exported and what was found, a file that grows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::checks;

/// The record that `LATERNA_RECORD` names, or one that is not kept.
pub struct Record {
    file: Option<PathBuf>,
    content: Value,
}

impl Record {
    pub fn open() -> Self {
        let file = std::env::var_os("LATERNA_RECORD").map(PathBuf::from);
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let mut content =
            text.map_or(json!({}), |text| serde_json::from_str(&text).expect("a record"));
        content["what"] = json!(WHAT);
        content["command"] = json!(COMMAND);
        content["versions"] = versions();
        content["cpu"] = json!(cpu());
        content["threads"] = json!(std::thread::available_parallelism().map_or(1, usize::from));
        Self { file, content }
    }

    /// Forgets what an earlier run found of a format.
    pub fn begin(&mut self, format: &str) {
        for list in ["exports", "packages"] {
            let rows = self.content[list].take();
            let mut rows = rows.as_array().cloned().unwrap_or_default();
            rows.retain(|row| row["format"] != format);
            self.content[list] = json!(rows);
        }
    }

    /// Adds an export and its packages, and writes the file.
    pub fn add(&mut self, told: Value, mut packages: Vec<Value>) {
        let keys = ["format", "macos", "parts", "seconds", "peak_bytes"];
        let export: serde_json::Map<_, _> =
            keys.iter().map(|&key| (key.to_owned(), told[key].clone())).collect();
        self.content["exports"].as_array_mut().unwrap().push(export.into());
        self.content["packages"].as_array_mut().unwrap().append(&mut packages);
        if let Some(file) = &self.file {
            fs::write(file, format!("{:#}\n", self.content)).unwrap();
        }
    }
}

const WHAT: &str = "SDXS-512-0.9's networks at 512x512 with random weights, as Core ML packages: \
    each passes coremltools' loader and lint, and is executed operation by operation in f32; \
    difference: max |error| / max |reference|, the largest of its outputs, against laterna's CPU \
    backend in f32, for fp16 on the checkpoint's weights, else on the weights as the package \
    stores them; frame: with the outputs of prompt";

const COMMAND: &str = "cargo test --release -p laterna-cli --test full_size_packages -- --ignored";

fn versions() -> Value {
    let code = "import json, platform, coremltools, numpy\n\
        print(json.dumps({'python': platform.python_version(), 'numpy': numpy.__version__, \
        'coremltools': coremltools.__version__}))";
    let said = Command::new(checks::python()).args(["-W", "ignore", "-c", code]).output().unwrap();
    let mut versions: Value = serde_json::from_slice(&said.stdout).expect("coremltools is there");
    versions["laterna"] = json!(env!("CARGO_PKG_VERSION"));
    versions
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
