//! Keeps the dependency table of ARCHITECTURE.md: each crate may use only the
//! crates of ours that stand beside it there, in normal and build dependencies.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The table. A crate that is missing here, or uses more than this, fails the test.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("kernels", &[]),
    ("testing", &[]),
    ("quality", &["tensor"]),
    ("starter", &[]),
    ("surface", &[]),
    ("pipeline", &["tensor"]),
    ("control", &[]),
    ("graph", &["tensor"]),
    ("weights", &["tensor"]),
    ("cpu", &["tensor", "graph", "kernels"]),
    ("coreml", &["tensor", "graph", "surface"]),
    ("conformance", &["tensor", "graph"]),
    ("models", &["tensor", "graph", "weights"]),
    ("diffusion", &["tensor", "graph", "models"]),
    ("media", &["tensor", "pipeline", "surface"]),
    ("web", &["pipeline", "control"]),
    ("live", &["tensor", "pipeline", "control", "diffusion"]),
    (
        "cli",
        &[
            "tensor",
            "graph",
            "kernels",
            "cpu",
            "coreml",
            "weights",
            "models",
            "diffusion",
            "quality",
            "starter",
            "pipeline",
            "control",
            "media",
            "web",
            "live",
        ],
    ),
];

#[test]
fn crates_use_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for folder in crates() {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let allowed = table.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not listed"));
        for used in our_dependencies(&manifest(&folder)) {
            assert!(allowed.contains(&used.as_str()), "{name} must not depend on {used}");
        }
        seen.insert(name);
    }
    let listed: BTreeSet<_> = table.keys().map(|&name| name.to_owned()).collect();
    assert_eq!(seen, listed);
}

#[test]
fn every_crate_takes_the_shared_lints() {
    for folder in crates() {
        let manifest = manifest(&folder);
        let shared = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(shared.and_then(|w| w.as_bool()), Some(true), "{}", folder.display());
    }
}

#[test]
fn crates_without_unsafe_forbid_it() {
    for name in [
        "tensor",
        "graph",
        "models",
        "diffusion",
        "quality",
        "starter",
        "pipeline",
        "conformance",
        "control",
        "web",
        "live",
        "cli",
    ] {
        let source = crates_folder().join(name).join("src");
        let roots = ["lib.rs", "main.rs"].map(|file| source.join(file));
        let root = roots.iter().find(|root| root.exists()).unwrap();
        let text = std::fs::read_to_string(root).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{}", root.display());
    }
}

fn crates_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

fn crates() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(crates_folder()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn manifest(folder: &Path) -> toml::Table {
    std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Names, without the prefix, of our crates among the dependencies that ship;
/// tests may use what they like.
fn our_dependencies(manifest: &toml::Table) -> Vec<String> {
    let tables = ["dependencies", "build-dependencies"];
    let names = tables.iter().filter_map(|t| manifest.get(*t)?.as_table()).flat_map(|t| t.keys());
    names.filter_map(|name| name.strip_prefix("laterna-")).map(str::to_owned).collect()
}
