//! What can fail between a package and its outputs.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::ComputeUnits;
use crate::emit::EmitError;

/// Why a package could not be loaded or run.
#[derive(Debug, Error)]
pub enum RunError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The package could not be written.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Core ML refused: it could not compile, load or run the model.
    #[error("{action}: {reason}")]
    CoreMl {
        /// What was tried.
        action: &'static str,
        /// Core ML's words.
        reason: String,
    },
    /// An earlier load in a process like this one never ended.
    #[error("loading for {units}: the last try ended its process, or is still under way")]
    CrashedBefore {
        /// What it was loaded for.
        units: ComputeUnits,
        /// The file that remembers it.
        marker: PathBuf,
    },
    /// The trial load in a child process failed, now or earlier.
    #[error("loading for {units} in a process of its own: {reason}")]
    Trial {
        /// What it was loaded for.
        units: ComputeUnits,
        /// How the process ended.
        reason: String,
        /// The file that remembers it; none if it says nothing about the model.
        marker: Option<PathBuf>,
    },
    /// An input or output that has no array of this kind.
    #[error("{name}: {reason}")]
    Feature {
        /// The input or output.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The system is older than what was asked for.
    #[error("{feature}: needs macOS {version}")]
    System {
        /// What was asked for.
        feature: &'static str,
        /// The first version that has it.
        version: &'static str,
    },
}

impl RunError {
    /// For `map_err` on operations on `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    /// Whether it is about the form in which a model was written: another one may
    /// be taken.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::CoreMl { .. } | Self::CrashedBefore { .. } => true,
            Self::Trial { marker, .. } => marker.is_some(),
            _ => false,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CrashedBefore { marker, .. } | Self::Trial { marker: Some(marker), .. } => {
                let marker = marker.display();
                Some(format!("choose other compute units, or delete {marker} to try again"))
            }
            Self::Emit(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}
