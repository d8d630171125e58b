//! 8-bit integers with a scale for each output channel, and an offset if the
//! channel's range is not taken to be symmetric: `(q - offset) * scale`.

use std::io;

use half::f16;
use laterna_tensor::Shape;

use super::{Encoding, Recipe, blob, half_bytes, magnitude, scale_shape, signed_bytes, step};
use crate::emit::blob::Blobs;
use crate::emit::mil::{Constant, DataType, Literal, ValueType};
use crate::emit::options::Target;

pub(super) struct Int8 {
    shape: Shape,
    data: Vec<i8>,
    scales: Vec<f16>,
    /// None if all are 0.
    offsets: Option<Vec<i8>>,
}

/// A channel's scale and offset.
type Range = (f16, i8);

impl Int8 {
    pub fn encode(values: &[f32], shape: Shape, symmetric: bool) -> Self {
        let channel = (values.len() / shape[0]).max(1);
        let range = if symmetric { symmetric_range } else { full_range };
        let ranges: Vec<Range> = values.chunks(channel).map(range).collect();
        let mut data = Vec::with_capacity(values.len());
        for (channel, &(scale, offset)) in values.chunks(channel).zip(&ranges) {
            let (inverse, offset) = (1.0 / scale.to_f32(), f32::from(offset));
            // A symmetric channel leaves -128 out, so that it stays so.
            let least = if symmetric { -127.0 } else { -128.0 };
            let quantise = |v: &f32| (v * inverse + offset).round().clamp(least, 127.0) as i8;
            data.extend(channel.iter().map(quantise));
        }
        let (scales, offsets): (_, Vec<i8>) = ranges.into_iter().unzip();
        Self { shape, data, scales, offsets: (!symmetric).then_some(offsets) }
    }
}

fn symmetric_range(channel: &[f32]) -> Range {
    (step(magnitude(channel) / 127.0), 0)
}

fn full_range(channel: &[f32]) -> Range {
    let low = channel.iter().copied().fold(0.0, f32::min);
    let high = channel.iter().copied().fold(0.0, f32::max);
    let scale = step((high - low) / 255.0);
    let offset = (-128.0 - low / scale.to_f32()).round().clamp(-128.0, 127.0);
    (scale, offset as i8)
}

impl Encoding for Int8 {
    fn decode(&self) -> Vec<f32> {
        let channel = (self.data.len() / self.scales.len()).max(1);
        let mut values = Vec::with_capacity(self.data.len());
        for (index, channel) in self.data.chunks(channel).enumerate() {
            let offset = self.offsets.as_ref().map_or(0.0, |offsets| f32::from(offsets[index]));
            let scale = self.scales[index].to_f32();
            values.extend(channel.iter().map(|&q| (f32::from(q) - offset) * scale));
        }
        values
    }

    fn store(&self, target: Target, blobs: &mut Blobs<'_>) -> io::Result<Recipe> {
        let channels = self.scales.len();
        let data = blob(blobs, DataType::Int8, self.shape, &signed_bytes(&self.data))?;
        let vector = match target {
            Target::MacOs14 => Shape::from([channels]),
            Target::MacOs15 => scale_shape(&self.shape, 1),
        };
        let scale = blob(blobs, DataType::Fp16, vector, &half_bytes(&self.scales))?;
        let offsets = self.offsets.as_ref().map(|offsets| signed_bytes(offsets));
        Ok(match target {
            Target::MacOs14 => {
                let zeros = offsets.unwrap_or_else(|| vec![0; channels]);
                let zero_point = blob(blobs, DataType::Int8, vector, &zeros)?;
                Recipe::of_attributes(
                    "constexpr_affine_dequantize",
                    vec![
                        ("quantized_data", data),
                        ("zero_point", zero_point),
                        ("scale", scale),
                        ("axis", first_axis()),
                    ],
                )
            }
            Target::MacOs15 => {
                let mut inputs = vec![("data", data), ("scale", scale)];
                if let Some(offsets) = offsets {
                    inputs.push(("offset", blob(blobs, DataType::Int8, vector, &offsets)?));
                }
                Recipe::of_inputs("constexpr_blockwise_shift_scale", inputs)
            }
        })
    }
}

fn first_axis() -> Constant {
    let ty = ValueType::scalar(DataType::Int32);
    Constant { ty, literal: Literal::Ints(vec![0]) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{relative_error, weights};
    use super::*;

    #[test]
    fn every_weight_is_within_half_a_step() {
        let shape = Shape::from([6, 50]);
        let values: Vec<f32> = weights(shape).iter().map(|v| v + 0.05).collect();
        for symmetric in [true, false] {
            let encoded = Int8::encode(&values, shape, symmetric);
            let steps = encoded.scales.iter().flat_map(|s| [s.to_f32(); 50]);
            for ((value, found), step) in values.iter().zip(encoded.decode()).zip(steps) {
                // A step's own rounding to fp16 moves the ends by 127 * 2^-11 steps.
                assert!((value - found).abs() <= 0.57 * step, "{value} became {found}");
            }
        }
    }

    #[test]
    fn an_offset_serves_one_sided_channels() {
        let shape = Shape::from([4, 64]);
        let values: Vec<f32> = weights(shape).iter().map(|v| v.abs()).collect();
        let error =
            |symmetric| relative_error(&values, &Int8::encode(&values, shape, symmetric).decode());
        assert!(error(false) < 0.6 * error(true));
    }

    #[test]
    fn zeros_stay_zeros() {
        let shape = Shape::from([2, 3]);
        for symmetric in [true, false] {
            assert_eq!(Int8::encode(&[0.0; 6], shape, symmetric).decode(), [0.0; 6]);
        }
    }
}
