//! JPEG pictures for the page and for snapshots: baseline, into a buffer that is
//! used again.

use jpeg_encoder::{ColorType, EncodingError, SamplingFactor};
use laterna_pipeline::{Image, Size};
use thiserror::Error;

/// The longest side that the format can say.
const LONGEST: usize = 65_535;

/// Encodes pictures one after the other. Beside the caller's buffer each picture
/// allocates some rows, and frees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    /// How much colour is kept.
    pub colour: Colour,
}

/// How many pixels share a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Four (4:2:0): fewer bytes, as for the page.
    #[default]
    Quarter,
    /// One (4:4:4): as for pictures that are kept.
    Full,
}

/// Why a picture is no JPEG.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JpegError {
    /// It is empty or too large for the format.
    #[error("a picture of {}x{}: JPEG holds 1x1 to {LONGEST}x{LONGEST}", .0.width, .0.height)]
    Size(Size),
    /// The encoder gave up.
    #[error("JPEG encoder: {0}")]
    Encoder(String),
}

impl Encoder {
    /// Replaces what is in `out` with `image` as a JPEG file. `quality` goes from 1
    /// to 100, as in libjpeg; what lies outside counts as the nearest.
    ///
    /// # Errors
    /// If the picture is empty or larger than the format can say; `out` is then
    /// empty.
    pub fn encode(
        &mut self,
        image: &Image,
        quality: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), JpegError> {
        out.clear();
        let (width, height) = sides(image.size())?;
        let mut encoder = jpeg_encoder::Encoder::new(&mut *out, quality.clamp(1, 100));
        encoder.set_sampling_factor(match self.colour {
            Colour::Quarter => SamplingFactor::R_4_2_0,
            Colour::Full => SamplingFactor::R_4_4_4,
        });
        let encoded = encoder.encode(image.rgb(), width, height, ColorType::Rgb);
        encoded.map_err(|error: EncodingError| {
            out.clear();
            JpegError::Encoder(error.to_string())
        })
    }
}

fn sides(size: Size) -> Result<(u16, u16), JpegError> {
    let side = |length: usize| u16::try_from(length).ok().filter(|&side| side > 0);
    side(size.width).zip(side(size.height)).ok_or(JpegError::Size(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Smooth, with colours, as paintings are.
    fn picture(size: Size) -> Image {
        let mut image = Image::new(size);
        for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (x, y) = (i % size.width, i / size.width);
            *pixel = [(x * 3 % 256) as u8, (y * 2 % 256) as u8, ((x + y) % 256) as u8];
        }
        image
    }

    fn decode(bytes: &[u8]) -> image::RgbImage {
        image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap().to_rgb8()
    }

    #[test]
    fn pictures_come_back() {
        let mut out = Vec::new();
        for (width, height) in [(80, 64), (17, 9), (1, 1), (16, 33)] {
            let image = picture(Size::new(width, height));
            for (colour, least) in [(Colour::Quarter, 28.0), (Colour::Full, 38.0)] {
                Encoder { colour }.encode(&image, 95, &mut out).unwrap();
                let decoded = decode(&out);
                assert_eq!(decoded.dimensions(), (width as u32, height as u32));
                let psnr = laterna_quality::psnr_rgb(decoded.as_raw(), image.rgb()).unwrap();
                assert!(psnr > least, "{width}x{height} {colour:?}: {psnr:.1} dB");
            }
        }
    }

    #[test]
    fn the_buffer_is_used_again_and_quality_costs_bytes() {
        let (image, mut out) = (picture(Size::new(64, 64)), Vec::new());
        let mut sizes = Vec::new();
        for quality in [0, 1, 50, 85, 100, 255] {
            Encoder::default().encode(&image, quality, &mut out).unwrap();
            sizes.push(out.len());
        }
        assert!(sizes.is_sorted() && sizes[1] < sizes[3], "{sizes:?}");
        assert_eq!((sizes[0], sizes[5]), (sizes[1], sizes[4]));
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let mut out = vec![1];
        for size in [Size::default(), Size::new(LONGEST + 1, 1), Size::new(1, LONGEST + 1)] {
            let error = Encoder::default().encode(&Image::new(size), 85, &mut out).unwrap_err();
            assert_eq!((error, out.len()), (JpegError::Size(size), 0));
        }
    }
}
