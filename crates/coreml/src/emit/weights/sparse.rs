//! The weights of largest magnitude in half precision, and a bit for each weight
//! that says whether it is among them.

use std::io;

use half::f16;
use laterna_tensor::Shape;

use super::{Encoding, Recipe, blob, half_bytes, packed, shape_operand};
use crate::emit::blob::Blobs;
use crate::emit::mil::DataType;
use crate::emit::options::Target;

pub(super) struct Sparse {
    shape: Shape,
    mask: Vec<u8>,
    kept: Vec<f16>,
}

impl Sparse {
    /// Keeps at least one weight: Core ML stores no empty list.
    pub fn encode(values: &[f32], shape: Shape, density: f32) -> Self {
        let keep = (values.len() as f64 * f64::from(density)).round() as usize;
        let threshold = magnitude_of_rank(values, keep.clamp(1, values.len()));
        let mask: Vec<u8> = values.iter().map(|v| u8::from(v.abs() >= threshold)).collect();
        let kept = values.iter().zip(&mask).filter(|(_, keep)| **keep == 1);
        let kept = kept.map(|(&value, _)| f16::from_f32(value)).collect();
        Self { shape, mask, kept }
    }
}

/// The magnitude that `rank` of the values reach.
fn magnitude_of_rank(values: &[f32], rank: usize) -> f32 {
    let mut magnitudes: Vec<f32> = values.iter().map(|v| v.abs()).collect();
    let by_size = |a: &f32, b: &f32| b.total_cmp(a);
    *magnitudes.select_nth_unstable_by(rank - 1, by_size).1
}

impl Encoding for Sparse {
    fn decode(&self) -> Vec<f32> {
        let mut kept = self.kept.iter();
        let mut next = || kept.next().map_or(0.0, |value| value.to_f32());
        self.mask.iter().map(|&keep| if keep == 1 { next() } else { 0.0 }).collect()
    }

    fn store(&self, target: Target, blobs: &mut Blobs<'_>) -> io::Result<Recipe> {
        let kept = half_bytes(&self.kept);
        let nonzero_data = blob(blobs, DataType::Fp16, [self.kept.len()], &kept)?;
        let bits = packed(&self.mask, 1);
        Ok(match target {
            Target::MacOs14 => {
                let mask = blob(blobs, DataType::Uint8, [bits.len()], &bits)?;
                let shape = shape_operand(&self.shape);
                Recipe::of_attributes(
                    "constexpr_sparse_to_dense",
                    vec![("nonzero_data", nonzero_data), ("mask", mask), ("shape", shape)],
                )
            }
            Target::MacOs15 => {
                let mask = blob(blobs, DataType::Uint1, self.shape, &bits)?;
                let inputs = vec![("nonzero_data", nonzero_data), ("mask", mask)];
                Recipe::of_inputs("constexpr_sparse_to_dense", inputs)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stay() {
        let shape = Shape::from([2, 3]);
        let encoded = Sparse::encode(&[0.5, -4.0, 1.0, 0.25, -0.125, 2.0], shape, 0.5);
        assert_eq!(encoded.decode(), [0.0, -4.0, 1.0, 0.0, 0.0, 2.0]);
        assert_eq!(Sparse::encode(&[1.0, 2.0, 0.0, 0.5, 0.0, 0.0], shape, 0.0).kept.len(), 1);
    }
}
