//! A source that another thread feeds: pictures from a browser, a test, another
//! program. Nothing queues, the latest picture wins, and feeding never waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use laterna_pipeline::port::{Clock, PortError, Read, Source};
use laterna_pipeline::{Bell, Image, Slot, Taken};

use super::player::PATIENCE;

/// Makes both ends. `clock` is the pipeline's.
pub fn pair(clock: Arc<dyn Clock>) -> (Pusher, PushSource) {
    let shared = Arc::new(Shared::default());
    (Pusher { shared: Arc::clone(&shared) }, PushSource { shared, clock })
}

#[derive(Debug, Default)]
struct Shared {
    pictures: Slot<(Image, Duration)>,
    /// Buffers on their way back.
    free: Slot<Image>,
    failure: Mutex<Option<PortError>>,
    is_over: AtomicBool,
    /// A picture is being waited for.
    is_wanted: AtomicBool,
    wanted: Bell,
}

/// The end that is fed. When it is dropped, the source ends after the last
/// picture.
#[derive(Debug)]
pub struct Pusher {
    shared: Arc<Shared>,
}

impl Pusher {
    /// Takes the picture out of `image`, leaves a used buffer there, and makes it
    /// the latest; `captured` is a time of the clock. False if nobody reads any
    /// more.
    pub fn push(&self, image: &mut Image, captured: Duration) -> bool {
        let spare = self.shared.free.try_take().unwrap_or_default();
        let picture = std::mem::replace(image, spare);
        if let Some((replaced, _)) = self.shared.pictures.put((picture, captured)) {
            self.shared.free.put(replaced);
        }
        self.is_read()
    }

    /// Ends the source with an error, which a pipeline answers by opening it
    /// again.
    pub fn fail(self, error: impl Into<PortError>) {
        let failure = &mut *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = Some(error.into());
    }

    /// Whether the source still exists.
    pub fn is_read(&self) -> bool {
        !self.shared.pictures.is_closed()
    }

    /// What tells when the next picture is wanted, for another thread.
    pub fn demand(&self) -> Demand {
        Demand { shared: Arc::clone(&self.shared) }
    }
}

/// When pictures are wanted. Those that come earlier need not even be decoded.
#[derive(Clone, Debug)]
pub struct Demand {
    shared: Arc<Shared>,
}

impl Demand {
    /// Waits until a picture is wanted, for at most `limit` of the system's time;
    /// says whether one is.
    pub fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let seen = self.shared.wanted.rings();
            if self.shared.is_wanted.load(Ordering::Acquire) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.shared.wanted.wait_for(seen, left);
        }
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
    }
}

/// The end that the pipeline reads.
pub struct PushSource {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

impl Source for PushSource {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        // Looked at first: what is pushed before the end is then seen below.
        let is_over = self.shared.is_over.load(Ordering::Acquire);
        let deadline = self.clock.now() + PATIENCE;
        if !self.shared.is_wanted.swap(true, Ordering::AcqRel) {
            self.shared.wanted.ring();
        }
        match self.shared.pictures.take(&*self.clock, Some(deadline)) {
            Taken::Value((mut picture, captured)) => {
                self.shared.is_wanted.store(false, Ordering::Release);
                std::mem::swap(&mut picture, image);
                self.shared.free.put(picture);
                Ok(Read::Picture { captured })
            }
            Taken::Late if is_over => self.shared.ending(),
            Taken::Late => Ok(Read::Nothing),
            Taken::Closed => Ok(Read::End),
        }
    }

    /// The newest picture waits in its slot.
    fn rests(&self) -> bool {
        true
    }
}

impl Drop for PushSource {
    fn drop(&mut self) {
        self.shared.pictures.close();
    }
}

impl Shared {
    fn ending(&self) -> Result<Read, PortError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(Read::End), Err)
    }
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::sim::SimClock;
    use laterna_pipeline::{Size, SystemClock};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pixel(value: u8) -> Image {
        let mut image = Image::new(Size::new(1, 1));
        image.rgb_mut().fill(value);
        image
    }

    #[test]
    fn the_latest_picture_is_read_with_its_time() {
        let clock = SimClock::new();
        let (pusher, mut source) = pair(Arc::new(clock.clone()));
        let mut image = Image::default();
        assert_eq!(source.read(&mut image).unwrap(), Read::Nothing);
        assert_eq!(clock.now(), PATIENCE);
        assert!(pusher.push(&mut pixel(1), MS));
        assert!(pusher.push(&mut pixel(2), 2 * MS));
        assert_eq!(source.read(&mut image).unwrap(), Read::Picture { captured: 2 * MS });
        assert_eq!((image.rgb()[0], clock.now()), (2, PATIENCE));
        assert_eq!(source.read(&mut image).unwrap(), Read::Nothing);
    }

    #[test]
    fn a_picture_is_wanted_from_a_read_until_it_has_one() {
        let (pusher, mut source) = pair(Arc::new(SimClock::new()));
        let (demand, mut image) = (pusher.demand(), Image::default());
        assert!(!demand.wait(MS));
        assert_eq!(source.read(&mut image).unwrap(), Read::Nothing);
        assert!(demand.wait(Duration::from_secs(60)));
        pusher.push(&mut pixel(1), MS);
        assert!(demand.wait(MS), "it has not been read yet");
        source.read(&mut image).unwrap();
        assert!(!demand.wait(MS));
    }

    #[test]
    fn buffers_go_around() {
        let (pusher, mut source) = pair(Arc::new(SimClock::new()));
        let (mut fed, mut read) = (pixel(0), pixel(0));
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..100 {
            fed.reset(Size::new(1, 1));
            seen.insert(fed.rgb().as_ptr());
            pusher.push(&mut fed, MS);
            if round % 3 > 0 {
                source.read(&mut read).unwrap();
            }
        }
        assert!(seen.len() <= 4, "{} buffers", seen.len());
    }

    #[test]
    fn the_source_ends_after_the_last_picture() {
        let (pusher, mut source) = pair(Arc::new(SimClock::new()));
        pusher.push(&mut pixel(7), MS);
        drop(pusher);
        let mut image = Image::default();
        assert_eq!(source.read(&mut image).unwrap(), Read::Picture { captured: MS });
        assert_eq!(source.read(&mut image).unwrap(), Read::End);
    }

    #[test]
    fn a_failure_is_the_sources_error() {
        let (pusher, mut source) = pair(Arc::new(SimClock::new()));
        pusher.fail("the page went away");
        let error = source.read(&mut Image::default()).unwrap_err();
        assert_eq!(error.to_string(), "the page went away");
    }

    #[test]
    fn the_pusher_learns_that_nobody_reads() {
        let (pusher, source) = pair(Arc::new(SimClock::new()));
        assert!(pusher.is_read());
        drop(source);
        assert!(!pusher.push(&mut pixel(1), MS) && !pusher.is_read());
    }

    #[test]
    fn a_picture_from_another_thread_wakes_the_reader() {
        let clock = SystemClock::start();
        let (pusher, mut source) = pair(Arc::new(clock));
        let feeder = std::thread::spawn(move || {
            for value in 0..50 {
                pusher.push(&mut pixel(value), clock.now());
                std::thread::sleep(MS / 4);
            }
        });
        let (mut image, mut last) = (Image::default(), None);
        loop {
            match source.read(&mut image).unwrap() {
                Read::Picture { captured } => {
                    assert!(last < Some((image.rgb()[0], captured)));
                    last = Some((image.rgb()[0], captured));
                }
                Read::Nothing => {}
                Read::End => break,
            }
        }
        feeder.join().unwrap();
        assert_eq!(last.unwrap().0, 49);
    }
}
