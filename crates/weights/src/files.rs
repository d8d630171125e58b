//! Where a model's files are: on the disk, or compiled into the program. Both
//! are asked by path, so that callers and errors see no difference.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::error::WeightError;
use crate::mapped::MappedFile;

/// A folder compiled into the program.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// What stands for the folder in paths and messages.
    pub root: &'static str,
    /// Paths below the root, with slashes, and what the files hold.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// Where paths lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// To the disk.
    Disk,
    /// Into a folder of the program; they begin with its root.
    BuiltIn(&'static BuiltIn),
}

impl Files {
    pub(crate) fn is_file(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_file(),
            Self::BuiltIn(folder) => folder.file(path).is_ok(),
        }
    }

    pub(crate) fn is_folder(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_dir(),
            Self::BuiltIn(folder) => folder.has_folder(path),
        }
    }

    pub(crate) fn read(self, path: &Path) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::Disk => std::fs::read(path).map(Cow::Owned),
            Self::BuiltIn(folder) => folder.file(path).map(Cow::Borrowed),
        }
    }

    pub(crate) fn read_text(self, path: &Path) -> io::Result<Cow<'static, str>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        match self {
            Self::Disk => std::fs::read_to_string(path).map(Cow::Owned),
            Self::BuiltIn(folder) => {
                std::str::from_utf8(folder.file(path)?).map(Cow::Borrowed).map_err(invalid)
            }
        }
    }

    /// Opens a safetensors file, whose tensors are then read in place.
    pub(crate) fn map(self, path: &Path) -> Result<MappedFile, WeightError> {
        match self {
            Self::Disk => MappedFile::open(path),
            Self::BuiltIn(folder) => {
                let io = |reason| WeightError::Io { file: path.to_owned(), reason };
                MappedFile::of_bytes(path, folder.file(path).map_err(io)?)
            }
        }
    }
}

impl BuiltIn {
    fn file(&self, path: &Path) -> io::Result<&'static [u8]> {
        let is_it = |name: &str| path.strip_prefix(self.root) == Ok(Path::new(name));
        let found = self.files.iter().find(|(name, _)| is_it(name));
        found.map(|(_, bytes)| *bytes).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn has_folder(&self, path: &Path) -> bool {
        let mut folders =
            self.files.iter().flat_map(|(name, _)| Path::new(name).ancestors().skip(1));
        path.strip_prefix(self.root).is_ok_and(|inside| folders.any(|folder| folder == inside))
    }
}
