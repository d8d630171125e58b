//! What the pipeline tells the application, each trouble once: a source, stage
//! or sink that keeps failing is reported again only after it has worked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::image::Size;
use crate::port::PortError;

/// Something the user should know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The source failed; it is opened again and again until it works.
    SourceLost(PortError),
    /// The lost source gives pictures again.
    SourceBack,
    /// The source has no more pictures.
    SourceEnded,
    /// The source works, but not as it should; in its own words.
    SourceNotes(String),
    /// A stage is at work, for pictures of this size.
    StageReady(Size),
    /// A frame could not be made; the last picture stays.
    StageFailed(PortError),
    /// The stage panicked with this message and is built again; the last picture
    /// stays.
    StagePanicked(String),
    /// The stage cannot be built; it is tried again until it works.
    BuildFailed(PortError),
    /// The failing stage makes pictures again.
    StageBack,
    /// The stage to switch to cannot be built; the running one goes on.
    LoadFailed(PortError),
    /// A sink failed and was dropped.
    SinkFailed {
        /// The sink's name.
        name: Arc<str>,
        /// Its error.
        error: PortError,
    },
    /// A thread of the pipeline panicked, which is a bug; the pipeline stops.
    Broken {
        /// The thread's name.
        thread: String,
        /// The panic's message.
        message: String,
    },
    /// Threads that did not end in time when the pipeline stopped.
    LeftBehind {
        /// Their names.
        threads: Vec<String>,
        /// How long they were waited for.
        patience: Duration,
    },
}

/// Receives events, on the thread where they happen: it must not wait.
pub type Report = Arc<dyn Fn(Event) + Send + Sync>;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceLost(error) => write!(f, "the source failed, trying again: {error}"),
            Self::SourceBack => f.write_str("the source is back"),
            Self::SourceEnded => f.write_str("the source has ended"),
            Self::SourceNotes(note) => write!(f, "the source: {note}"),
            Self::StageReady(size) => {
                write!(f, "the model is ready at {}x{}", size.width, size.height)
            }
            Self::StageFailed(error) => write!(f, "a frame could not be made: {error}"),
            Self::StagePanicked(message) => {
                write!(f, "the model panicked, building it again: {message}")
            }
            Self::BuildFailed(error) => {
                write!(f, "the model cannot be built, trying again: {error}")
            }
            Self::StageBack => f.write_str("the model makes pictures again"),
            Self::LoadFailed(error) => {
                write!(f, "the new model cannot be loaded, keeping the old one: {error}")
            }
            Self::SinkFailed { name, error } => write!(f, "{name} failed and was closed: {error}"),
            Self::Broken { thread, message } => {
                write!(f, "thread {thread} panicked, stopping: {message}")
            }
            Self::LeftBehind { threads, patience } => {
                write!(f, "still busy after {} ms: {}", patience.as_millis(), threads.join(", "))
            }
        }
    }
}
