//! 4-bit integers, -7 to 7, with a scale for each block of input channels.

use std::io;

use half::f16;
use laterna_tensor::Shape;

use super::{Encoding, Recipe, blob, half_bytes, magnitude, packed, scale_shape, step};
use crate::emit::blob::Blobs;
use crate::emit::mil::DataType;
use crate::emit::options::Target;

pub(super) struct Int4 {
    shape: Shape,
    data: Vec<i8>,
    scales: Vec<f16>,
    /// Weights of a block, which lie together.
    block: usize,
}

impl Int4 {
    /// A layer whose input channels are no multiple of `block` has one block for
    /// each output channel.
    pub fn encode(values: &[f32], shape: Shape, block: usize) -> Self {
        let channels = if shape[1].is_multiple_of(block) { block } else { shape[1] };
        let block = channels * shape[2..].iter().product::<usize>();
        let scales: Vec<_> =
            values.chunks(block).map(|block| step(magnitude(block) / 7.0)).collect();
        let mut data = Vec::with_capacity(values.len());
        for (block, scale) in values.chunks(block).zip(&scales) {
            let inverse = 1.0 / scale.to_f32();
            data.extend(block.iter().map(|v| (v * inverse).round().clamp(-7.0, 7.0) as i8));
        }
        Self { shape, data, scales, block }
    }
}

impl Encoding for Int4 {
    fn decode(&self) -> Vec<f32> {
        let blocks = self.data.chunks(self.block).zip(&self.scales);
        blocks.flat_map(|(b, s)| b.iter().map(|&q| f32::from(q) * s.to_f32())).collect()
    }

    fn store(&self, _: Target, blobs: &mut Blobs<'_>) -> io::Result<Recipe> {
        let nibbles: Vec<u8> = self.data.iter().map(|&q| q as u8).collect();
        let data = blob(blobs, DataType::Int4, self.shape, &packed(&nibbles, 4))?;
        let shape = scale_shape(&self.shape, self.scales.len() / self.shape[0]);
        let scale = blob(blobs, DataType::Fp16, shape, &half_bytes(&self.scales))?;
        let inputs = vec![("data", data), ("scale", scale)];
        Ok(Recipe::of_inputs("constexpr_blockwise_shift_scale", inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{relative_error, weights};
    use super::*;

    #[test]
    fn smaller_blocks_are_closer() {
        let shape = Shape::from([8, 64, 3, 3]);
        let values = weights(shape);
        let error = |block| relative_error(&values, &Int4::encode(&values, shape, block).decode());
        // A step of a seventh of three standard deviations, uniform error.
        assert!(error(64) < 0.15 && error(8) < error(64));
    }

    #[test]
    fn an_odd_layer_has_one_block_an_output_channel() {
        let shape = Shape::from([3, 5, 2, 2]);
        let encoded = Int4::encode(&weights(shape), shape, 32);
        assert_eq!((encoded.scales.len(), encoded.block), (3, 20));
    }
}
