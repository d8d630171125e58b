//! From the bytes of one camera buffer to a picture.

use laterna_pipeline::{Image, Size};

use super::super::jpeg::Jpeg;
use super::super::pixels::{Colour, Yuv, copy_rgb, swap_red_and_blue};
use super::mode::CameraFormat;

/// How the bytes of a buffer are laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) format: CameraFormat,
    pub(super) size: Size,
    /// Bytes from a row of the first plane to the next; of no meaning for JPEG.
    pub(super) stride: usize,
    pub(super) colour: Colour,
}

/// Reads buffers of one layout.
#[derive(Debug)]
pub(super) struct FrameDecoder {
    pub(super) layout: Layout,
    jpeg: Jpeg,
}

impl FrameDecoder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, jpeg: Jpeg::default() }
    }

    /// Reads a picture. None if the buffer is too short or damaged, as cameras
    /// send now and then; `image` then holds anything.
    pub(super) fn decode(&mut self, bytes: &[u8], image: &mut Image) -> Option<()> {
        let Layout { format, size, .. } = self.layout;
        match format {
            CameraFormat::Mjpeg => return self.jpeg.decode(bytes, image).ok(),
            CameraFormat::Rgb24 | CameraFormat::Bgr24 => self.copy(bytes, image)?,
            CameraFormat::Yuyv | CameraFormat::Nv12 | CameraFormat::Yu12 => {
                let yuv = self.planes(bytes).filter(Yuv::is_complete)?;
                image.reset(size);
                yuv.write_rgb(self.layout.colour, image.rgb_mut());
            }
        }
        Some(())
    }

    fn copy(&self, bytes: &[u8], image: &mut Image) -> Option<()> {
        let Layout { format, size, stride, .. } = self.layout;
        let last_row = size.height.checked_sub(1)?.checked_mul(stride)?;
        let fits = stride >= 3 * size.width && bytes.len() >= last_row + 3 * size.width;
        if !fits {
            return None;
        }
        image.reset(size);
        copy_rgb(bytes, stride, size, image.rgb_mut());
        if format == CameraFormat::Bgr24 {
            swap_red_and_blue(image.rgb_mut());
        }
        Some(())
    }

    fn planes<'a>(&self, bytes: &'a [u8]) -> Option<Yuv<'a>> {
        let Layout { format, size, stride, .. } = self.layout;
        let luma_bytes = stride.checked_mul(size.height)?;
        match format {
            CameraFormat::Nv12 => {
                let (luma, chroma) = bytes.split_at_checked(luma_bytes)?;
                Some(Yuv::nv12(size, [luma, chroma], [stride, stride]))
            }
            CameraFormat::Yu12 => {
                let (luma, chroma) = bytes.split_at_checked(luma_bytes)?;
                let half = stride.div_ceil(2);
                let (u, v) = chroma.split_at_checked(half * size.height.div_ceil(2))?;
                Some(Yuv::planar(size, [luma, u, v], [stride, half], (1, 1)))
            }
            _ => Some(Yuv::yuyv(size, bytes, stride)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(6, 4);

    fn decoder(format: CameraFormat, stride: usize) -> FrameDecoder {
        FrameDecoder::new(Layout { format, size: SIZE, stride, colour: Colour::of(SIZE) })
    }

    /// The picture of a buffer of `bytes`.
    fn decode(format: CameraFormat, stride: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut image = Image::default();
        decoder(format, stride).decode(bytes, &mut image)?;
        assert_eq!(image.size(), SIZE);
        Some(image.rgb().to_vec())
    }

    #[test]
    fn every_format_gives_the_same_grey() {
        use CameraFormat::{Bgr24, Mjpeg, Nv12, Rgb24, Yu12, Yuyv};
        let (luma, chroma) = (vec![126; 8 * 4], vec![128; 8 * 2]);
        let planar = [&luma[..], &chroma].concat();
        let packed = [126, 128].repeat(8 * 4);
        let jpeg = {
            let mut bytes = Vec::new();
            let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
            let color = image::ColorType::Rgb8.into();
            image::ImageEncoder::write_image(encoder, &[128; 72], 6, 4, color).unwrap();
            bytes
        };
        let rgb = vec![128; 20 * 4];
        let buffers: [(CameraFormat, usize, &[u8]); 6] = [
            (Yuyv, 16, &packed),
            (Nv12, 8, &planar),
            (Yu12, 8, &planar),
            (Rgb24, 20, &rgb),
            (Bgr24, 20, &rgb),
            (Mjpeg, 0, &jpeg),
        ];
        for (format, stride, bytes) in buffers {
            let rgb = decode(format, stride, bytes).unwrap();
            assert!(rgb.iter().all(|byte| byte.abs_diff(128) <= 1), "{format}: {rgb:?}");
            assert_eq!(decode(format, stride, &bytes[..bytes.len() / 3]), None, "{format}");
            assert_eq!(decode(format, stride, &[]), None, "{format}");
        }
        assert_eq!(decode(Yuyv, 3, &packed), None);
        assert_eq!(decode(Rgb24, 17, &rgb), None);
        assert_eq!(decode(Nv12, usize::MAX, &planar), None);
    }

    #[test]
    fn blue_comes_first_in_bgr() {
        let bytes = [1, 2, 3].repeat(24);
        assert_eq!(decode(CameraFormat::Rgb24, 18, &bytes).unwrap()[..3], [1, 2, 3]);
        assert_eq!(decode(CameraFormat::Bgr24, 18, &bytes).unwrap()[..3], [3, 2, 1]);
    }
}
