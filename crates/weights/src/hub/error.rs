//! Why a model could not be found or downloaded, and what its user can do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a model could not be found or downloaded.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "`name` is the model and `file` the file that failed")]
pub enum HubError {
    /// Neither a folder nor a name.
    #[error("{name}: neither a folder nor a model's name (owner/name or owner/name@revision)")]
    Name { name: String },
    /// Not cached, and the network may not be used.
    #[error("{name}: {file} is not in {}, and HF_HUB_OFFLINE forbids to download it", cache.display())]
    Offline { name: String, file: String, cache: PathBuf },
    /// No such model, revision or file.
    #[error("{name}: the hub has no such model or revision ({url}: 404)")]
    NotFound { name: String, url: String },
    /// The hub wants to know who asks, or knows and refuses.
    #[error("{name}: the hub denies access ({url}: {status})")]
    Denied { name: String, url: String, status: u16 },
    /// The request failed.
    #[error("{name}: {url}: {reason}")]
    Request { name: String, url: String, reason: String },
    /// The answer makes no sense, or is not safe to act on.
    #[error("{name}: {url}: unusable answer: {what}")]
    Answer { name: String, url: String, what: String },
    /// The model has no weights that can be used.
    #[error("{name}: {component} has no safetensors weights on the hub")]
    NoWeights { name: String, component: String },
    /// The repository holds no diffusers model.
    #[error("{name}: no model_index.json and no config.json: not a model in diffusers' layout")]
    NoModel { name: String },
    /// Fewer or more bytes arrived than the file has.
    #[error("{name}: {file}: {found} bytes arrived of {expected}")]
    Incomplete { name: String, file: String, found: u64, expected: u64 },
    /// The cache cannot be written.
    #[error("{}: {reason}", path.display())]
    Cache { path: PathBuf, reason: io::Error },
    /// No folder for the cache is known.
    #[error("no home folder, so no folder for downloads")]
    NoHome,
}

impl HubError {
    /// What the user can do, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("check the path, or give a name such as IDKiro/sdxs-512-0.9".into())
            }
            Self::Offline { name, .. } => Some(format!(
                "unset HF_HUB_OFFLINE and run `laterna fetch {name}` once, or copy the cache \
                 folder from a machine that has it"
            )),
            Self::NotFound { .. } => Some("check the spelling of the name and the revision".into()),
            Self::Denied { .. } => Some(
                "check the spelling; for a private or gated model set HF_TOKEN to a token of an \
                 account that has access (and has accepted the model's licence)"
                    .into(),
            ),
            Self::Request { .. } | Self::Incomplete { .. } => Some(
                "check the network (HF_ENDPOINT names another hub, HTTPS_PROXY a proxy); a second \
                 run continues where this one stopped"
                    .into(),
            ),
            Self::NoWeights { .. } => {
                Some("ask for a conversion to safetensors; pickled weights are never loaded".into())
            }
            Self::NoHome => Some("set HF_HOME to a folder with room for models".into()),
            Self::Answer { .. } | Self::NoModel { .. } | Self::Cache { .. } => None,
        }
    }

    /// Whether trying again may help: the connection broke, or the server was
    /// busy.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Request { .. } | Self::Incomplete { .. })
    }
}
