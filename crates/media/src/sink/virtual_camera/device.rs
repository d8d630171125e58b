//! A V4L2 device that takes pictures: what it is, what it takes, and one `write`
//! for each picture.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use laterna_pipeline::Size;

use super::{Agreed, Pixels, VirtualCameraError};
use crate::v4l2::{self, Format, PixelFormat};

/// `V4L2_CAP_VIDEO_OUTPUT`.
const OUTPUT: u32 = 2;

/// `V4L2_BUF_TYPE_VIDEO_OUTPUT`.
const OUTPUT_QUEUE: u32 = 2;

/// `V4L2_FIELD_NONE`: whole pictures, not every other row.
const PROGRESSIVE: u32 = 1;

/// `V4L2_COLORSPACE_SRGB`, which means BT.601 in limited range for YUYV.
const SRGB: u32 = 8;

pub(super) struct Device(File);

impl Pixels {
    const fn code(self) -> u32 {
        u32::from_le_bytes(match self {
            Self::Yuyv => *b"YUYV",
            Self::Rgb24 => *b"RGB3",
        })
    }

    const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Yuyv => 2 * width,
            Self::Rgb24 => 3 * width,
        }
    }
}

impl Device {
    pub(super) fn open(path: &Path) -> Result<Self, VirtualCameraError> {
        let io = |source| VirtualCameraError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let about = v4l2::query(&file);
        let about = about.map_err(|_| VirtualCameraError::NotVideo(path.to_owned()))?;
        if about.own() & OUTPUT == 0 {
            let name = about.driver.split(|&byte| byte == 0).next().unwrap_or_default();
            let driver = String::from_utf8_lossy(name).into_owned();
            return Err(VirtualCameraError::NotOutput { path: path.to_owned(), driver });
        }
        Ok(Self(file))
    }

    /// Asks for pictures of `size`; the device may answer with another one.
    pub(super) fn agree(&mut self, path: &Path, size: Size) -> Result<Agreed, VirtualCameraError> {
        let mut refused = VirtualCameraError::Format(path.to_owned());
        for pixels in [Pixels::Yuyv, Pixels::Rgb24] {
            let mut format = wanted(pixels, size);
            match v4l2::set_format(&self.0, &mut format) {
                Ok(()) => {
                    if let Some(agreed) = agreed(&format.body.pixels) {
                        return Ok(agreed);
                    }
                }
                Err(source) if source.kind() == ErrorKind::InvalidInput => {}
                Err(source) => {
                    refused = VirtualCameraError::Io { path: path.to_owned(), source };
                }
            }
        }
        Err(refused)
    }

    /// One picture is one call, or the device would show parts of two.
    pub(super) fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        loop {
            match self.0.write(frame) {
                Ok(written) if written == frame.len() => return Ok(()),
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn wanted(pixels: Pixels, size: Size) -> Format {
    // Pairs of pixels share their colour.
    let width = size.width.next_multiple_of(2);
    let row_bytes = pixels.row_bytes(width);
    let pixels = PixelFormat {
        width: width as u32,
        height: size.height as u32,
        code: pixels.code(),
        field: PROGRESSIVE,
        stride_bytes: row_bytes as u32,
        size_bytes: (row_bytes * size.height) as u32,
        colours: SRGB,
        ..PixelFormat::default()
    };
    Format::new(OUTPUT_QUEUE, pixels)
}

/// What the device's answer means; none if it is for pictures that are not made
/// here.
fn agreed(answer: &PixelFormat) -> Option<Agreed> {
    let pixels = [Pixels::Yuyv, Pixels::Rgb24].into_iter().find(|p| p.code() == answer.code)?;
    let size = Size::new(answer.width as usize, answer.height as usize);
    let row_bytes = pixels.row_bytes(size.width);
    // 0 stands for no padding.
    let stride_bytes = row_bytes.max(answer.stride_bytes as usize);
    let sound = size.area() > 0
        && size.width.is_multiple_of(2)
        && size.width.max(size.height) <= 16_384
        && stride_bytes <= 2 * row_bytes;
    sound.then_some(Agreed { pixels, size, stride_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_even_and_whole() {
        let format = wanted(Pixels::Yuyv, Size::new(161, 90)).body.pixels;
        assert_eq!((format.width, format.height), (162, 90));
        assert_eq!((format.stride_bytes, format.size_bytes), (324, 29_160));
        // `V4L2_PIX_FMT_YUYV` and `V4L2_PIX_FMT_RGB24`.
        assert_eq!((Pixels::Yuyv.code(), Pixels::Rgb24.code()), (0x5659_5559, 0x3342_4752));
    }

    #[test]
    fn answers_are_taken_as_they_are_if_they_make_sense() {
        let answer = wanted(Pixels::Rgb24, Size::new(64, 48)).body.pixels;
        let expected = Agreed { pixels: Pixels::Rgb24, size: Size::new(64, 48), stride_bytes: 192 };
        assert_eq!(agreed(&answer), Some(expected));
        assert_eq!(agreed(&PixelFormat { stride_bytes: 0, ..answer }), Some(expected));
        let padded = agreed(&PixelFormat { stride_bytes: 256, ..answer }).unwrap();
        assert_eq!(padded.stride_bytes, 256);
        for nonsense in [
            PixelFormat { code: u32::from_le_bytes(*b"MJPG"), ..answer },
            PixelFormat { width: 0, ..answer },
            PixelFormat { width: 63, ..answer },
            PixelFormat { height: u32::MAX, ..answer },
            PixelFormat { stride_bytes: u32::MAX, ..answer },
        ] {
            assert_eq!(agreed(&nonsense), None, "{nonsense:?}");
        }
    }
}
