//! 8-bit pictures and the one conversion between them and tensors.

use thiserror::Error;

use crate::{Shape, Tensor};

/// Why a picture could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PictureError {
    /// The byte count is not width x height x 3.
    #[error("a {width}x{height} RGB picture needs {expected} bytes, not {found}")]
    Length {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The tensor is not a `[1, 3, height, width]` f32 tensor.
    #[error("a picture needs an f32 tensor of shape [1, 3, height, width], not {0}")]
    Shape(Shape),
}

/// An 8-bit RGB picture, rows top to bottom, pixels interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture from interleaved RGB bytes.
    ///
    /// # Errors
    /// If there are not `width * height * 3` bytes.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, PictureError> {
        let expected = width.saturating_mul(height).saturating_mul(3);
        if rgb.len() == expected {
            Ok(Self { width, height, rgb })
        } else {
            Err(PictureError::Length { width, height, expected, found: rgb.len() })
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Interleaved RGB bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture as `[1, 3, height, width]` in [-1, 1]: `byte / 127.5 - 1`,
    /// written as diffusers' VaeImageProcessor computes it (`2 * (byte / 255) - 1`).
    pub fn to_tensor(&self) -> Tensor {
        let mut tensor = Tensor::zeros([1, 3, self.height, self.width]);
        if let Ok(planes) = tensor.as_f32_mut() {
            self.write_planes(planes);
        }
        tensor
    }

    /// Writes the [-1, 1] planes into `planes`, `[3, height, width]`.
    ///
    /// # Panics
    /// If `planes` has another length.
    pub fn write_planes(&self, planes: &mut [f32]) {
        let area = self.width * self.height;
        assert_eq!(planes.len(), 3 * area, "planes of another size");
        let (pixels, _) = self.rgb.as_chunks::<3>();
        for (i, pixel) in pixels.iter().enumerate() {
            for (channel, &byte) in pixel.iter().enumerate() {
                planes[channel * area + i] = 2.0 * (f32::from(byte) / 255.0) - 1.0;
            }
        }
    }

    /// The picture that `[1, 3, height, width]` in [-1, 1] stands for: values
    /// are clamped and rounded half to even, as diffusers does; NaN becomes 0.
    ///
    /// # Errors
    /// If the tensor has another shape or type.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self, PictureError> {
        let shape = tensor.shape();
        let (&[1, 3, height, width], Ok(planes)) = (&*shape, tensor.as_f32()) else {
            return Err(PictureError::Shape(shape));
        };
        let area = width * height;
        let mut rgb = Vec::with_capacity(3 * area);
        for i in 0..area {
            for channel in 0..3 {
                let unit = (planes[channel * area + i] / 2.0 + 0.5).clamp(0.0, 1.0);
                rgb.push((unit * 255.0).round_ties_even() as u8);
            }
        }
        Ok(Self { width, height, rgb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let rgb: Vec<u8> = (0..=255).flat_map(|b| [b, 255 - b, b ^ 0x55]).collect();
        let picture = Picture::new(16, 16, rgb).unwrap();
        assert_eq!(Picture::from_tensor(&picture.to_tensor()).unwrap(), picture);
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        let tensor = Tensor::from_f32([1, 3, 1, 1], vec![-7.0, 7.0, f32::NAN]).unwrap();
        assert_eq!(Picture::from_tensor(&tensor).unwrap().rgb(), [0, 255, 0]);
    }
}
