//! The header of a safetensors file: parsed and checked in full before any
//! tensor is touched.
//!
//! The format is 8 bytes of length, a JSON object, then the tensors' bytes
//! (<https://github.com/huggingface/safetensors>). The `safetensors` crate
//! parses it too, but its errors do not say which tensor has a wrong byte
//! count, a name that appears twice is silently dropped, one element type it
//! does not know fails the whole file, and its limit on the header is 100 MB.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::ops::Range;

use laterna_tensor::{DType, MAX_RANK, Shape};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use thiserror::Error;

/// The largest header accepted. SDXL's UNet, with 1680 tensors, needs 0.2 MB.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

const LENGTH_BYTES: usize = 8;
const METADATA: &str = "__metadata__";

/// What a file holds: each tensor's type, shape and place.
#[derive(Clone, Debug)]
pub struct Header {
    tensors: BTreeMap<String, Entry>,
}

/// One tensor of a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Type and shape, or why the tensor can not be read; reading is when the
    /// difference matters, since files carry tensors that nobody asks for.
    pub form: Result<(DType, Shape), Unsupported>,
    /// Bytes from the start of the file.
    pub range: Range<usize>,
}

/// Why a tensor of a sound file can not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// An element type that no network of ours uses.
    #[error(
        "element type {} is not supported (F32, F16, BF16, F8_E4M3, I64 and U8 are)",
        .0.escape_debug()
    )]
    DType(String),
    /// More dimensions than a [`Shape`] holds.
    #[error("{0} dimensions, at most {MAX_RANK} are supported")]
    Rank(usize),
}

/// Why a header was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Not even a length.
    #[error("{0} bytes are too few for a safetensors file")]
    TooShort(usize),
    /// A length beyond reason: another format, or malice.
    #[error("a header of {0} bytes (at most {MAX_HEADER_BYTES}): not a safetensors file?")]
    TooLarge(u64),
    /// The header reaches past the end of the file.
    #[error("truncated: the header ends at byte {end}, the file at {file_bytes}")]
    Truncated {
        /// Where the header should end.
        end: u64,
        /// Size of the file.
        file_bytes: usize,
    },
    /// Not the JSON that the format asks for.
    #[error("header: {0}")]
    Json(String),
    /// One tensor's record is wrong.
    #[error("{}: {fault}", tensor.escape_debug())]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
    /// Bytes that belong to no tensor follow the last one.
    #[error("{0} bytes after the last tensor")]
    Trailing(usize),
}

/// What is wrong with one tensor's record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TensorFault {
    /// The name appears more than once.
    #[error("listed twice")]
    Duplicate,
    /// The shape's product overflows.
    #[error("the shape overflows")]
    Overflow,
    /// The offsets are no range inside the file.
    #[error("bytes {start}..{end} are outside the file's {data_bytes} bytes of data: truncated?")]
    OutOfRange {
        /// First byte, from the start of the data.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// Bytes of data in the file.
        data_bytes: usize,
    },
    /// The byte count is not the shape's.
    #[error("{found} bytes for {dtype} {shape}, which needs {expected}")]
    Length {
        /// Element type.
        dtype: DType,
        /// Extents.
        shape: Shape,
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes stated.
        found: usize,
    },
    /// The bytes overlap those of the tensor before.
    #[error("overlaps {}", .0.escape_debug())]
    Overlap(String),
    /// Bytes before it belong to no tensor.
    #[error("{0} bytes before it belong to no tensor")]
    Gap(usize),
}

