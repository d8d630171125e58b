//! H.264 in a fragmented MP4 file: each fragment of at most a second is playable
//! as soon as it is written, so that a recording that is killed is one that ends.
//!
//! [`Writer`] takes pictures with their times; [`Recorder`] is the sink that gives
//! it those that are shown. Colours are BT.709 in limited range with sRGB's curve,
//! and the file says so. All pictures have the first one's size, others are
//! letterboxed into it; an odd side is one pixel longer in the file, where the
//! last column or row is repeated.

mod boxes;
mod h264;
mod mark;
mod muxer;
mod show;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use laterna_pipeline::{Image, Size};
use thiserror::Error;

use self::boxes::TIMESCALE;
use self::h264::{Coded, Encoder};
pub use self::mark::Mark;
use self::muxer::Muxer;
pub use self::show::Recorder;
use super::scale::Letterbox;
use super::yuv::{Matrix, Planes};

/// A picture that stays longer is written again, so that no more than this is
/// lost of a still scene.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long the last picture is shown if nobody says, and if there is no picture
/// before it to tell.
const LAST: Duration = Duration::from_millis(33);

/// How a recording is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What is kept.
    pub rate: Rate,
    /// Players can begin at pictures that are no further apart.
    pub seek_interval: Duration,
    /// Whether a file of this name is replaced.
    pub overwrite: bool,
}

/// What is kept of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// The same quality all along, whatever it takes: H.264's quantizer, from 12,
    /// the best, to 51. Six more are about half the bytes.
    Quality {
        /// H.264's quantizer; what lies outside counts as the nearest.
        quantizer: u8,
    },
    /// At most about so many bits, whatever they give: a picture that does not fit is left
    /// out, and the one before stays.
    Bits {
        /// Bits a second, from 10 thousand to 100 million; what lies outside
        /// counts as the nearest.
        per_second: u32,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: Rate::Quality { quantizer: 22 },
            seek_interval: Duration::from_secs(2),
            overwrite: false,
        }
    }
}

/// Why nothing is recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The name is taken.
    #[error("{}: there is a file of this name", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written. What was written before can be played.
    #[error("{}: {source}", path.display())]
    Io {
        /// The recording.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The encoder takes no pictures of this size.
    #[error(
        "{}: pictures of {}x{}: H.264 is written from 16x16 to 3840x2160",
        path.display(), size.width, size.height
    )]
    Size {
        /// The recording.
        path: PathBuf,
        /// The size that was asked for.
        size: Size,
    },
    /// The encoder failed.
    #[error("{}: the H.264 encoder failed (code {code})", path.display())]
    Encoder {
        /// The recording.
        path: PathBuf,
        /// OpenH264's code.
        code: i64,
    },
    /// An error has ended the recording before.
    #[error("{}: the recording has ended", .0.display())]
    Ended(PathBuf),
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pictures, without those that were written again because they stayed.
    pub pictures: u64,
    /// Pictures that did not fit into the bits that are allowed.
    pub left_out: u64,
    /// From the first picture to the end.
    pub length: Duration,
}

/// Writes pictures with their times into a file.
pub struct Writer {
    path: PathBuf,
    size: Size,
    options: Options,
    letterbox: Letterbox,
    planes: Planes,
    encoder: Encoder,
    coded: Vec<u8>,
    output: Output,
    /// Times of the first and the newest picture, and of the last that can be
    /// sought.
    first: Duration,
    newest: Duration,
    sought: Duration,
    /// The last time that the newest picture was seen, and how long the one
    /// before it stayed.
    seen: Duration,
    stayed: Duration,
    /// The newest picture's tick.
    tick: u64,
    pictures: u64,
    left_out: u64,
}

enum Output {
    /// No picture has come: there is no header yet.
    Empty(File),
    Open(Box<Muxer<File>>),
    Ended,
}

impl Writer {
    /// Makes the file at `path`, for pictures of `size`.
    ///
    /// # Errors
    /// If the name is taken and may not be replaced, the file cannot be made, or
    /// the encoder takes no such pictures.
    pub fn new(path: &Path, size: Size, options: Options) -> Result<Self, RecordError> {
        check(path, size)?;
        let file = create(path, options.overwrite)?;
        Self::on(file, path, size, options)
    }

    fn on(file: File, path: &Path, size: Size, options: Options) -> Result<Self, RecordError> {
        let encoder = check(path, size)
            .and_then(|()| Encoder::new(options.rate).map_err(|error| coder(path, &error)));
        let encoder = match encoder {
            Ok(encoder) => encoder,
            Err(error) => {
                drop(file);
                remove_empty(path);
                return Err(error);
            }
        };
        Ok(Self::with(Output::Empty(file), encoder, path, size, options))
    }

    fn with(output: Output, encoder: Encoder, path: &Path, size: Size, options: Options) -> Self {
        Self {
            path: path.to_owned(),
            size,
            options,
            letterbox: Letterbox::default(),
            planes: Planes::default(),
            encoder,
            coded: Vec::new(),
            output,
            first: Duration::ZERO,
            newest: Duration::ZERO,
            sought: Duration::ZERO,
            seen: Duration::ZERO,
            stayed: LAST,
            tick: 0,
            pictures: 0,
            left_out: 0,
        }
    }

