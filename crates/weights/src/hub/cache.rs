//! The Hugging Face cache on disk, shared with every other tool that uses it:
//! `models--owner--name/{refs/<revision>, snapshots/<commit>/..., blobs/...}`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::name::HubName;
use super::select::{MODEL_INDEX, NETWORKS, TOKENIZERS};
use crate::folder::Precision;
use crate::shards::ShardIndex;

/// The folder of a repository in the cache.
pub(super) fn repository(cache: &Path, name: &HubName) -> PathBuf {
    cache.join(format!("models--{}", name.repository().replace('/', "--")))
}

/// The repository that a folder of the cache is for: neither its owner nor its name
/// holds `--`.
pub(super) fn name_of(folder: &str) -> Option<HubName> {
    HubName::parse(&folder.strip_prefix("models--")?.replacen("--", "/", 1))
}

/// Whether a snapshot is a whole model and not a single component.
pub(super) fn is_model(snapshot: &Path) -> bool {
    snapshot.join(MODEL_INDEX).is_file() && snapshot.join("unet").is_dir()
}

/// The folder of a revision's files, if the cache knows the revision.
pub(super) fn snapshot(cache: &Path, name: &HubName) -> Option<PathBuf> {
    let repository = repository(cache, name);
    let commit = match fs::read_to_string(repository.join("refs").join(name.revision())) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => name.revision().to_owned(),
    };
    Some(repository.join("snapshots").join(commit)).filter(|path| path.is_dir())
}

/// The first file that a snapshot lacks to be a whole model: another tool may
/// have fetched a part of it, or our own fetch was interrupted.
pub(super) fn first_missing(snapshot: &Path) -> Option<String> {
    let Ok(index) = fs::read(snapshot.join(MODEL_INDEX)) else {
        return if snapshot.join("config.json").is_file() {
            missing_weights(snapshot)
        } else {
            Some(MODEL_INDEX.to_owned())
        };
    };
    let index: Map<String, Value> = serde_json::from_slice(&index).unwrap_or_default();
    // diffusers writes [null, null] for a component that the model does without.
    let used = |name: &str| index.get(name).is_some_and(|v| v.get(0).is_some_and(|l| !l.is_null()));
    let networks = NETWORKS.iter().filter(|name| used(name));
    let tokenizers = TOKENIZERS.iter().filter(|name| used(name));
    networks
        .map(|name| (name, missing_network(&snapshot.join(name))))
        .chain(tokenizers.map(|name| (name, missing_tokenizer(&snapshot.join(name)))))
        .find_map(|(name, file)| Some(format!("{name}/{}", file?)))
}

fn missing_network(folder: &Path) -> Option<String> {
    if folder.join("config.json").is_file() {
        return missing_weights(folder);
    }
    Some("config.json".to_owned())
}

fn missing_tokenizer(folder: &Path) -> Option<String> {
    let any = ["vocab.json", "tokenizer.json"].iter().any(|file| folder.join(file).is_file());
    (!any).then(|| "vocab.json".to_owned())
}

/// The first file that a network's folder lacks.
fn missing_weights(folder: &Path) -> Option<String> {
    let names = Precision::Full.file_names();
    let Some(name) = names.iter().find(|name| folder.join(name).is_file()) else {
        return names.into_iter().next();
    };
    if !name.ends_with(".json") {
        return None;
    }
    let index = fs::read(folder.join(name)).ok().and_then(|json| ShardIndex::parse(&json).ok());
    let Some(index) = index else { return Some(name.clone()) };
    index.shards().into_iter().find(|s| !folder.join(s).is_file()).map(str::to_owned)
}
