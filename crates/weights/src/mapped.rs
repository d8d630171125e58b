//! A safetensors file in memory without a copy, its header checked: mapped from
//! the disk, or part of the program.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use laterna_tensor::{DType, RawTensor, Shape};
use memmap2::Mmap;

use crate::error::WeightError;
use crate::header::{Entry, Header, HeaderError};

/// A mapped safetensors file.
///
/// A file on disk must not change while it is mapped: overwriting it in place
/// changes the weights under our feet, and truncating it makes a later read
/// end the process with SIGBUS. The tools that write checkpoints (ours too)
/// replace files by renaming, which leaves a mapping intact, so that this is
/// accepted in exchange for reading weights without a copy.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    bytes: Bytes,
    header: Header,
}

/// Where the bytes lie; none of them are promised any alignment.
#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    BuiltIn(&'static [u8]),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::BuiltIn(bytes) => bytes,
        }
    }
}

impl MappedFile {
    /// Maps `path` and checks its header.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not a sound safetensors file.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let io = |reason| WeightError::Io { file: path.to_owned(), reason };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(io(std::io::ErrorKind::IsADirectory.into()));
        }
        if metadata.len() == 0 {
            // An empty file cannot be mapped on every system.
            return Err(refused(path, HeaderError::TooShort(0)));
        }
        // SAFETY: the mapping is read-only, and only ever read as bytes; the
        // type's documentation asks that nobody changes the file meanwhile.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Self::check(path, Bytes::Mapped(map))
    }

    /// Checks the header of a file that is part of the program; `path` names
    /// it in errors.
    ///
    /// # Errors
    /// If it is not a sound safetensors file.
    pub fn of_bytes(path: &Path, bytes: &'static [u8]) -> Result<Self, WeightError> {
        Self::check(path, Bytes::BuiltIn(bytes))
    }

    fn check(path: &Path, bytes: Bytes) -> Result<Self, WeightError> {
        let header = Header::parse(&bytes).map_err(|reason| refused(path, reason))?;
        Ok(Self { path: path.to_owned(), bytes, header })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors that the file holds.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The tensor's bytes, borrowed from the file.
    ///
    /// # Errors
    /// If there is no such tensor, or its element type or rank is unsupported.
    pub fn read(&self, tensor: &str) -> Result<RawTensor<'_>, WeightError> {
        let entry = self.entry(tensor)?;
        let (dtype, shape) = self.form(tensor, entry)?;
        Ok(RawTensor { dtype, shape, bytes: self.bytes[entry.range.clone()].into() })
    }

    /// Drops the tensor's pages from this process's memory; a later read
    /// fetches them from the disk cache again.
    pub fn release(&self, tensor: &str) {
        if let (Bytes::Mapped(map), Some(entry)) = (&self.bytes, self.header.tensors().get(tensor))
        {
            release(map, entry);
        }
    }

    fn entry(&self, tensor: &str) -> Result<&Entry, WeightError> {
        self.header.tensors().get(tensor).ok_or_else(|| WeightError::Missing {
            file: self.path.clone(),
            tensor: tensor.to_owned(),
        })
    }

    fn form(&self, tensor: &str, entry: &Entry) -> Result<(DType, Shape), WeightError> {
        entry.form.clone().map_err(|reason| WeightError::Unsupported {
            file: self.path.clone(),
            tensor: tensor.to_owned(),
            reason,
        })
    }
}

fn refused(path: &Path, reason: HeaderError) -> WeightError {
    WeightError::Header { file: path.to_owned(), reason: Box::new(reason) }
}

#[cfg(unix)]
fn release(map: &Mmap, entry: &Entry) {
    use memmap2::UncheckedAdvice;
    // SAFETY: the pages are clean and backed by the file, so that dropping
    // them loses nothing: the next access reads the same bytes again.
    let advised = unsafe {
        map.unchecked_advise_range(UncheckedAdvice::DontNeed, entry.range.start, entry.range.len())
    };
    // Advice that is refused costs memory, nothing else.
    let _ = advised;
}

#[cfg(not(unix))]
fn release(_map: &Mmap, _entry: &Entry) {}
