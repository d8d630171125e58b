//! The recorder at the end of a pipeline: what is shown is recorded, with the
//! times at which it was shown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use laterna_pipeline::port::{Clock, Kind, PortError, Shown, Sink};

use super::{Options, RecordError, Summary, Writer, create, remove_empty};

/// Told how a recording ended.
type OnEnd = Box<dyn FnOnce(Result<Summary, RecordError>) + Send>;

/// Records what a pipeline shows; dropping it ends the file. Give it a rate of
/// at least one picture a second, or a still scene is only written when it ends.
///
/// A picture's time is when it was shown and not when it was captured: that is
/// what a viewer saw, and repeated and blended pictures have no capture time of
/// their own.
pub struct Recorder {
    path: PathBuf,
    options: Options,
    clock: Arc<dyn Clock>,
    state: State,
    /// The newest recorded picture, by its frame's number and kind: a repeat of
    /// anything else is a new picture.
    newest: Option<(u64, bool)>,
    on_end: Option<OnEnd>,
}

enum State {
    /// The first picture gives the size.
    Waiting(File),
    Writing(Box<Writer>),
    Ended,
}

impl Recorder {
    /// Makes the file at `path`. `clock` is the pipeline's.
    ///
    /// # Errors
    /// If the name is taken and may not be replaced, or the file cannot be made.
    pub fn create(
        path: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RecordError> {
        let state = State::Waiting(create(path, options.overwrite)?);
        Ok(Self { path: path.to_owned(), options, clock, state, newest: None, on_end: None })
    }

    /// Calls `told` when the recording ends because the sink is dropped: nobody
    /// else would hear of an error then. An error before that is the sink's.
    #[must_use]
    pub fn on_end(
        mut self,
        told: impl FnOnce(Result<Summary, RecordError>) + Send + 'static,
    ) -> Self {
        self.on_end = Some(Box::new(told));
        self
    }

    fn writer(&mut self, shown: &Shown<'_>) -> Result<&mut Writer, RecordError> {
        if let State::Waiting(_) = self.state
            && let State::Waiting(file) = std::mem::replace(&mut self.state, State::Ended)
        {
            let writer = Writer::on(file, &self.path, shown.image.size(), self.options)?;
            self.state = State::Writing(Box::new(writer));
        }
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            State::Waiting(_) | State::Ended => Err(RecordError::Ended(self.path.clone())),
        }
    }

    fn record(&mut self, shown: &Shown<'_>) -> Result<(), RecordError> {
        let now = self.clock.now();
        let picture = (shown.frame.trail.sequence, shown.kind == Kind::Interpolated);
        let still = shown.kind == Kind::Repeated && self.newest == Some(picture);
        let writer = self.writer(shown)?;
        if still { writer.hold(now) } else { writer.write(shown.image, now) }?;
        self.newest = Some(picture);
        Ok(())
    }

    fn end(&mut self) -> Option<Result<Summary, RecordError>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => None,
            State::Waiting(file) => {
                drop(file);
                remove_empty(&self.path);
                Some(Ok(Summary::default()))
            }
            State::Writing(writer) => Some(writer.finish(self.clock.now())),
        }
    }
}

impl Sink for Recorder {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let recorded = self.record(shown);
        if recorded.is_err() {
            self.state = State::Ended;
        }
        Ok(recorded?)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let (Some(ended), Some(told)) = (self.end(), self.on_end.take()) {
            told(ended);
        }
    }
}
