//! Tensors as bytes: what a checkpoint holds before anyone decodes it.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::{DType, Shape};

/// A tensor in its stored form: little-endian bytes, possibly unaligned (a
/// mapped file promises nothing about alignment).
#[derive(Clone, Debug)]
pub struct RawTensor<'a> {
    /// Element type of `bytes`.
    pub dtype: DType,
    /// Extents; `bytes` holds exactly their product times the element size.
    pub shape: Shape,
    /// Row-major little-endian elements.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> RawTensor<'a> {
    /// A raw tensor, or `None` if the byte count does not fit the shape.
    pub fn new(dtype: DType, shape: Shape, bytes: impl Into<Cow<'a, [u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        (shape.elements().checked_mul(dtype.size_bytes())? == bytes.len()).then_some(Self {
            dtype,
            shape,
            bytes,
        })
    }

    /// Decodes elements `start..start + out.len()` as f32.
    ///
    /// Integers convert by value.
    ///
    /// # Panics
    /// If the range reaches past the end.
    pub fn read_f32(&self, start: usize, out: &mut [f32]) {
        let size = self.dtype.size_bytes();
        let bytes = &self.bytes[start * size..(start + out.len()) * size];
        match self.dtype {
            DType::F32 => decode(bytes, out, f32::from_le_bytes),
            DType::F16 => decode(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            DType::BF16 => decode(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            DType::F8E4M3 => decode(bytes, out, |[b]| f8e4m3_to_f32(b)),
            DType::I64 => decode(bytes, out, |b| i64::from_le_bytes(b) as f32),
            DType::U8 => decode(bytes, out, |[b]| f32::from(b)),
        }
    }

    /// All elements decoded as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.shape.elements()];
        self.read_f32(0, &mut out);
        out
    }
}

fn decode<const N: usize>(bytes: &[u8], out: &mut [f32], one: impl Fn([u8; N]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<N>();
    for (o, &b) in out.iter_mut().zip(chunks) {
        *o = one(b);
    }
}

/// FP8 E4M3FN (OCP 8-bit floating point specification 1.0): bias 7, no
/// infinities, NaN is all ones below the sign.
fn f8e4m3_to_f32(byte: u8) -> f32 {
    let sign = if byte & 0x80 != 0 { -1.0 } else { 1.0 };
    let exponent = i32::from(byte >> 3 & 0xf);
    let mantissa = f32::from(byte & 0x7);
    let magnitude = match (exponent, byte & 0x7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f8_matches_the_specification() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 2f32.powi(-9)),
            (0x08, 2f32.powi(-6)),
            (0x38, 1.0),
            (0xb8, -1.0),
            (0x7e, 448.0),
        ] {
            assert_eq!(f8e4m3_to_f32(byte), value, "byte {byte:#04x}");
        }
        assert!(f8e4m3_to_f32(0x7f).is_nan());
    }

    #[test]
    fn unaligned_bytes_decode() {
        let mut bytes = vec![0u8];
        bytes.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        let raw = RawTensor::new(DType::F32, Shape::from([2]), &bytes[1..]).unwrap();
        assert_eq!(raw.to_f32(), [1.5, -2.0]);
        assert!(RawTensor::new(DType::F32, Shape::from([3]), &bytes[1..]).is_none());
    }
}
