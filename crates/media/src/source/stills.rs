//! A still picture, given again and again: the pipeline paints it anew when
//! settings change. Offline it comes once.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use laterna_pipeline::{Image, Size};

use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request};
use super::pixels::on_white;
use super::player::{Frames, Next, Pace};

/// PNG, JPEG and WebP.
pub(super) const KIND: Kind = Kind {
    name: "still",
    accepts: "a still picture: PNG, JPEG, WebP",
    stands_alone: false,
    claims: |given| {
        let webp = given.starts_with(b"RIFF") && given.head.get(8..12) == Some(b"WEBP");
        webp || given.starts_with(b"\xFF\xD8\xFF") || given.starts_with(b"\x89PNG\r\n")
    },
    open,
    list: None,
};

/// File names of pictures, for folders.
pub(super) const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp"];

/// How often a still picture is given.
pub(super) const FPS: f64 = 30.0;

/// Longest side of a picture that is read, in pixels; the networks take no larger
/// one.
pub const MAX_SIDE: u32 = 1 << 14;

/// Bytes that decoding one picture may take: enough for 100 megapixels.
const MAX_BYTES: u64 = 1 << 29;

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let path = request.path();
    let picture = load(&path)?;
    let fps = request.want.fps_or(FPS);
    let once = request.pace == Pace::Offline;
    let info = Info {
        size: Some(picture.size()),
        fps: Some(fps),
        frames: once.then_some(1),
        ..Info::named(&path.display().to_string())
    };
    let interval = Duration::from_secs_f64(1.0 / fps);
    Ok(request.play(Still { picture, interval, next: Duration::ZERO, once }, info))
}

/// Reads a picture of a file: PNG, JPEG or WebP of any depth, turned upright as
/// its EXIF data says; what is transparent becomes white.
///
/// # Errors
/// If the file cannot be read, is no picture, or is too large.
pub fn read(path: &Path) -> Result<Image, ImageError> {
    Ok(to_image(&decode(BufReader::new(File::open(path)?))?))
}

/// The same as a source reads it.
pub(super) fn load(path: &Path) -> Result<Image, SourceError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| SourceError::io(path, error))?;
    let decoded = decode(BufReader::new(file));
    Ok(to_image(&decoded.map_err(|error| SourceError::damaged(&name, error))?))
}

fn decode(file: BufReader<File>) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::new(file).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn to_image(picture: &DynamicImage) -> Image {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut image = Image::new(Size::new(width, height));
    if picture.color().has_alpha() {
        on_white(picture.to_rgba8().as_raw(), image.rgb_mut());
    } else {
        image.rgb_mut().copy_from_slice(picture.to_rgb8().as_raw());
    }
    image
}

struct Still {
    picture: Image,
    interval: Duration,
    next: Duration,
    once: bool,
}

impl Frames for Still {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        if self.once && !self.next.is_zero() {
            return Ok(Next::End);
        }
        image.copy_from(&self.picture);
        let at = self.next;
        self.next += self.interval;
        Ok(Next::Picture { at })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.next = Duration::ZERO;
        Ok(())
    }

    fn skip_to(&mut self, at: Duration) {
        self.next = self.next.max(at);
    }

    fn drawn_every(&self) -> Option<Duration> {
        Some(self.interval)
    }
}
