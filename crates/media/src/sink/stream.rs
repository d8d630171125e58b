//! A stream of uncompressed pictures for another program, by way of its standard
//! input: YUV4MPEG2 or bare RGB, at a constant frame rate.
//!
//! Pictures come when they come, and such a stream has no times. So each picture
//! takes the frames that lie nearest to when it was shown: while no new one has
//! come the last is written again, and of two within one frame the later is
//! written. Both are counted.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::port::{Clock, Kind, PortError, Shown, Sink};
use laterna_pipeline::{Image, Size};
use thiserror::Error;

use super::scale::Letterbox;
use super::yuv::{Matrix, Planes};

/// A pause that is longer, as when the machine slept, counts as this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How the pictures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YUV4MPEG2: a header with size and rate, then frames in 4:2:0, BT.601,
    /// limited range, which is what readers expect of it.
    Y4m,
    /// Nothing but RGB bytes: the reader is told size and rate some other way.
    Rgb24,
}

/// Frames a second, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// This many frames
    pub frames: u32,
    /// in this many seconds.
    pub seconds: u32,
}

/// Why no more is written.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The reader has gone, as `head` and players do: no fault, but the end.
    #[error("the program that read the pictures has ended")]
    Closed,
    /// It cannot be written to.
    #[error("writing pictures: {0}")]
    Io(io::Error),
    /// The first picture, whose size all frames have, is empty.
    #[error("writing pictures: the first one is empty")]
    Empty,
    /// A rate of nothing, or of nothing a second.
    #[error("writing pictures: {frames} frames in {seconds} seconds is no rate")]
    Rate {
        /// As asked for.
        frames: u32,
        /// As asked for.
        seconds: u32,
    },
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Io(error) }
    }
}

/// Frames so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written for the first time.
    pub written: u64,
    /// Written again, as nothing new had come.
    pub repeated: u64,
    /// Never written, as a newer one came within the same frame.
    pub dropped: u64,
}

/// Writes pictures to `W`. All frames have the first picture's size; pictures of
/// another one are letterboxed.
#[derive(Debug)]
pub struct Stream<W: Write> {
    out: W,
    format: Format,
    rate: FrameRate,
    /// When the first picture came, later by each pause that was cut.
    start: Duration,
    size: Option<Size>,
    letterbox: Letterbox,
    planes: Planes,
    /// The newest picture as it is written.
    frame: Vec<u8>,
    /// That has not been written yet.
    waits: bool,
    /// The frame that is written next.
    next: u64,
    counts: Counts,
}

impl<W: Write> Stream<W> {
    /// A stream to `out`, which is written to once for each frame.
    ///
    /// # Errors
    /// If the rate has a zero.
    pub fn new(out: W, format: Format, rate: FrameRate) -> Result<Self, StreamError> {
        let FrameRate { frames, seconds } = rate;
        if frames == 0 || seconds == 0 {
            return Err(StreamError::Rate { frames, seconds });
        }
        Ok(Self {
            out,
            format,
            rate,
            start: Duration::ZERO,
            size: None,
            letterbox: Letterbox::default(),
            planes: Planes::default(),
            frame: Vec::new(),
            waits: false,
            next: 0,
            counts: Counts::default(),
        })
    }

    /// Shows `image` from `time` on, a time not before the last one.
    ///
    /// # Errors
    /// [`StreamError::Closed`] once the reader has gone.
    pub fn write(&mut self, image: &Image, time: Duration) -> Result<(), StreamError> {
        let size = self.begin(image.size(), time)?;
        let due = self.due(time);
        self.fill(due)?;
        self.counts.dropped += u64::from(self.waits);
        self.set(image, size);
        self.waits = true;
        self.fill(due + 1)
    }

    /// The last picture is still shown at `time`.
    ///
    /// # Errors
    /// [`StreamError::Closed`] once the reader has gone.
    pub fn hold(&mut self, time: Duration) -> Result<(), StreamError> {
        if self.size.is_none() {
            return Ok(());
        }
        let due = self.due(time);
        self.fill(due + 1)
    }

