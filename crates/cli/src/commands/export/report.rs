//! What was written, as a table or JSON.

use std::path::PathBuf;

use laterna_coreml::emit::{FunctionSummary, Parameter, Summary};
use serde_json::{Value, json};

use crate::console::print;
use crate::error::Failure;
use crate::machine;
use crate::table::{self, Align, grouped, mib};

/// A package and what is in it.
pub struct Written {
    pub path: PathBuf,
    pub summary: Summary,
}

/// A line for each function, with the package's sizes on its first.
///
/// # Errors
/// If stdout cannot be written.
pub fn table(all: &[Written]) -> Result<(), Failure> {
    let rows: Vec<_> = all.iter().flat_map(rows).collect();
    let head = [
        ("package", Align::Left),
        ("function", Align::Left),
        ("operations", Align::Right),
        ("program", Align::Right),
        ("weights", Align::Right),
        ("in the format", Align::Right),
        ("too few for it", Align::Right),
    ];
    let peak = machine::peak_bytes().map_or_else(|| "unknown".to_owned(), mib);
    print(format_args!("{}\npeak memory {peak}", table::table(&head, &rows)))
}

fn rows(written: &Written) -> Vec<Vec<String>> {
    let Summary { functions, model_bytes, weight_bytes, tally } = &written.summary;
    let row = |(index, function): (usize, &FunctionSummary)| {
        let name = written.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut row = vec![name, function.name.clone(), grouped(function.operations.len() as u64)];
        if index == 0 {
            row.extend([mib(*model_bytes), mib(*weight_bytes)]);
            row.extend([tally.chosen.1, tally.kept.1].map(grouped));
        }
        row
    };
    functions.iter().enumerate().map(row).collect()
}

/// The same for machines, with inputs and outputs.
///
/// # Errors
/// If stdout cannot be written.
pub fn json(all: &[Written]) -> Result<(), Failure> {
    let packages: Vec<_> = all.iter().map(package).collect();
    print(format_args!(
        "{:#}",
        json!({ "packages": packages, "peak_bytes": machine::peak_bytes() })
    ))
}

fn package(written: &Written) -> Value {
    let Summary { functions, model_bytes, weight_bytes, tally } = &written.summary;
    json!({
        "path": written.path,
        "program_bytes": model_bytes,
        "weight_bytes": weight_bytes,
        "weights_in_format": tally.chosen.1,
        "weights_as_fp16": tally.kept.1,
        "weights_shared": tally.shared,
        "functions": functions.iter().map(function).collect::<Vec<_>>(),
    })
}

fn function(function: &FunctionSummary) -> Value {
    json!({
        "name": function.name,
        "operations": function.operations.len(),
        "inputs": function.inputs.iter().map(parameter).collect::<Vec<_>>(),
        "outputs": function.outputs.iter().map(parameter).collect::<Vec<_>>(),
        "left_out": function.unread,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": &*parameter.value.name,
        "type": parameter.value.ty.dtype.name(),
        "shape": parameter.value.ty.shape.to_vec(),
        "image": parameter.image,
    })
}
