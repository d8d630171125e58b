//! Stub libraries (.tbd) that a macOS binary links against on other systems.
//!
//! What a framework exports is taken from the objc2 crates, which are generated
//! from Apple's headers; what libSystem exports from Apple's own list, which zig
//! carries; the rest from short lists by hand. A symbol that none of these names
//! stays undefined, so that the link fails as it would on a Mac.

mod externs;
mod hand;
mod tbd;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Error, Result};

/// The target whose dependencies are read.
const TARGET: &str = "aarch64-apple-darwin";

/// Exported names, without the underscore that C names get, by library.
type Exports = BTreeMap<String, BTreeSet<String>>;

/// Writes the stubs to `out`, laid out as an SDK; `libsystem` is Apple's list of
/// what libSystem exports. Gives a line about each library.
///
/// # Errors
/// If `cargo metadata` fails or a file cannot be read, understood or written.
pub fn write(out: &Path, libsystem: &Path) -> Result<String> {
    let mut frameworks = Exports::new();
    let mut objc = BTreeSet::new();
    for package in packages()? {
        match package.framework()? {
            Some(framework) => frameworks.entry(framework).or_default().extend(package.externs()?),
            None if package.name == "objc2" => objc.extend(package.externs()?),
            None => {}
        }
    }
    for &(framework, names) in hand::FRAMEWORKS {
        let names = names.iter().map(|&name| name.to_owned());
        frameworks.entry(framework.to_owned()).or_default().extend(names);
    }
    let libraries = libraries(objc, tbd::exports(libsystem)?);
    write_all(out, &frameworks, &libraries)?;
    let counts = frameworks.iter().map(|(name, names)| format!("{name} {}", names.len()));
    let lines = libraries.iter().map(|l| format!("{} {}", l.install_name, l.symbols.len()));
    Ok(counts.chain(lines).collect::<Vec<_>>().join("\n"))
}

/// A library outside the frameworks.
struct Library {
    /// The names that `-l` knows it by.
    files: &'static [&'static str],
    install_name: &'static str,
    /// Symbols as the linker sees them.
    symbols: BTreeSet<String>,
}

fn libraries(objc: BTreeSet<String>, system: BTreeSet<String>) -> [Library; 4] {
    let by_hand = |names: &[&str]| names.iter().map(|&name| format!("_{name}")).collect();
    [
        Library {
            files: &["System", "c", "m"],
            install_name: "/usr/lib/libSystem.B.dylib",
            symbols: system,
        },
        Library {
            files: &["objc"],
            install_name: "/usr/lib/libobjc.A.dylib",
            symbols: objc.iter().map(|name| format!("_{name}")).collect(),
        },
        Library {
            files: &["c++"],
            install_name: "/usr/lib/libc++.1.dylib",
            symbols: by_hand(hand::LIBCXX),
        },
        Library {
            files: &["iconv"],
            install_name: "/usr/lib/libiconv.2.dylib",
            symbols: by_hand(hand::LIBICONV),
        },
    ]
}

fn write_all(out: &Path, frameworks: &Exports, libraries: &[Library]) -> Result<()> {
    for (name, exports) in frameworks {
        let folder = out.join(format!("System/Library/Frameworks/{name}.framework"));
        let symbols = exports.iter().map(|export| format!("_{export}")).collect();
        let install_name = format!(
            "/System/Library/Frameworks/{name}.framework/Versions/{}/{name}",
            hand::framework_version(name)
        );
        tbd::write(&folder.join(format!("{name}.tbd")), &install_name, &symbols)?;
    }
    for library in libraries {
        for file in library.files {
            let path = out.join(format!("usr/lib/lib{file}.tbd"));
            tbd::write(&path, library.install_name, &library.symbols)?;
        }
    }
    Ok(())
}

/// A package that the macOS build depends on.
struct Package {
    name: String,
    folder: PathBuf,
}

impl Package {
    /// The framework that the crate binds; `None` if it is no objc2 binding.
    fn framework(&self) -> Result<Option<String>> {
        let generated = self.folder.join("src/generated/mod.rs");
        if !self.name.starts_with("objc2-") || !generated.exists() {
            return Ok(None);
        }
        Ok(externs::framework(&read(&generated)?))
    }

    /// Every name that the crate declares as foreign.
    fn externs(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for file in rust_files(&self.folder.join("src"))? {
            names.extend(externs::declared(&read(&file)?));
        }
        Ok(names)
    }
}

/// Every package of the macOS build.
fn packages() -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", TARGET])
        .output()
        .map_err(|error| Error::Metadata(error.to_string()))?;
    if !output.status.success() {
        return Err(Error::Metadata(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Metadata(error.to_string()))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.filter_map(package).collect())
}

fn package(value: &Value) -> Option<Package> {
    let manifest = Path::new(value["manifest_path"].as_str()?);
    let name = value["name"].as_str()?.to_owned();
    Some(Package { name, folder: manifest.parent()?.to_owned() })
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(path))
}