impl Header {
    /// Parses and checks the header of the file whose bytes are `file`; the
    /// bytes after the header are not looked at.
    ///
    /// # Errors
    /// If anything about the header is not as the format demands, down to
    /// tensors that overlap or leave bytes unused.
    pub fn parse(file: &[u8]) -> Result<Self, HeaderError> {
        let (json, data_start) = split(file)?;
        let Stated(stated) = serde_json::from_slice(json).map_err(json_error)?;
        let data_bytes = file.len() - data_start;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in stated {
            let entry = check(&tensor, data_start, data_bytes).map_err(|f| fault(&name, f))?;
            match tensors.entry(name) {
                btree_map::Entry::Vacant(vacant) => vacant.insert(entry),
                btree_map::Entry::Occupied(o) => {
                    return Err(fault(o.key(), TensorFault::Duplicate));
                }
            };
        }
        check_coverage(&tensors, data_start, file.len())?;
        Ok(Self { tensors })
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Entry> {
        &self.tensors
    }
}

fn fault(tensor: &str, fault: TensorFault) -> HeaderError {
    HeaderError::Tensor { tensor: tensor.to_owned(), fault }
}

fn json_error(error: serde_json::Error) -> HeaderError {
    HeaderError::Json(error.to_string())
}

/// The header's JSON and where the data starts.
fn split(file: &[u8]) -> Result<(&[u8], usize), HeaderError> {
    let (length, rest) =
        file.split_first_chunk::<LENGTH_BYTES>().ok_or(HeaderError::TooShort(file.len()))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLarge(length));
    }
    let json = rest.get(..length as usize).ok_or(HeaderError::Truncated {
        end: LENGTH_BYTES as u64 + length,
        file_bytes: file.len(),
    })?;
    Ok((json, LENGTH_BYTES + json.len()))
}

fn check(
    stated: &StatedTensor,
    data_start: usize,
    data_bytes: usize,
) -> Result<Entry, TensorFault> {
    let [start, end] = stated.data_offsets;
    if start > end || end > data_bytes as u64 {
        return Err(TensorFault::OutOfRange { start, end, data_bytes });
    }
    let range = data_start + start as usize..data_start + end as usize;
    let form = match (dtype(&stated.dtype), shape(&stated.shape)?) {
        (Some(dtype), Ok(shape)) => Ok(check_length(dtype, shape, range.len())?),
        (None, _) => Err(Unsupported::DType(stated.dtype.clone())),
        (_, Err(unsupported)) => Err(unsupported),
    };
    Ok(Entry { form, range })
}

fn check_length(dtype: DType, shape: Shape, found: usize) -> Result<(DType, Shape), TensorFault> {
    let size = dtype.size_bytes();
    match shape.elements().checked_mul(size).ok_or(TensorFault::Overflow)? {
        expected if expected == found => Ok((dtype, shape)),
        expected => Err(TensorFault::Length { dtype, shape, expected, found }),
    }
}

/// The format's name for an element type.
fn dtype(name: &str) -> Option<DType> {
    DTYPES.iter().find(|(n, _)| *n == name).map(|&(_, dtype)| dtype)
}

/// The format's spelling of each element type that is supported.
pub(crate) const DTYPES: &[(&str, DType)] = &[
    ("F32", DType::F32),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("F8_E4M3", DType::F8E4M3),
    ("I64", DType::I64),
    ("U8", DType::U8),
];

fn shape(extents: &[u64]) -> Result<Result<Shape, Unsupported>, TensorFault> {
    if extents.len() > MAX_RANK {
        return Ok(Err(Unsupported::Rank(extents.len())));
    }
    let extents: Result<Vec<usize>, _> = extents.iter().map(|&n| n.try_into()).collect();
    let shape = extents.ok().and_then(|e| Shape::try_new(&e));
    shape.map(Ok).ok_or(TensorFault::Overflow)
}

/// Checks that the tensors lie end to end from `data_start` to `file_bytes`.
fn check_coverage(
    tensors: &BTreeMap<String, Entry>,
    data_start: usize,
    file_bytes: usize,
) -> Result<(), HeaderError> {
    let mut by_place: Vec<_> = tensors.iter().collect();
    by_place.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let (mut end, mut before) = (data_start, "the header");
    for (name, Entry { range, .. }) in by_place {
        if range.start < end {
            return Err(fault(name, TensorFault::Overlap(before.to_owned())));
        }
        if range.start > end {
            return Err(fault(name, TensorFault::Gap(range.start - end)));
        }
        (end, before) = (range.end, name);
    }
    if end < file_bytes {
        return Err(HeaderError::Trailing(file_bytes - end));
    }
    Ok(())
}

/// The header as written: in file order, names possibly repeated.
struct Stated(Vec<(String, StatedTensor)>);

#[derive(Deserialize)]
struct StatedTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Stated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StatedVisitor)
    }
}

struct StatedVisitor;

