//! Pictures on disk: PNG, JPEG and WebP, read in any depth and orientation,
//! written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::FilterType;
use image::{ExtendedColorType, ImageEncoder, ImageError, RgbImage};
use laterna_media::source::stills::{self, MAX_SIDE};
use laterna_tensor::Picture;
use laterna_weights::atomic_write;

use crate::error::{During, Failure};
use crate::interrupt::uninterrupted;

/// Visually lossless at photographs' usual viewing distance.
const JPEG_QUALITY: u8 = 95;

/// Reads a picture, turned as its EXIF orientation says, with transparency
/// over white, centre-cropped to the aspect of `size` and resized to it.
///
/// size: (width, height); `None` keeps the picture's own.
///
/// # Errors
/// If the file cannot be read or is no picture, or is too large.
pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Picture, Failure> {
    let what = || format!("cannot read the picture {}", path.display());
    let opaque = decode(path).map_err(|error| Failure::input(what(), reason(&error)))?;
    let fitted = match size {
        Some((width, height)) => fit(&opaque, width as u32, height as u32),
        None => opaque,
    };
    let (width, height) = (fitted.width() as usize, fitted.height() as usize);
    Picture::new(width, height, fitted.into_raw()).during(what())
}

fn decode(path: &Path) -> Result<RgbImage, ImageError> {
    let read = stills::read(path)?;
    let mut picture = RgbImage::new(read.size().width as u32, read.size().height as u32);
    picture.copy_from_slice(read.rgb());
    Ok(picture)
}

fn reason(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => "not a PNG, JPEG or WebP picture".to_owned(),
        ImageError::Limits(_) => format!("larger than {MAX_SIDE} pixels a side or 100 megapixels"),
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the file ends too early".to_owned()
        }
        other => other.to_string(),
    }
}

/// Centre-crops to the target's aspect, then resizes. A picture of the target's
/// size comes out unchanged.
fn fit(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = crop_size(picture.dimensions(), (width, height));
    let (x, y) = ((picture.width() - w) / 2, (picture.height() - h) / 2);
    let cropped = image::imageops::crop_imm(picture, x, y, w, h);
    if (w, h) == (width, height) {
        return cropped.to_image();
    }
    image::imageops::resize(&*cropped, width, height, FilterType::Lanczos3)
}

/// The largest size within `from` that has the aspect of `to`.
fn crop_size(from: (u32, u32), to: (u32, u32)) -> (u32, u32) {
    let scaled = |side: u32, by: u32, over: u32| {
        let rounded = (u64::from(side) * u64::from(by) + u64::from(over) / 2) / u64::from(over);
        rounded.max(1) as u32
    };
    if u64::from(from.0) * u64::from(to.1) > u64::from(from.1) * u64::from(to.0) {
        (scaled(from.1, to.0, to.1).min(from.0), from.1)
    } else {
        (from.0, scaled(from.0, to.1, to.0).min(from.1))
    }
}

/// Where a picture will be written, checked before any work is done for it.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
    encode: Encode,
}

type Encode = fn(&mut BufWriter<&mut File>, &Picture) -> Result<(), ImageError>;

/// The formats written, by the file name's extension.
const FORMATS: &[(&str, Encode)] = &[
    ("png", |out, picture| encode(PngEncoder::new(out), picture)),
    ("jpg", |out, picture| encode(JpegEncoder::new_with_quality(out, JPEG_QUALITY), picture)),
    ("jpeg", |out, picture| encode(JpegEncoder::new_with_quality(out, JPEG_QUALITY), picture)),
    ("webp", |out, picture| encode(WebPEncoder::new_lossless(out), picture)),
];

impl Output {
    /// An output at `path`, in the format of its extension.
    ///
    /// # Errors
    /// If there is no such format, or no such folder.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let format = FORMATS.iter().find(|(name, _)| extension.eq_ignore_ascii_case(name));
        let Some(&(_, encode)) = format else {
            return Err(Failure::input(what(path), "the name says no format that can be written")
                .hint("end the name in .png, .jpg or .webp"));
        };
        check_folder(path)?;
        Ok(Self { path: path.to_owned(), encode })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the picture under a temporary name and renames it.
    ///
    /// # Errors
    /// If it cannot be written; then nothing is left behind.
    pub fn write(&self, picture: &Picture) -> Result<(), Failure> {
        uninterrupted(|| atomic_write(&self.path, |file| self.encode_to(file, picture)))
            .during(what(&self.path))
    }

