//! Pictures that arrive through a pipe, whose reading may take for ever: a thread
//! reads them, one ahead at most, and a source that is dropped does not wait for
//! it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use laterna_pipeline::Image;
use laterna_pipeline::port::{Clock, PortError, Read, Source};

use super::error::SourceError;
use super::player::{Frames, Next};
use super::push::{self, PushSource};

/// How long [`Threaded::next`] waits.
const PATIENCE: Duration = Duration::from_millis(10);
/// Pictures that wait to be played: enough to decode while one is shown.
const AHEAD: usize = 1;

/// What the thread found.
type Found = Result<Option<(Image, Duration)>, SourceError>;

/// Pictures read by a thread.
pub(super) struct Threaded {
    found: Receiver<Found>,
    free: SyncSender<Image>,
    is_over: bool,
    /// Dropped last: it may stop what the thread waits for.
    _guard: Option<Box<dyn Send>>,
}

impl Threaded {
    /// Starts a thread that opens the pictures and reads them. `guard` lives as
    /// long as they are wanted.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub(super) fn start<F: Frames + 'static>(
        name: &str,
        open: impl FnOnce() -> Result<F, SourceError> + Send + 'static,
        guard: Option<Box<dyn Send>>,
    ) -> io::Result<Self> {
        let (send, found) = sync_channel(AHEAD);
        let (free, used) = sync_channel(AHEAD + 2);
        let body = move || read(open, &send, &used);
        thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { found, free, is_over: false, _guard: guard })
    }
}

fn read<F: Frames>(
    open: impl FnOnce() -> Result<F, SourceError>,
    send: &SyncSender<Found>,
    used: &Receiver<Image>,
) {
    let mut frames = match open() {
        Ok(frames) => frames,
        Err(error) => return drop(send.send(Err(error))),
    };
    loop {
        let mut image = used.try_recv().unwrap_or_default();
        let found = match frames.next(&mut image) {
            Ok(Next::Picture { at }) => Ok(Some((image, at))),
            Ok(Next::Later) => continue,
            Ok(Next::End) => Ok(None),
            Err(error) => Err(error),
        };
        let is_last = !matches!(found, Ok(Some(_)));
        if send.send(found).is_err() || is_last {
            return;
        }
    }
}

impl Frames for Threaded {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        if self.is_over {
            return Ok(Next::End);
        }
        match self.found.recv_timeout(PATIENCE) {
            Ok(Ok(Some((mut picture, at)))) => {
                std::mem::swap(&mut picture, image);
                // A full channel means that there are buffers enough.
                drop(self.free.try_send(picture));
                Ok(Next::Picture { at })
            }
            Err(RecvTimeoutError::Timeout) => Ok(Next::Later),
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                self.is_over = true;
                Ok(Next::End)
            }
            Ok(Err(error)) => {
                self.is_over = true;
                Err(error)
            }
        }
    }

    /// A pipe has no beginning to go back to: it is over again at once.
    fn rewind(&mut self) -> Result<(), SourceError> {
        self.is_over = true;
        Ok(())
    }
}

/// Starts a thread that reads a device and gives out the newest picture, with the
/// time of `clock` at which it was complete. `guard` lives as long as the source.
///
/// # Errors
/// If the system starts no thread.
pub(super) fn latest<F: Frames + 'static>(
    name: &str,
    mut frames: F,
    clock: &Arc<dyn Clock>,
    guard: Box<dyn Send>,
) -> io::Result<impl Source + 'static> {
    let source = latest_of(name, || Ok(move |image: &mut Image| frames.next(image)), clock)?;
    Ok(Latest { source, _guard: guard })
}

/// As [`latest`], for a device that must stay on the thread that opens it: `open`
/// gives what reads its next picture.
///
/// # Errors
/// If the system starts no thread.
pub(super) fn latest_of<N: FnMut(&mut Image) -> Result<Next, SourceError>>(
    name: &str,
    open: impl FnOnce() -> Result<N, SourceError> + Send + 'static,
    clock: &Arc<dyn Clock>,
) -> io::Result<PushSource> {
    let (pusher, source) = push::pair(Arc::clone(clock));
    let clock = Arc::clone(clock);
    let body = move || {
        let mut next = match open() {
            Ok(next) => next,
            Err(error) => return pusher.fail(error),
        };
        let mut image = Image::default();
        while pusher.is_read() {
            match next(&mut image) {
                Ok(Next::Picture { .. }) => drop(pusher.push(&mut image, clock.now())),
                Ok(Next::Later) => {}
                Ok(Next::End) => return,
                Err(error) => return pusher.fail(error),
            }
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(body)?;
    Ok(source)
}

struct Latest {
    source: PushSource,
    _guard: Box<dyn Send>,
}

impl Source for Latest {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        self.source.read(image)
    }
}