impl<'de> Visitor<'de> for StatedVisitor {
    type Value = Stated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stated, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let tensor = map
                .next_value()
                .map_err(|e| A::Error::custom(format!("{}: {e}", name.escape_debug())))?;
            tensors.push((name, tensor));
        }
        Ok(Stated(tensors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and `data_bytes` zeros.
    fn file(json: &str, data_bytes: usize) -> Vec<u8> {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file.resize(file.len() + data_bytes, 0);
        file
    }

    fn message(json: &str, data_bytes: usize) -> String {
        Header::parse(&file(json, data_bytes)).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_file_is_read() {
        let json = r#"{"__metadata__":{"format":"pt"},
            "b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},
            "a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
            "s":{"dtype":"I64","shape":[],"data_offsets":[12,20]}}  "#;
        let header = Header::parse(&file(json, 20)).unwrap();
        let start = 8 + json.len();
        assert_eq!(header.tensors()["b"].form, Ok((DType::F32, Shape::from([2, 1]))));
        assert_eq!(header.tensors()["b"].range, start + 4..start + 12);
        assert_eq!(header.tensors()["s"].form, Ok((DType::I64, Shape::SCALAR)));
    }

    #[test]
    fn foreign_types_fail_only_when_read() {
        let json = r#"{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]},
            "b":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[8,12]}}"#;
        let header = Header::parse(&file(json, 12)).unwrap();
        assert_eq!(header.tensors()["a"].form, Err(Unsupported::DType("C64".into())));
        assert_eq!(header.tensors()["b"].form, Err(Unsupported::Rank(7)));
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(Header::parse(&[0; 7]).unwrap_err(), HeaderError::TooShort(7));
        let huge = [0xff; 16];
        assert_eq!(Header::parse(&huge).unwrap_err(), HeaderError::TooLarge(u64::MAX));
        let mut short = file("{}", 0);
        short[0] = 9;
        let truncated = HeaderError::Truncated { end: 17, file_bytes: 10 };
        assert_eq!(Header::parse(&short).unwrap_err(), truncated);
        assert_eq!(message("{}", 3), "3 bytes after the last tensor");
    }

    #[test]
    fn each_fault_names_its_tensor() {
        let one = |shape: &str, offsets: &str| {
            format!(r#"{{"a.b":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        for (json, data_bytes, expected) in [
            (one("[2]", "[0,4]"), 4, "a.b: 4 bytes for f32 [2], which needs 8"),
            (one("[1]", "[0,8]"), 4, "a.b: bytes 0..8 are outside"),
            (one("[1]", "[4,0]"), 4, "a.b: bytes 4..0 are outside"),
            (one("[1]", "[18446744073709551615,18446744073709551615]"), 4, "a.b: bytes"),
            (one("[1]", "[4,8]"), 8, "a.b: 4 bytes before it belong to no tensor"),
            (one("[4294967296,4294967296]", "[0,0]"), 0, "a.b: the shape overflows"),
            (one("[9223372036854775807]", "[0,0]"), 0, "a.b: the shape overflows"),
            (one("[-1]", "[0,0]"), 0, "header: a.b: invalid value: integer `-1`"),
            (one("[1]", "[0]"), 0, "header: a.b: invalid length 1"),
            (r#"{"a.b":7}"#.into(), 0, "header: a.b: invalid type"),
            (r#"{"a\nb":7}"#.into(), 0, "header: a\\nb: invalid type"),
            ("[]".into(), 0, "header: invalid type: sequence, expected an object of tensors"),
            ("{".into(), 0, "header: EOF while parsing"),
        ] {
            let message = message(&json, data_bytes);
            assert!(message.starts_with(expected), "{json}: {message}");
        }
    }

    #[test]
    fn overlaps_and_repeated_names_are_refused() {
        let tensor = |name: &str, offsets: &str| {
            format!(r#""{name}":{{"dtype":"U8","shape":[2],"data_offsets":{offsets}}}"#)
        };
        let pair = |a: String, b: String| format!("{{{a},{b}}}");
        let overlap = pair(tensor("a", "[0,2]"), tensor("b", "[1,3]"));
        assert_eq!(message(&overlap, 3), "b: overlaps a");
        let twice = pair(tensor("a", "[0,2]"), tensor("a", "[2,4]"));
        assert_eq!(message(&twice, 4), "a: listed twice");
    }
}