    fn encode_to(&self, file: &mut File, picture: &Picture) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        (self.encode)(&mut out, picture).map_err(|error| match error {
            ImageError::IoError(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
        out.flush()
    }
}

/// Checks that the folder of an output exists, so that a mistake shows before
/// minutes of work.
///
/// # Errors
/// If it does not.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let why = format!("there is no folder {}", folder.display());
            Err(Failure::input(what(path), why).hint("create the folder first"))
        }
        _ if path.is_dir() => Err(Failure::input(what(path), "it is a folder")),
        _ => Ok(()),
    }
}

fn what(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn encode(encoder: impl ImageEncoder, picture: &Picture) -> Result<(), ImageError> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    encoder.write_image(picture.rgb(), width, height, ExtendedColorType::Rgb8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, Rgba, RgbaImage};

    fn gradient(width: usize, height: usize) -> Picture {
        let byte = |i: usize| (i * 7 % 251) as u8;
        Picture::new(width, height, (0..width * height * 3).map(byte).collect()).unwrap()
    }

    #[test]
    fn lossless_formats_give_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.WebP"] {
            let path = folder.path().join(name);
            Output::new(&path).unwrap().write(&gradient(13, 9)).unwrap();
            assert_eq!(read(&path, None).unwrap(), gradient(13, 9), "{name}");
            assert_eq!(read(&path, Some((13, 9))).unwrap(), gradient(13, 9), "{name}");
        }
    }

    #[test]
    fn jpeg_is_close() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let grey = Picture::new(16, 8, vec![90; 16 * 8 * 3]).unwrap();
        Output::new(&path).unwrap().write(&grey).unwrap();
        let back = read(&path, None).unwrap();
        assert!(back.rgb().iter().all(|&byte| byte.abs_diff(90) <= 1));
    }

    #[test]
    fn other_depths_and_transparency_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(3, 2, Luma([0x8080]));
        deep.save(&path).unwrap();
        assert_eq!(read(&path, None).unwrap().rgb(), [0x80; 18]);
        RgbaImage::from_pixel(1, 1, Rgba([0, 100, 255, 0])).save(&path).unwrap();
        assert_eq!(read(&path, None).unwrap().rgb(), [255; 3]);
        RgbaImage::from_pixel(1, 1, Rgba([0, 100, 255, 51])).save(&path).unwrap();
        assert_eq!(read(&path, None).unwrap().rgb(), [204, 224, 255]);
    }

    #[test]
    fn the_centre_is_kept() {
        assert_eq!(crop_size((640, 480), (512, 512)), (480, 480));
        assert_eq!(crop_size((480, 640), (512, 256)), (480, 240));
        assert_eq!(crop_size((1, 5000), (512, 256)), (1, 1));
        assert_eq!(crop_size((48, 40), (48, 40)), (48, 40));
        let mut wide = RgbImage::from_pixel(30, 10, image::Rgb([0; 3]));
        (10..20).for_each(|x| (0..10).for_each(|y| wide.put_pixel(x, y, image::Rgb([200; 3]))));
        assert!(fit(&wide, 10, 10).pixels().all(|pixel| pixel.0 == [200; 3]));
    }

    #[test]
    fn a_bomb_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.png");
        let black = Picture::new(8, 8, vec![0; 192]).unwrap();
        Output::new(&path).unwrap().write(&black).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // The width of the header chunk, and its checksum.
        bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]).to_be_bytes();
        bytes[29..33].copy_from_slice(&checksum);
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path, None).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let byte = |crc: u32, &b: &u8| (0..8).fold(crc ^ u32::from(b), bit);
        fn bit(crc: u32, _: i32) -> u32 {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        }
        !bytes.iter().fold(!0, byte)
    }

    #[test]
    fn an_unknown_format_is_refused_before_any_work() {
        let error = Output::new(Path::new("a.gif")).unwrap_err().to_string();
        assert!(error.starts_with("cannot write a.gif"), "{error}");
        assert!(Output::new(Path::new("absent/a.png")).is_err());
    }
}