    /// Shows `image` from `time` on. The first picture's time is the file's zero;
    /// a time that is not after the last one counts as one tick, 1/90000 s, after.
    ///
    /// # Errors
    /// If the encoder fails or the file cannot be written: the recording ends
    /// then, and can be played up to here.
    pub fn write(&mut self, image: &Image, time: Duration) -> Result<(), RecordError> {
        let size = Size::new(even(self.size.width), even(self.size.height));
        self.planes.convert(self.letterbox.apply(image, self.size), size, Matrix::Bt709);
        match self.encode(time)? {
            Coded::LeftOut => self.left_out += 1,
            Coded::Alone | Coded::Change => self.pictures += 1,
        }
        Ok(())
    }

    /// The newest picture is still shown at `time`.
    ///
    /// # Errors
    /// As for [`Writer::write`]: after a second the picture is written again.
    pub fn hold(&mut self, time: Duration) -> Result<(), RecordError> {
        self.seen = self.seen.max(time);
        if self.pictures > 0 && time.saturating_sub(self.newest) >= HEARTBEAT {
            self.encode(time)?;
        }
        Ok(())
    }

    /// Ends the newest picture at `end`, and the file. A file without pictures is
    /// removed.
    ///
    /// # Errors
    /// If the rest cannot be written.
    pub fn finish(mut self, end: Duration) -> Result<Summary, RecordError> {
        self.end(end)
    }

    fn encode(&mut self, time: Duration) -> Result<Coded, RecordError> {
        if let Output::Empty(_) = self.output {
            (self.first, self.sought) = (time, time);
        }
        let alone = time.saturating_sub(self.sought) >= self.options.seek_interval;
        let since = time.saturating_sub(self.first);
        let coded = self.encoder.encode(&self.planes, since, alone, &mut self.coded);
        let coded = coded.map_err(|error| coder(&self.path, &error))?;
        self.seen = self.seen.max(time);
        if coded != Coded::LeftOut {
            self.put(time, ticks(since), coded == Coded::Alone)?;
        }
        Ok(coded)
    }

    /// Gives the coded picture to the file.
    fn put(&mut self, time: Duration, tick: u64, sync: bool) -> Result<(), RecordError> {
        // Put back by nobody if the file cannot be written: it has ended.
        let (mut muxer, tick) = match std::mem::replace(&mut self.output, Output::Ended) {
            Output::Empty(file) => (Box::new(self.start(file)?), 0),
            Output::Open(muxer) => (muxer, tick.max(self.tick + 1)),
            Output::Ended => return Err(RecordError::Ended(self.path.clone())),
        };
        let pushed = muxer.push(&self.coded, sync, tick);
        pushed.map_err(|source| RecordError::Io { path: self.path.clone(), source })?;
        self.output = Output::Open(muxer);
        self.advance(time, tick, sync);
        Ok(())
    }

    fn start(&self, file: File) -> Result<Muxer<File>, RecordError> {
        let muxer = Muxer::new(file, self.planes.size(), self.encoder.parameter_sets());
        muxer.map_err(|source| {
            remove_empty(&self.path);
            RecordError::Io { path: self.path.clone(), source }
        })
    }

    fn advance(&mut self, time: Duration, tick: u64, sync: bool) {
        if tick > 0 {
            self.stayed = time.saturating_sub(self.newest);
        }
        (self.newest, self.tick) = (time, tick);
        if sync {
            self.sought = time;
        }
    }

    fn end(&mut self, end: Duration) -> Result<Summary, RecordError> {
        let io = |source| RecordError::Io { path: self.path.clone(), source };
        match std::mem::replace(&mut self.output, Output::Ended) {
            Output::Ended => Err(RecordError::Ended(self.path.clone())),
            Output::Empty(file) => {
                drop(file);
                remove_empty(&self.path);
                Ok(Summary::default())
            }
            Output::Open(mut muxer) => {
                let tick = ticks(end.saturating_sub(self.first)).max(self.tick + 1);
                muxer.finish(tick).map_err(io)?;
                let length = Duration::from_nanos(
                    (u128::from(tick) * 1_000_000_000 / u128::from(TIMESCALE)) as u64,
                );
                Ok(Summary { pictures: self.pictures, left_out: self.left_out, length })
            }
        }
    }

    /// The end if nobody says: when the newest picture was last seen, or after as
    /// long as the one before it.
    fn likely_end(&self) -> Duration {
        if self.seen > self.newest { self.seen } else { self.newest + self.stayed }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !matches!(self.output, Output::Ended) {
            // Whoever wants to know calls `finish`.
            let _ = self.end(self.likely_end());
        }
    }
}

fn check(path: &Path, size: Size) -> Result<(), RecordError> {
    if h264::takes(Size::new(even(size.width), even(size.height))) {
        return Ok(());
    }
    Err(RecordError::Size { path: path.to_owned(), size })
}

fn create(path: &Path, overwrite: bool) -> Result<File, RecordError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!overwrite).create(overwrite).truncate(overwrite);
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
        _ => RecordError::Io { path: path.to_owned(), source },
    })
}

/// Removes a file that holds nothing, which is closed.
fn remove_empty(path: &Path) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        // An empty file that cannot be removed does no harm.
        let _ = fs::remove_file(path);
    }
}

fn coder(path: &Path, error: &openh264::Error) -> RecordError {
    RecordError::Encoder { path: path.to_owned(), code: error.native_code() }
}

/// Chroma has half the sides.
fn even(length: usize) -> usize {
    length.next_multiple_of(2)
}

/// The nearest tick, of the time since the first picture, so that roundings do
/// not add up.
fn ticks(time: Duration) -> u64 {
    let second = 1_000_000_000;
    ((time.as_nanos() * u128::from(TIMESCALE) + second / 2) / second) as u64
}
