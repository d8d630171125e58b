//! Finds NaN and infinities in stored tensors without decoding them.

use laterna_tensor::{DType, RawTensor};

/// Whether a floating-point tensor holds a NaN or an infinity. Integers never
/// do.
pub fn has_non_finite(tensor: &RawTensor<'_>) -> bool {
    let bytes = &*tensor.bytes;
    match tensor.dtype {
        DType::F32 => any(bytes, |b| u32::from_le_bytes(b) & 0x7f80_0000 == 0x7f80_0000),
        DType::F16 => any(bytes, |b| u16::from_le_bytes(b) & 0x7c00 == 0x7c00),
        DType::BF16 => any(bytes, |b| u16::from_le_bytes(b) & 0x7f80 == 0x7f80),
        DType::F8E4M3 => any(bytes, |[b]| b & 0x7f == 0x7f),
        _ => false,
    }
}

/// Elements looked at between two chances to stop: enough for the inner loop,
/// which has no branch, to run as vector code.
const BLOCK: usize = 4096;

fn any<const N: usize>(bytes: &[u8], bad: impl Fn([u8; N]) -> bool) -> bool {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.chunks(BLOCK).any(|block| block.iter().fold(false, |found, &e| found | bad(e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use laterna_tensor::{Shape, bf16, f16};

    fn found<const N: usize>(dtype: DType, elements: &[[u8; N]]) -> bool {
        let shape = Shape::from([elements.len()]);
        has_non_finite(&RawTensor::new(dtype, shape, elements.as_flattened()).unwrap())
    }

    #[test]
    fn each_type_is_scanned() {
        for (value, bad) in [
            (60000.0, false),
            (-0.0, false),
            (f32::NAN, true),
            (f32::INFINITY, true),
            (f32::NEG_INFINITY, true),
        ] {
            assert_eq!(found(DType::F32, &[value.to_le_bytes()]), bad, "f32 {value}");
            let half = f16::from_f32(value);
            assert_eq!(found(DType::F16, &[half.to_le_bytes()]), bad, "f16 {value}");
            let brain = bf16::from_f32(value);
            assert_eq!(found(DType::BF16, &[brain.to_le_bytes()]), bad, "bf16 {value}");
        }
        assert!(found(DType::F8E4M3, &[[0x7f]]) && found(DType::F8E4M3, &[[0xff]]));
        assert!(!found(DType::F8E4M3, &[[0x7e], [0xfe]]));
        assert!(!found(DType::I64, &[[0xff; 8]]));
    }

    #[test]
    fn the_last_element_of_many_is_seen() {
        let mut elements = vec![1f32.to_le_bytes(); BLOCK + 7];
        assert!(!found(DType::F32, &elements));
        elements[BLOCK + 6] = f32::NAN.to_le_bytes();
        assert!(found(DType::F32, &elements));
    }
}
