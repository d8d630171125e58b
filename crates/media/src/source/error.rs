//! Why a source cannot be opened or read: always with the name of the file,
//! device or address.

use std::error::Error;
use std::io;
use std::path::Path;

use thiserror::Error;

/// Why a source gives no pictures.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The system cannot open or read it.
    #[error("{name}: {source}")]
    Io {
        /// The file or device.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// It is not what it says it is, or ends too early.
    #[error("{name} is damaged: {fault}")]
    Damaged {
        /// The file.
        name: String,
        /// The parser's words.
        fault: Box<dyn Error + Send + Sync>,
    },
    /// It may be sound, but this program has no decoder for it.
    #[error("{name} cannot be read without ffmpeg: {why}")]
    Unsupported {
        /// The file.
        name: String,
        /// What is missing.
        why: String,
    },
    /// There is no way to this source on this system.
    #[error("{name} is not available: {why}")]
    Unavailable {
        /// The device.
        name: String,
        /// What is missing, and what to do about it.
        why: String,
    },
    /// It answered before and does so no longer.
    #[error("{name} is gone: {why}")]
    Lost {
        /// The device.
        name: String,
        /// What happened.
        why: String,
    },
    /// The `ffmpeg` program was needed and is not installed.
    #[error("{name} needs the ffmpeg program, which is not installed or not on the PATH{why}")]
    NoFfmpeg {
        /// The file, address or device.
        name: String,
        /// Why it was needed, if that is known: empty, or `: ...`.
        why: String,
    },
    /// `ffmpeg` gave up.
    #[error("ffmpeg cannot read {name}: {why}")]
    Ffmpeg {
        /// The file, address or device.
        name: String,
        /// The last lines of what it said.
        why: String,
    },
}

impl SourceError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { name: path.display().to_string(), source }
    }

    pub(super) fn damaged(name: &str, fault: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged { name: name.to_owned(), fault: fault.into() }
    }

    pub(super) fn unsupported(name: &str, why: impl Into<String>) -> Self {
        Self::Unsupported { name: name.to_owned(), why: why.into() }
    }
}
