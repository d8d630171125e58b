//! The two ends of a window: the sink, on its own thread, leaves the newest
//! picture and waits until the other end, on the main thread, has shown it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use laterna_pipeline::Image;
use laterna_pipeline::port::{PortError, Shown, Sink};

use super::WindowError;

/// A hidden window shows nothing, and its pictures count as shown after this.
const HIDDEN: Duration = Duration::from_secs(1);

type Wake = Box<dyn Fn() + Send>;

/// Makes the two ends of a window that is not open yet.
pub fn pair() -> (WindowSink, Feed) {
    let shared = Arc::new(Shared::default());
    (WindowSink { shared: Arc::clone(&shared) }, Feed { shared })
}

/// The pipeline's end.
pub struct WindowSink {
    shared: Arc<Shared>,
}

/// The window's end, for [`run`](super::run). Dropping it ends the sink.
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    presented: Condvar,
}

#[derive(Default)]
struct State {
    /// The newest picture, and how many there have been.
    image: Image,
    put: u64,
    /// The number of the picture that the window took last, and showed last.
    taken: u64,
    shown: u64,
    closed: bool,
    wake: Option<Wake>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WindowSink {
    /// Leaves `image` to be shown, and waits until it is or `limit` has passed.
    fn put(&self, image: &Image, limit: Duration) -> Result<(), WindowError> {
        let mut state = self.shared.lock();
        state.image.copy_from(image);
        state.put += 1;
        let number = state.put;
        if let Some(wake) = &state.wake {
            wake();
        }
        let waits = |state: &mut State| state.shown < number && !state.closed;
        let waited = self.shared.presented.wait_timeout_while(state, limit, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(WindowError::Closed) } else { Ok(()) }
    }
}

impl Sink for WindowSink {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        Ok(self.put(shown.image, HIDDEN)?)
    }
}

impl Feed {
    /// Calls `wake` whenever there is a new picture, and now.
    pub(super) fn wake_with(&self, wake: Wake) {
        self.shared.lock().wake.insert(wake)();
    }

    /// Takes the newest picture, if there is a new one, and leaves the old buffer.
    pub(super) fn take(&self, image: &mut Image) -> bool {
        let mut state = self.shared.lock();
        let new = state.taken < state.put;
        if new {
            std::mem::swap(&mut state.image, image);
            state.taken = state.put;
        }
        new
    }

    /// The picture taken last is on its way to the glass.
    pub(super) fn presented(&self) {
        let mut state = self.shared.lock();
        state.shown = state.taken;
        drop(state);
        self.shared.presented.notify_all();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.wake = None;
        drop(state);
        self.shared.presented.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use laterna_pipeline::Size;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn grey(value: u8) -> Image {
        let mut image = Image::new(Size::new(1, 1));
        image.rgb_mut().fill(value);
        image
    }

    #[test]
    fn a_picture_is_out_when_it_was_presented() {
        let (sink, feed) = pair();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        feed.wake_with(Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let showing = thread::spawn(move || (sink.put(&grey(7), LONG), sink));
        let mut image = Image::default();
        while !feed.take(&mut image) {
            thread::yield_now();
        }
        assert_eq!((image, woken.load(Ordering::SeqCst)), (grey(7), 2));
        assert!(!showing.is_finished());
        feed.presented();
        let (shown, _sink) = showing.join().unwrap();
        assert_eq!(shown, Ok(()));
        assert!(!feed.take(&mut Image::default()));
    }

    #[test]
    fn the_newest_picture_is_taken() {
        let (sink, feed) = pair();
        for value in 1..=3 {
            assert_eq!(sink.put(&grey(value), Duration::ZERO), Ok(()));
        }
        let mut image = Image::default();
        assert!(feed.take(&mut image));
        assert_eq!(image, grey(3));
    }

    #[test]
    fn a_closed_window_ends_its_sink_at_once() {
        let (sink, feed) = pair();
        let start = Instant::now();
        let showing = thread::spawn(move || (sink.put(&grey(1), LONG), sink));
        thread::sleep(Duration::from_millis(20));
        drop(feed);
        let (shown, sink) = showing.join().unwrap();
        assert_eq!(shown, Err(WindowError::Closed));
        assert_eq!(sink.put(&grey(2), LONG), Err(WindowError::Closed));
        assert!(start.elapsed() < LONG / 2);
    }
}
