//! Half precision.

use half::f16;
use half::slice::HalfFloatSliceExt;
use laterna_tensor::{DType, RawTensor};

use crate::emit::error::EmitError;

/// Numbers converted at a time.
const CHUNK: usize = 1 << 14;

/// Numbers as half precision has them.
pub(super) fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
}

/// Finite numbers as the bytes of half precision.
///
/// # Errors
/// If one does not fit.
pub fn halves(name: &str, values: &[f32]) -> Result<Vec<u8>, EmitError> {
    let mut bytes = vec![0; values.len() * 2];
    for (out, chunk) in bytes.chunks_mut(CHUNK * 2).zip(values.chunks(CHUNK)) {
        convert(name, chunk, out)?;
    }
    Ok(bytes)
}

/// Checks that all numbers fit half precision.
///
/// # Errors
/// If one does not.
pub fn check_finite(name: &str, values: &[f32]) -> Result<(), EmitError> {
    // What rounds to f16::MAX at most.
    let fits = |v: &&f32| v.abs() < 65_520.0;
    match values.iter().find(|v| !fits(v)) {
        None => Ok(()),
        Some(&number) => Err(EmitError::Range { value: name.to_owned(), number }),
    }
}

/// A stored tensor as the bytes of half precision, without an f32 copy of it.
///
/// # Errors
/// If a number does not fit.
pub fn from_raw(name: &str, raw: &RawTensor<'_>) -> Result<Vec<u8>, EmitError> {
    let mut bytes = vec![0; raw.shape.elements() * 2];
    let mut numbers = vec![0.0; CHUNK.min(raw.shape.elements())];
    for (index, out) in bytes.chunks_mut(CHUNK * 2).enumerate() {
        let numbers = &mut numbers[..out.len() / 2];
        raw.read_f32(index * CHUNK, numbers);
        convert(name, numbers, out)?;
    }
    debug_assert!(raw.dtype != DType::F16 || *raw.bytes == *bytes);
    Ok(bytes)
}

fn convert(name: &str, numbers: &[f32], out: &mut [u8]) -> Result<(), EmitError> {
    let mut halves = [f16::ZERO; CHUNK];
    let halves = &mut halves[..numbers.len()];
    halves.convert_from_f32_slice(numbers);
    let unfit = halves.iter().zip(numbers).find(|(half, _)| !half.is_finite());
    if let Some((_, &number)) = unfit {
        return Err(EmitError::Range { value: name.to_owned(), number });
    }
    let (pairs, _) = out.as_chunks_mut::<2>();
    pairs.iter_mut().zip(halves).for_each(|(pair, half)| *pair = half.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use laterna_tensor::Shape;

    use super::super::half_bytes;
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(halves("w", &[1.0, -2.0]).unwrap(), [0, 0x3c, 0, 0xc0]);
        let error = halves("unet.w", &[1.0, 65_520.0]).unwrap_err().to_string();
        assert_eq!(error, "unet.w: 6.552e4 does not fit half precision");
        assert!(halves("w", &[f32::NAN]).is_err());
    }

    #[test]
    fn chunks_make_no_difference() {
        let values: Vec<f32> = (0..CHUNK * 2 + 7).map(|i| i as f32 * 0.25).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawTensor::new(DType::F32, Shape::from([values.len()]), bytes).unwrap();
        let halves_of: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        let expected = half_bytes(&halves_of);
        assert_eq!(from_raw("w", &raw).unwrap(), expected);
        assert_eq!(halves("w", &values).unwrap(), expected);
    }
}
