//! The boxes of ISO base media files (ISO/IEC 14496-12): numbers, and boxes within
//! boxes, all within bounds.

use std::io::{self, Read, Seek, SeekFrom};

use thiserror::Error;

/// A box's type.
pub(super) type FourCc = [u8; 4];

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Mp4Error {
    #[error("its `{}` box ends too early", name(.0))]
    Short(FourCc),
    #[error("it has no `{}` box", name(.0))]
    Missing(FourCc),
    #[error("its `{}` box is larger than any real one", name(.0))]
    Large(FourCc),
    #[error("its `{}` box makes no sense", name(.0))]
    Nonsense(FourCc),
    #[error("sample {0} lies beyond its end")]
    Sample(usize),
    #[error("sample {0} is no H.264")]
    Packet(usize),
    #[error("the H.264 decoder gave up at sample {0}")]
    Decoder(usize),
}

fn name(kind: &FourCc) -> String {
    kind.escape_ascii().to_string()
}

/// Bytes of one box, read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    kind: FourCc,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(kind: FourCc, rest: &'a [u8]) -> Self {
        Self { rest, kind }
    }

    /// Why this box cannot be understood.
    pub(super) fn nonsense(&self) -> Mp4Error {
        Mp4Error::Nonsense(self.kind)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Mp4Error> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or(Mp4Error::Short(self.kind))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let (front, rest) = self.rest.split_first_chunk().ok_or(Mp4Error::Short(self.kind))?;
        self.rest = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Mp4Error> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Mp4Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// The version of a full box; its flags are skipped.
    pub(super) fn version(&mut self) -> Result<u8, Mp4Error> {
        Ok(self.array::<4>()?[0])
    }

    /// A number that has 8 bytes in version 1 of a box and 4 before.
    pub(super) fn by_version(&mut self, version: u8) -> Result<u64, Mp4Error> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// The next box within this one.
    fn child(&mut self) -> Result<Option<Bytes<'a>>, Mp4Error> {
        // QuickTime ends some lists of boxes with four zero bytes.
        if self.rest.len() < 8 {
            return Ok(None);
        }
        let (size, kind) = (self.u32()?, self.array()?);
        let body = match size {
            0 => self.rest.len() as u64,
            1 => self.u64()?.checked_sub(16).ok_or(Mp4Error::Nonsense(kind))?,
            size => u64::from(size).checked_sub(8).ok_or(Mp4Error::Nonsense(kind))?,
        };
        let body = usize::try_from(body).map_err(|_| Mp4Error::Short(kind))?;
        let body = self.take(body).map_err(|_| Mp4Error::Short(kind))?;
        Ok(Some(Bytes::new(kind, body)))
    }

    /// The boxes of this type within this one.
    pub(super) fn all(mut self, kind: FourCc) -> Result<Vec<Bytes<'a>>, Mp4Error> {
        let mut found = Vec::new();
        while let Some(child) = self.child()? {
            if child.kind == kind {
                found.push(child);
            }
        }
        Ok(found)
    }

    /// The first box of this type within this one, if there is one.
    pub(super) fn find(mut self, kind: FourCc) -> Result<Option<Bytes<'a>>, Mp4Error> {
        while let Some(child) = self.child()? {
            if child.kind == kind {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The box at the end of a path of types.
    pub(super) fn get<const N: usize>(self, path: [FourCc; N]) -> Result<Bytes<'a>, Mp4Error> {
        path.into_iter()
            .try_fold(self, |parent, kind| parent.find(kind)?.ok_or(Mp4Error::Missing(kind)))
    }

    /// The type of the first box within, and its body: a sample description.
    pub(super) fn first(mut self) -> Result<(FourCc, Bytes<'a>), Mp4Error> {
        let child = self.child()?.ok_or(Mp4Error::Short(self.kind))?;
        Ok((child.kind, child))
    }
}

/// The description of a film of some hours has a few MiB.
const MAX_BYTES: u64 = 1 << 26;
/// Boxes at the top level that are looked at.
const MAX_BOXES: usize = 100_000;

