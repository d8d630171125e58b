//! A short stand-in for bytes, by which results and files are told apart: FNV-1a
//! (Fowler, Noll, Vo) of 64 bits. It withstands accidents, not malice.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// The digest of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 = bytes.into_iter().fold(self.0, step);
    }

    /// Takes `length` bytes of a file from `start` on.
    ///
    /// # Errors
    /// If they cannot be read, or the file ends before.
    pub fn update_from(&mut self, file: &mut File, start: u64, length: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = length;
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match file.read(&mut chunk[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.update(chunk[..read].iter().copied());
            left -= read as u64;
        }
        Ok(())
    }

    /// The digest.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_function() {
        let mut digest = Digest::default();
        assert_eq!(digest.value(), 0xcbf2_9ce4_8422_2325);
        digest.update(*b"foobar");
        assert_eq!(digest.value(), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_file_counts_as_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut file = File::open(&path).unwrap();
        let (mut whole, mut parts) = (Digest::default(), Digest::default());
        whole.update(bytes);
        parts.update_from(&mut file, 0, 70_000).unwrap();
        parts.update_from(&mut file, 70_000, 130_000).unwrap();
        assert_eq!(parts, whole);
        let error = parts.update_from(&mut file, 1, 200_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
