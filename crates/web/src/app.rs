//! What the server is given from outside: the live session that it shows and
//! controls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use laterna_control::{Command, Invalid, State};
use laterna_pipeline::Image;
use laterna_pipeline::frame::Frame;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::Sink;
use laterna_pipeline::stats::Snapshot;
use thiserror::Error;

/// A live session. Methods are called from the server's threads: all but
/// [`App::command`], [`App::push`] and [`App::wait_for_demand`] must return at once.
pub trait App: Send + Sync + 'static {
    /// Time of the pipeline's clock, which frames are stamped with.
    fn now(&self) -> Duration;

    /// The session as it is. A change is noticed by its version within 50 ms.
    fn state(&self) -> State;

    /// Counts and durations.
    fn statistics(&self) -> Snapshot;

    /// Does what is asked, or begins to where it takes long. The command was
    /// checked ([`Command::check`]), but not its change of controls.
    ///
    /// # Errors
    /// Why it is not done.
    fn command(&self, command: Command) -> Result<(), Refused>;

    /// Adds a place where pictures go, until what it returns is dropped.
    ///
    /// # Errors
    /// If there can be no more.
    fn attach(&self, name: &str, rate: Rate, sink: Box<dyn Sink>) -> Result<Attachment, Refused>;

    /// Waits until a picture of a browser's camera is wanted, for at most `limit`.
    fn wait_for_demand(&self, limit: Duration) -> Demand;

    /// Takes a picture of a browser's camera out of `image` and leaves a used
    /// buffer there; one that the session does not want is forgotten. `captured`
    /// is a time of the clock.
    fn push(&self, image: &mut Image, captured: Duration);

    /// The frame on display, if there is one yet.
    fn frame(&self) -> Option<Arc<Frame>>;

    /// A JPEG encoder; each place where pictures go has one of its own.
    fn encoder(&self) -> Box<dyn EncodeJpeg>;
}

/// Whether a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// At once.
    Now,
    /// When the model is nearly free again.
    Later,
    /// The session takes its pictures from elsewhere.
    None,
}

/// Encodes pictures as JPEG.
pub trait EncodeJpeg: Send {
    /// Replaces what is in `out` with `image` as a JPEG file; `quality` goes from
    /// 1 to 100.
    ///
    /// # Errors
    /// In words, if the picture is empty or too large for the format.
    fn encode(&mut self, image: &Image, quality: u8, out: &mut Vec<u8>) -> Result<(), String>;
}

/// A sink of the session; dropping it takes the sink away.
pub struct Attachment {
    number: u64,
    detach: Option<Box<dyn FnOnce() + Send>>,
}

impl Attachment {
    /// `number` is what the statistics call the sink; `detach` removes it.
    pub fn new(number: u64, detach: impl FnOnce() + Send + 'static) -> Self {
        Self { number, detach: Some(Box::new(detach)) }
    }

    /// The number under which the statistics list the sink.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(detach) = self.detach.take() {
            detach();
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Refused {
    /// A value cannot be.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// It cannot be done as things are.
    #[error("{why}")]
    NotNow {
        /// What stands in the way.
        why: String,
        /// What would help, if anything is known to.
        hint: Option<String>,
    },
    /// It was tried and went wrong.
    #[error("{why}")]
    Failed {
        /// What went wrong.
        why: String,
        /// What would help, if anything is known to.
        hint: Option<String>,
    },
}

impl Refused {
    /// What would help, if anything is known to.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid(_) => None,
            Self::NotNow { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
        }
    }
}
