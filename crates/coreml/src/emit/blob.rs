//! `weight.bin`, version 2: a header, then each blob behind its metadata, all
//! starting at multiples of 64 bytes (coremltools, `MILBlob/Blob/StorageFormat.hpp`).
//!
//! Blobs are written as they come and never held; equal ones are stored once,
//! which is how several functions share their weights.

use std::collections::HashMap;
use std::io::{self, Seek, SeekFrom, Write};

use sha1::{Digest, Sha1};

use super::mil::DataType;

const ALIGNMENT: u64 = 64;
const VERSION: u32 = 2;
const SENTINEL: u32 = 0xdead_beef;

/// Where the file goes.
pub(super) trait Sink: Write + Seek {}
impl<T: Write + Seek> Sink for T {}

/// The file being written.
pub(super) struct Blobs<'s> {
    sink: &'s mut dyn Sink,
    end: u64,
    count: u32,
    known: HashMap<[u8; 20], u64>,
    content: Sha1,
}

impl<'s> Blobs<'s> {
    /// Leaves room for the header.
    pub fn new(sink: &'s mut dyn Sink) -> io::Result<Self> {
        sink.write_all(&[0; ALIGNMENT as usize])?;
        let (known, content) = (HashMap::new(), Sha1::new());
        Ok(Self { sink, end: ALIGNMENT, count: 0, known, content })
    }

    /// Stores `elements` elements, packed as the type has it; gives the offset
    /// that a program refers to.
    pub fn store(&mut self, dtype: DataType, elements: usize, bytes: &[u8]) -> io::Result<u64> {
        debug_assert_eq!(bytes.len(), (elements * dtype.bits()).div_ceil(8));
        let padding_bits = (bytes.len() * 8 - elements * dtype.bits()) as u64;
        let mut metadata = Vec::with_capacity(ALIGNMENT as usize);
        metadata.extend(SENTINEL.to_le_bytes());
        metadata.extend(dtype.blob_code().to_le_bytes());
        metadata.extend((bytes.len() as u64).to_le_bytes());
        let digest = digest(&metadata, padding_bits, bytes);
        if let Some(&offset) = self.known.get(&digest) {
            return Ok(offset);
        }
        let offset = self.end;
        metadata.extend((offset + ALIGNMENT).to_le_bytes());
        metadata.extend(padding_bits.to_le_bytes());
        metadata.resize(ALIGNMENT as usize, 0);
        self.sink.write_all(&metadata)?;
        self.sink.write_all(bytes)?;
        let unpadded = offset + ALIGNMENT + bytes.len() as u64;
        self.end = unpadded.next_multiple_of(ALIGNMENT);
        self.sink.write_all(&vec![0; (self.end - unpadded) as usize])?;
        self.count += 1;
        self.known.insert(digest, offset);
        self.content.update(digest);
        Ok(offset)
    }

    /// Writes the header; gives the file's bytes and a digest of its content.
    pub fn finish(self) -> io::Result<Written> {
        self.sink.seek(SeekFrom::Start(0))?;
        self.sink.write_all(&self.count.to_le_bytes())?;
        self.sink.write_all(&VERSION.to_le_bytes())?;
        self.sink.flush()?;
        Ok(Written { bytes: self.end, digest: self.content.finalize().into() })
    }
}

/// A finished weight file.
pub(super) struct Written {
    pub bytes: u64,
    pub digest: [u8; 20],
}

fn digest(metadata: &[u8], padding_bits: u64, bytes: &[u8]) -> [u8; 20] {
    let mut hash = Sha1::new();
    hash.update(metadata);
    hash.update(padding_bits.to_le_bytes());
    hash.update(bytes);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn blobs_are_aligned_and_shared() {
        let mut file = Cursor::new(Vec::new());
        let mut blobs = Blobs::new(&mut file).unwrap();
        let three = blobs.store(DataType::Uint3, 3, &[0b1000_1000, 0b1]).unwrap();
        let halves = blobs.store(DataType::Fp16, 40, &[7; 80]).unwrap();
        assert_eq!(blobs.store(DataType::Uint3, 3, &[0b1000_1000, 0b1]).unwrap(), three);
        assert_ne!(blobs.store(DataType::Int8, 80, &[7; 80]).unwrap(), halves, "another type");
        let written = blobs.finish().unwrap();
        assert_eq!((three, halves), (64, 192));

        let bytes = file.into_inner();
        assert_eq!(bytes.len() as u64, written.bytes);
        assert_eq!(bytes[..8], [3, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[64..72], [0xef, 0xbe, 0xad, 0xde, 12, 0, 0, 0]);
        assert_eq!([72, 80, 88].map(|at| u64_at(&bytes, at)), [2, 128, 7]);
        assert_eq!([200, 208, 216].map(|at| u64_at(&bytes, at)), [80, 256, 0]);
        assert_eq!(bytes[256..336], [7; 80]);
    }
}
