//! Writes safetensors files: the same tensors always give the same bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use laterna_tensor::{DType, Data, TensorView};
use serde::Serialize;

use crate::atomic::atomic_write;
use crate::error::WeightError;
use crate::header::DTYPES;

/// Writes `tensors` to `path`, whole or not at all (see [`atomic_write`]).
///
/// Tensors are laid out by falling element size, then by name, as the
/// reference writer does: each then starts at a multiple of its element size.
/// Of two tensors with one name the last is written.
///
/// # Errors
/// If the file cannot be written; it is named.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(&str, TensorView<'_>)],
) -> Result<(), WeightError> {
    let tensors: BTreeMap<_, _> = tensors.iter().copied().collect();
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, view)| Reverse(view.dtype().size_bytes()));
    atomic_write(path, |file| write(file, &tensors))
        .map_err(|reason| WeightError::Io { file: path.to_owned(), reason })
}

fn write(file: &mut File, tensors: &[(&str, TensorView<'_>)]) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let header = header(tensors)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, view) in tensors {
        write_elements(&mut out, view.data())?;
    }
    out.flush()
}

#[derive(Serialize)]
struct Record<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// The header's JSON, padded so that the data starts at a multiple of 8.
fn header(tensors: &[(&str, TensorView<'_>)]) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    let mut start = 0;
    for (name, view) in tensors {
        let end = start + view.data().len() * view.dtype().size_bytes();
        let record = Record {
            dtype: dtype_name(view.dtype()),
            shape: &view.shape(),
            data_offsets: [start, end],
        };
        records.push(format!(
            "{}:{}",
            serde_json::to_string(name)?,
            serde_json::to_string(&record)?
        ));
        start = end;
    }
    let mut header = format!("{{{}}}", records.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn dtype_name(dtype: DType) -> &'static str {
    let row = DTYPES.iter().find(|(_, d)| *d == dtype);
    row.expect("every element type has a row in DTYPES").0
}

fn write_elements(out: &mut impl Write, data: Data<'_>) -> io::Result<()> {
    match data {
        Data::F32(d) => write_each(out, d, |v| v.to_le_bytes()),
        Data::F16(d) => write_each(out, d, |v| v.to_le_bytes()),
        Data::BF16(d) => write_each(out, d, |v| v.to_le_bytes()),
        Data::I64(d) => write_each(out, d, |v| v.to_le_bytes()),
        Data::U8(d) => out.write_all(d),
        _ => unreachable!("every kind of elements has an arm above"),
    }
}

fn write_each<T: Copy, const N: usize>(
    out: &mut impl Write,
    data: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    data.iter().try_for_each(|&v| out.write_all(&bytes(v)))
}
