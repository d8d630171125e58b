//! The package's folder: model, weights and manifest, all there or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use laterna_graph::WeightSource;
use sha1::{Digest, Sha1};

use super::error::EmitError;
use super::lower::Tally;
use super::mil::Parameter;
use super::options::Options;
use super::{Package, Progress, compile, model};

const FOLDER: &str = "com.apple.CoreML";
const MODEL: &str = "model.mlmodel";
const WEIGHTS: &str = "weights";
const WEIGHT_FILE: &str = "weight.bin";
const MANIFEST: &str = "Manifest.json";

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The functions, in the package's order.
    pub functions: Vec<FunctionSummary>,
    /// Bytes of the model file.
    pub model_bytes: u64,
    /// Bytes of the weight file.
    pub weight_bytes: u64,
    /// How the weights are stored.
    pub tally: Tally,
}

/// What was written of one graph.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSummary {
    /// Its name.
    pub name: String,
    /// Its inputs.
    pub inputs: Vec<Parameter>,
    /// Its outputs.
    pub outputs: Vec<Parameter>,
    /// Inputs of the graph that nothing reads: the function does not have them.
    pub unread: Vec<String>,
    /// Where its operations come from, constants not counted.
    pub operations: Vec<Source>,
}

/// An operation of a function, and what it was written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of its first result.
    pub result: Arc<str>,
    /// The node of the graph, or the input or output.
    pub node: Arc<str>,
}

/// Writes `path`, a folder whose name should end in `.mlpackage`. A package
/// that is there is replaced once the new one is complete; whatever goes wrong,
/// no part of one stays behind. Weights are read one at a time.
///
/// # Errors
/// If a graph has something that Core ML lacks, the choices do not fit the
/// target, a weight is missing or does not fit half precision, or the disk does
/// not take the files.
pub fn write(
    path: &Path,
    package: &Package<'_>,
    weights: &dyn WeightSource,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, EmitError> {
    let io = |reason| EmitError::Io { file: path.to_owned(), reason };
    check_target(path).map_err(io)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Asked first for the operating system's own words: tempfile's error names
    // the temporary folder, which says nothing to a user.
    fs::metadata(folder).map_err(io)?;
    let temporary = tempfile::Builder::new().prefix(".").suffix(".tmp").tempdir_in(folder);
    let temporary = temporary.map_err(io)?;
    let new = temporary.path().join("new");
    let summary = fill(&new, package, weights, options, progress)?;
    replace(path, &new, &temporary.path().join("old")).map_err(io)?;
    Ok(summary)
}

/// Only a package is replaced: a folder of anything else stays.
fn check_target(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_err() || path.join(MANIFEST).is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "is there, and is no package"))
}

fn replace(path: &Path, new: &Path, old: &Path) -> io::Result<()> {
    let replaces = path.exists();
    if replaces {
        fs::rename(path, old)?;
    }
    fs::rename(new, path).inspect_err(|_| {
        if replaces {
            // The first error is the one to tell.
            fs::rename(old, path).ok();
        }
    })
}

fn fill(
    root: &Path,
    package: &Package<'_>,
    weights: &dyn WeightSource,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, EmitError> {
    let data = root.join("Data").join(FOLDER);
    let weight_folder = data.join(WEIGHTS);
    let io = |reason| EmitError::Io { file: root.to_owned(), reason };
    fs::create_dir_all(&weight_folder).map_err(io)?;
    let file = File::create_new(weight_folder.join(WEIGHT_FILE)).map_err(io)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let compiled = compile(package, weights, options, &mut file, progress)?;
    // A file system that allocates late reports a full disk only here.
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;

    let model = model::serialize(&compiled.program, package.description, env!("CARGO_PKG_VERSION"));
    let content = Sha1::new().chain_update(&model).chain_update(compiled.weights.digest);
    fs::write(data.join(MODEL), &model).map_err(io)?;
    fs::write(root.join(MANIFEST), manifest(content)).map_err(io)?;
    Ok(Summary {
        functions: compiled.functions,
        model_bytes: model.len() as u64,
        weight_bytes: compiled.weights.bytes,
        tally: compiled.tally,
    })
}

/// The list of the package's items. Their identifiers follow from the content,
/// so that equal packages are equal to the byte.
fn manifest(content: Sha1) -> String {
    let (model, weights) = (identifier(&content, MODEL), identifier(&content, WEIGHTS));
    let item = |id: &str, description: &str, name: &str| {
        format!(
            "    \"{id}\": {{\n      \"author\": \"{FOLDER}\",\n      \"description\": \
             \"{description}\",\n      \"name\": \"{name}\",\n      \"path\": \
             \"{FOLDER}/{name}\"\n    }}"
        )
    };
    let mut items = [
        (&model, item(&model, "CoreML Model Specification", MODEL)),
        (&weights, item(&weights, "CoreML Model Weights", WEIGHTS)),
    ];
    items.sort();
    let items = items.map(|(_, item)| item).join(",\n");
    format!(
        "{{\n  \"fileFormatVersion\": \"1.0.0\",\n  \"itemInfoEntries\": {{\n{items}\n  }},\n  \
         \"rootModelIdentifier\": \"{model}\"\n}}\n"
    )
}

/// A UUID of version 5 (RFC 9562, 5.5): a SHA-1 of what it names.
fn identifier(content: &Sha1, name: &str) -> String {
    let mut bytes: [u8; 20] = content.clone().chain_update(name).finalize().into();
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02X}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_uuids_of_the_content() {
        let id = |text: &str, name| identifier(&Sha1::new().chain_update(text), name);
        assert_eq!(id("a", MODEL), id("a", MODEL));
        assert_ne!(id("a", MODEL), id("b", MODEL));
        assert_ne!(id("a", MODEL), id("a", WEIGHTS));
        let uuid = id("a", MODEL);
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "5"));
        assert!("89AB".contains(&uuid[19..20]));
    }
}
