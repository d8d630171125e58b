//! JPEG pictures one after the other, as network cameras and simple recorders
//! write them. What lies between them, such as the headers of a multipart
//! answer, is skipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::time::Duration;

use laterna_pipeline::Image;
use thiserror::Error;

use super::error::SourceError;
use super::jpeg::Jpeg;
use super::kinds::{Info, Kind, Opened, Request};
use super::player::{Frames, Next};

/// `.mjpeg` and `.mjpg` files.
pub(super) const KIND: Kind = Kind {
    name: "mjpeg",
    accepts: "JPEG pictures one after the other (.mjpeg, .mjpg)",
    stands_alone: false,
    claims: |given| given.ends_in(&["mjpeg", "mjpg"]) && !given.head.is_empty(),
    open,
    list: None,
};

/// The stream does not say.
pub(super) const FPS: f64 = 30.0;

/// One picture.
const MAX_BYTES: usize = 1 << 26;
/// What may lie between two pictures.
const MAX_GAP: usize = 1 << 20;

/// What is wrong with a stream of JPEGs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum MjpegError {
    #[error("there is no JPEG within {MAX_GAP} bytes after picture {0}")]
    Gap(u64),
    #[error("picture {0} is longer than {MAX_BYTES} bytes")]
    TooLong(u64),
    #[error("picture {0} has a segment without a marker")]
    Marker(u64),
    #[error("it ends in the middle of picture {0}")]
    Truncated(u64),
}

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let path = request.path();
    let file = File::open(&path).map_err(|error| SourceError::io(&path, error))?;
    let name = path.display().to_string();
    let fps = request.want.fps_or(FPS);
    let mut clip = Mjpeg::new(BufReader::with_capacity(1 << 16, file), &name, fps);
    clip.restart = |input| input.rewind();
    Ok(request.play(clip, Info { fps: Some(fps), ..Info::named(&name) }))
}

/// A stream of JPEGs being read.
pub(super) struct Mjpeg<R> {
    input: R,
    name: String,
    fps: f64,
    jpeg: Jpeg,
    bytes: Vec<u8>,
    index: u64,
    restart: fn(&mut R) -> std::io::Result<()>,
}

impl<R: BufRead> Mjpeg<R> {
    /// A stream with `fps` pictures a second that cannot go back to its beginning.
    pub(super) fn new(input: R, name: &str, fps: f64) -> Self {
        let restart = |_: &mut R| Err(std::io::ErrorKind::NotSeekable.into());
        let (name, bytes) = (name.to_owned(), Vec::new());
        Self { input, name, fps, jpeg: Jpeg::default(), bytes, index: 0, restart }
    }

    fn read_byte(&mut self) -> Result<Option<u8>, SourceError> {
        let byte = loop {
            match self.input.fill_buf() {
                Ok(buffer) => break buffer.first().copied(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        };
        self.input.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    fn failed(&self, source: std::io::Error) -> SourceError {
        SourceError::Io { name: self.name.clone(), source }
    }

    fn broken(&self, fault: fn(u64) -> MjpegError) -> SourceError {
        SourceError::damaged(&self.name, fault(self.index))
    }

    /// Takes the next byte of the picture.
    fn take(&mut self) -> Result<u8, SourceError> {
        let byte = self.read_byte()?.ok_or_else(|| self.broken(MjpegError::Truncated))?;
        if self.bytes.len() == MAX_BYTES {
            return Err(self.broken(MjpegError::TooLong));
        }
        self.bytes.push(byte);
        Ok(byte)
    }

    /// Skips to the next picture; whether there is one.
    fn find_start(&mut self) -> Result<bool, SourceError> {
        let mut last = 0;
        for _ in 0..MAX_GAP {
            match self.read_byte()? {
                None => return Ok(false),
                Some(0xD8) if last == 0xFF => {
                    self.bytes.clear();
                    self.bytes.extend_from_slice(&[0xFF, 0xD8]);
                    return Ok(true);
                }
                Some(byte) => last = byte,
            }
        }
        Err(self.broken(MjpegError::Gap))
    }

    /// Takes segments up to the end marker. Thumbnails within segments are thus
    /// no pictures.
    fn take_picture(&mut self) -> Result<(), SourceError> {
        let mut marker = self.take_marker()?;
        loop {
            match marker {
                0xD9 => return Ok(()),
                0x01 | 0xD0..=0xD7 => marker = self.take_marker()?,
                0xDA => {
                    self.take_segment()?;
                    marker = self.take_scan()?;
                }
                _ => {
                    self.take_segment()?;
                    marker = self.take_marker()?;
                }
            }
        }
    }

    fn take_marker(&mut self) -> Result<u8, SourceError> {
        if self.take()? != 0xFF {
            return Err(self.broken(MjpegError::Marker));
        }
        loop {
            match self.take()? {
                0xFF => {}
                marker => return Ok(marker),
            }
        }
    }

    fn take_segment(&mut self) -> Result<(), SourceError> {
        let length = u16::from_be_bytes([self.take()?, self.take()?]);
        for _ in 2..length {
            self.take()?;
        }
        Ok(())
    }

    /// Takes coded data and the marker that ends it.
    fn take_scan(&mut self) -> Result<u8, SourceError> {
        loop {
            if self.take()? != 0xFF {
                continue;
            }
            let mut after = self.take()?;
            while after == 0xFF {
                after = self.take()?;
            }
            // A stuffed 0 and restart markers are part of the scan.
            if after != 0 && !(0xD0..=0xD7).contains(&after) {
                return Ok(after);
            }
        }
    }
}

impl<R: BufRead + Send> Frames for Mjpeg<R> {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        if !self.find_start()? {
            return Ok(Next::End);
        }
        self.take_picture()?;
        let decoded = self.jpeg.decode(&self.bytes, image);
        decoded.map_err(|error| SourceError::damaged(&self.name, error))?;
        let at = Duration::from_secs_f64(self.index as f64 / self.fps);
        self.index += 1;
        Ok(Next::Picture { at })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.index = 0;
        (self.restart)(&mut self.input).map_err(|error| self.failed(error))
    }
}