/// Reads the body of the first top-level box of type `wanted`.
///
/// # Errors
/// Those of the file, and within them what is wrong with it.
pub(super) fn read_top_level(
    file: &mut (impl Read + Seek),
    wanted: FourCc,
) -> io::Result<Result<Vec<u8>, Mp4Error>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = 0_u64;
    for _ in 0..MAX_BOXES {
        if length.saturating_sub(at) < 8 {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let (kind, header, size) = read_header(file, length - at)?;
        if size < header || size > length - at && kind == wanted {
            return Ok(Err(Mp4Error::Short(kind)));
        }
        if kind != wanted {
            at = at.saturating_add(size);
            continue;
        }
        if size > MAX_BYTES {
            return Ok(Err(Mp4Error::Large(kind)));
        }
        let mut body = Vec::new();
        file.by_ref().take(size - header).read_to_end(&mut body)?;
        return Ok(Ok(body));
    }
    Ok(Err(Mp4Error::Missing(wanted)))
}

/// A box's type, the length of its header, and its whole length.
fn read_header(file: &mut impl Read, left: u64) -> io::Result<(FourCc, u64, u64)> {
    let mut bytes = [0; 16];
    file.read_exact(&mut bytes[..8])?;
    let [a, b, c, d, kind @ .., _, _, _, _, _, _, _, _] = bytes;
    match u32::from_be_bytes([a, b, c, d]) {
        0 => Ok((kind, 8, left)),
        1 if left >= 16 => {
            let mut size = [0; 8];
            file.read_exact(&mut size)?;
            Ok((kind, 16, u64::from_be_bytes(size)))
        }
        size => Ok((kind, 8, u64::from(size))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn boxes_are_found_by_path() {
        let inner = [&[0, 0, 0, 10][..], b"abcd", &[7, 8]].concat();
        let outer = [&[0, 0, 0, 0][..], b"outr", &inner].concat();
        let mut found = Bytes::new(*b"root", &outer).get([*b"outr", *b"abcd"]).unwrap();
        assert_eq!((found.u8(), found.u8()), (Ok(7), Ok(8)));
        assert_eq!(found.u8(), Err(Mp4Error::Short(*b"abcd")));
        let missing = Bytes::new(*b"root", &outer).get([*b"outr", *b"efgh"]);
        assert_eq!(missing.err(), Some(Mp4Error::Missing(*b"efgh")));
        let error = Mp4Error::Missing([b'\xA9', b'n', b'a', b'm']);
        assert_eq!(error.to_string(), r"it has no `\xa9nam` box");
    }

    #[test]
    fn sizes_that_lie_are_errors() {
        let find = |bytes: &[u8]| Bytes::new(*b"root", bytes).find(*b"abcd").map(|b| b.is_some());
        assert_eq!(find(b"\0\0\0\x09abcd"), Err(Mp4Error::Short(*b"abcd")));
        assert_eq!(find(b"\0\0\0\x07abcd"), Err(Mp4Error::Nonsense(*b"abcd")));
        assert_eq!(
            find(b"\0\0\0\x01abcd\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
            Err(Mp4Error::Short(*b"abcd"))
        );
        assert_eq!(find(b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x0F"), Err(Mp4Error::Nonsense(*b"abcd")));
        assert_eq!(find(b"\0\0\0\0"), Ok(false));
    }

    #[test]
    fn the_top_level_is_walked_without_reading_it() {
        let read = |bytes: &[u8]| read_top_level(&mut Cursor::new(bytes), *b"moov").unwrap();
        assert_eq!(read(b"\0\0\0\x0Amdat..\0\0\0\x0Bmoovxyz"), Ok(b"xyz".to_vec()));
        assert_eq!(read(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x11.\0\0\0\0moovxyz"), Ok(b"xyz".to_vec()));
        assert_eq!(read(b"\0\0\0\x0Amdat.."), Err(Mp4Error::Missing(*b"moov")));
        assert_eq!(read(b"\0\0\0\x0Cmoovxyz"), Err(Mp4Error::Short(*b"moov")));
        assert_eq!(read(b"\0\0\0\x02mdat"), Err(Mp4Error::Short(*b"mdat")));
        assert_eq!(read(b""), Err(Mp4Error::Missing(*b"moov")));
    }
}
