//! Places where a recording can be gone on with by another process: the file up
//! to a [`Mark`] needs nothing of what follows, and what follows nothing of the
//! encoder before, so that the bytes are those that one process would have made.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use laterna_pipeline::Size;

use super::boxes::DurationAt;
use super::h264::Encoder;
use super::muxer::{Muxer, Written};
use super::{Options, Output, RecordError, Writer, check, coder, ticks};

/// A place in a recording, as numbers that can be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Length of the file up to here.
    pub length_bytes: u64,
    /// Fragments up to here.
    pub fragments: u32,
    /// Where the length of the whole goes when the recording ends, from the start
    /// of the file.
    pub duration_at_bytes: u64,
    /// The first picture's time.
    pub first: Duration,
    /// The newest picture's time.
    pub newest: Duration,
    /// The same in ticks of 1/90000 s since the first.
    pub newest_ticks: u64,
    /// Pictures up to here.
    pub pictures: u64,
    /// Those of them that did not fit into the bits that are allowed.
    pub left_out: u64,
}

impl Writer {
    /// Ends the newest picture at `next`, the time of the picture that is written
    /// next, which is coded by a new encoder and can be decoded alone; what is
    /// before it is on the disk when this returns. None if there is no picture yet.
    ///
    /// # Errors
    /// If the file cannot be written or there is no encoder: the recording ends
    /// then, and can be played up to here.
    pub fn mark(&mut self, next: Duration) -> Result<Option<Mark>, RecordError> {
        let io = |source| RecordError::Io { path: self.path.clone(), source };
        // Put back by nobody if something fails: the recording has ended.
        let mut muxer = match std::mem::replace(&mut self.output, Output::Ended) {
            Output::Open(muxer) => muxer,
            Output::Empty(file) => {
                self.output = Output::Empty(file);
                return Ok(None);
            }
            Output::Ended => return Err(RecordError::Ended(self.path.clone())),
        };
        let end = ticks(next.saturating_sub(self.first)).max(self.tick + 1);
        let written = muxer.rest(end).map_err(io)?;
        let encoder = Encoder::new(self.options.rate);
        self.encoder = encoder.map_err(|error| coder(&self.path, &error))?;
        self.output = Output::Open(muxer);
        Ok(Some(self.mark_at(written)))
    }

    fn mark_at(&self, written: Written) -> Mark {
        Mark {
            length_bytes: written.length_bytes,
            fragments: written.fragments,
            duration_at_bytes: written.duration_at.0,
            first: self.first,
            newest: self.newest,
            newest_ticks: self.tick,
            pictures: self.pictures,
            left_out: self.left_out,
        }
    }

    /// Goes on with the recording at `path` after `mark`: what lies behind it is
    /// taken away. Size and options are those of the recording; whether a file may
    /// be replaced is not asked.
    ///
    /// # Errors
    /// If the file is shorter than the mark says or cannot be written, or there is
    /// no encoder.
    pub fn resume(
        path: &Path,
        size: Size,
        options: Options,
        mark: &Mark,
    ) -> Result<Self, RecordError> {
        check(path, size)?;
        let io = |source| RecordError::Io { path: path.to_owned(), source };
        let encoder = Encoder::new(options.rate).map_err(|error| coder(path, &error))?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let muxer = Muxer::resume(file, mark.written()).map_err(io)?;
        let output = Output::Open(Box::new(muxer));
        let mut writer = Self::with(output, encoder, path, size, options);
        (writer.first, writer.newest, writer.tick) = (mark.first, mark.newest, mark.newest_ticks);
        (writer.sought, writer.seen) = (mark.newest, mark.newest);
        (writer.pictures, writer.left_out) = (mark.pictures, mark.left_out);
        Ok(writer)
    }
}

impl Mark {
    fn written(&self) -> Written {
        Written {
            length_bytes: self.length_bytes,
            fragments: self.fragments,
            duration_at: DurationAt(self.duration_at_bytes),
        }
    }
}