    /// Writes what waits, and says what was written.
    ///
    /// # Errors
    /// [`StreamError::Closed`] if the reader has gone.
    pub fn finish(mut self) -> Result<Counts, StreamError> {
        self.flush()?;
        Ok(self.counts)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        if self.waits {
            self.fill(self.next + 1)?;
        }
        Ok(self.out.flush()?)
    }

    fn begin(&mut self, size: Size, time: Duration) -> Result<Size, StreamError> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        if size.area() == 0 {
            return Err(StreamError::Empty);
        }
        if self.format == Format::Y4m {
            let ((width, height), rate) = ((size.width, size.height), self.rate);
            writeln!(
                self.out,
                "YUV4MPEG2 W{width} H{height} F{}:{} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED",
                rate.frames, rate.seconds
            )?;
        }
        (self.size, self.start) = (Some(size), time);
        Ok(size)
    }

    /// The frame nearest to `time`, after a pause no further than its limit.
    fn due(&mut self, time: Duration) -> u64 {
        let due = self.nearest(time.saturating_sub(self.start));
        let limit = self.next + self.nearest(LONGEST_PAUSE);
        if due > limit {
            self.start += self.length(due - limit);
        }
        due.min(limit)
    }

    fn nearest(&self, time: Duration) -> u64 {
        let second = 1_000_000_000 * u128::from(self.rate.seconds);
        let frames = time.as_nanos() * u128::from(self.rate.frames);
        ((frames + second / 2) / second) as u64
    }

    fn length(&self, frames: u64) -> Duration {
        let second = 1_000_000_000 * u128::from(self.rate.seconds);
        let nanos = u128::from(frames) * second / u128::from(self.rate.frames);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Writes the current picture until the next frame is `end`.
    fn fill(&mut self, end: u64) -> Result<(), StreamError> {
        while self.next < end {
            self.out.write_all(&self.frame)?;
            let new = u64::from(std::mem::take(&mut self.waits));
            self.counts.written += new;
            self.counts.repeated += 1 - new;
            self.next += 1;
        }
        Ok(())
    }

    fn set(&mut self, image: &Image, size: Size) {
        let image = self.letterbox.apply(image, size);
        self.frame.clear();
        match self.format {
            Format::Rgb24 => self.frame.extend_from_slice(image.rgb()),
            Format::Y4m => {
                self.planes.convert(image, size, Matrix::Bt601);
                self.frame.extend_from_slice(b"FRAME\n");
                self.planes.planes().iter().for_each(|plane| self.frame.extend_from_slice(plane));
            }
        }
    }
}

/// A [`Stream`] at the end of a pipeline. Pictures count from when they are
/// shown; when the sink is dropped, what waits is written.
pub struct StreamSink<W: Write> {
    stream: Stream<W>,
    clock: Arc<dyn Clock>,
}

impl<W: Write> StreamSink<W> {
    /// A sink of the pipeline that `clock` belongs to.
    pub fn new(stream: Stream<W>, clock: Arc<dyn Clock>) -> Self {
        Self { stream, clock }
    }
}

impl<W: Write + Send> Sink for StreamSink<W> {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let (now, begun) = (self.clock.now(), self.stream.size.is_some());
        match shown.kind {
            Kind::Repeated if begun => self.stream.hold(now)?,
            _ => self.stream.write(shown.image, now)?,
        }
        Ok(())
    }
}

impl<W: Write> Drop for StreamSink<W> {
    fn drop(&mut self) {
        // The reader may have gone first; there is nobody left to tell.
        let _ = self.stream.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const TEN: FrameRate = FrameRate { frames: 10, seconds: 1 };

    fn grey(value: u8, width: usize, height: usize) -> Image {
        let mut image = Image::new(Size::new(width, height));
        image.rgb_mut().fill(value);
        image
    }

    /// The values of one-pixel pictures that come at these times, in milliseconds.
    fn frames(times: &[(u8, u32)]) -> (Vec<u8>, Counts) {
        let mut bytes = Vec::new();
        let mut stream = Stream::new(&mut bytes, Format::Rgb24, TEN).unwrap();
        for &(value, time) in times {
            stream.write(&grey(value, 1, 1), time * MS).unwrap();
        }
        let counts = stream.finish().unwrap();
        (bytes.chunks_exact(3).map(|pixel| pixel[0]).collect(), counts)
    }

    fn counts(written: u64, repeated: u64, dropped: u64) -> Counts {
        Counts { written, repeated, dropped }
    }

    #[test]
    fn an_irregular_camera_becomes_a_regular_stream() {
        let steady = frames(&[(1, 500), (2, 610), (3, 690), (4, 845), (5, 860)]);
        assert_eq!(steady, (vec![1, 2, 3, 4, 5], counts(5, 0, 0)));
        let slow = frames(&[(1, 0), (2, 300)]);
        assert_eq!(slow, (vec![1, 1, 1, 2], counts(2, 2, 0)));
        let fast = frames(&[(1, 0), (2, 10), (3, 20), (4, 30), (5, 100)]);
        assert_eq!(fast, (vec![1, 5], counts(2, 0, 3)));
    }

    #[test]
    fn the_last_picture_is_written_even_if_it_came_early() {
        assert_eq!(frames(&[(1, 0), (2, 10)]), (vec![1, 2], counts(2, 0, 0)));
    }

    #[test]
    fn a_long_sleep_is_cut() {
        let (values, _) = frames(&[(1, 0), (2, 3_600_000), (3, 3_600_100)]);
        assert_eq!(values.len(), 103);
        assert_eq!(values[100..], [1, 2, 3]);
    }

    #[test]
    fn a_still_picture_is_held() {
        let mut bytes = Vec::new();
        let mut stream = Stream::new(&mut bytes, Format::Rgb24, TEN).unwrap();
        stream.hold(MS).unwrap();
        stream.write(&grey(9, 1, 1), MS).unwrap();
        stream.hold(301 * MS).unwrap();
        assert_eq!(stream.finish().unwrap(), counts(1, 3, 0));
        assert_eq!(bytes, [9; 12]);
    }

    #[test]
    fn y4m_has_one_header_and_frames_of_one_size() {
        let mut bytes = Vec::new();
        let rate = FrameRate { frames: 30_000, seconds: 1001 };
        let mut stream = Stream::new(&mut bytes, Format::Y4m, rate).unwrap();
        stream.write(&grey(255, 5, 3), Duration::ZERO).unwrap();
        stream.write(&grey(255, 10, 2), 33 * MS).unwrap();
        stream.finish().unwrap();
        let header = "YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n";
        let frames = bytes.strip_prefix(header.as_bytes()).unwrap();
        let frame = |luma: [u8; 15]| [&b"FRAME\n"[..], &luma, &[128; 12]].concat();
        let mut boxed = [16; 15];
        boxed[5..10].fill(235);
        assert_eq!(frames, [frame([235; 15]), frame(boxed)].concat());
    }

    #[test]
    fn a_reader_that_has_gone_is_its_own_error() {
        struct Gone(ErrorKind);
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let write = |kind| {
            let mut stream = Stream::new(Gone(kind), Format::Y4m, TEN).unwrap();
            stream.write(&grey(0, 2, 2), MS).unwrap_err()
        };
        assert!(matches!(write(ErrorKind::BrokenPipe), StreamError::Closed));
        assert!(matches!(write(ErrorKind::StorageFull), StreamError::Io(_)));
    }

    #[test]
    fn nonsense_is_refused() {
        let none = FrameRate { frames: 0, seconds: 1 };
        assert!(matches!(
            Stream::new(io::sink(), Format::Y4m, none),
            Err(StreamError::Rate { frames: 0, seconds: 1 })
        ));
        let mut stream = Stream::new(io::sink(), Format::Y4m, TEN).unwrap();
        assert!(matches!(stream.write(&Image::default(), MS), Err(StreamError::Empty)));
    }
}
