//! The way of a picture from the session to one viewer: a place for one picture,
//! and the next one is made only when the viewer has shown the last. So neither
//! the server nor the network holds pictures that grow old.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use laterna_pipeline::port::{Kind, PortError, Shown, Sink};
use laterna_pipeline::{Image, Size};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::app::{App, EncodeJpeg};
use crate::rgba;
use crate::shrink::{bounded, shrink};

/// What a viewer wants to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    /// Widest picture in pixels; 0: as it is painted.
    pub(crate) width: usize,
    pub(crate) coding: Coding,
    /// The camera's picture too.
    pub(crate) compare: bool,
}

/// How pictures are written for a viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Coding {
    /// As JPEG; `quality` goes from 1 to 100.
    Jpeg { quality: u8 },
    /// Bare pixels, four bytes each.
    Rgba,
}

/// A picture as it goes to a viewer.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// Its size if it is bare pixels; nothing of a JPEG.
    pub(crate) size: Size,
}

/// A picture on its way.
#[derive(Debug)]
pub(crate) struct Picture {
    /// What the viewer acknowledges.
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) sequence: u64,
    pub(crate) captured: Duration,
    pub(crate) sent: Duration,
    pub(crate) settings: u64,
    pub(crate) scene: u64,
    /// How long the model was at work on it.
    pub(crate) inference: Duration,
    /// Empty if it is the one that the viewer has.
    pub(crate) painting: Encoded,
    /// Empty unless it was asked for.
    pub(crate) camera: Encoded,
}

/// Why a viewer gets no more pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Closed {
    /// The viewer has gone or wants another view.
    #[error("the viewer has gone")]
    Gone,
    /// It has not shown its last picture in time.
    #[error("the viewer is too slow")]
    Slow,
}

/// The place of one picture.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    state: Mutex<Place>,
    acknowledged: Condvar,
    ready: Notify,
    closing: watch::Sender<Option<Closed>>,
}

#[derive(Debug, Default)]
struct Place {
    picture: Option<Picture>,
    /// The last number that was taken.
    taken: u64,
    acknowledged: u64,
    closed: Option<Closed>,
}

impl Outlet {
    /// Waits for the next picture. It is safe to give up waiting.
    pub(crate) async fn take(&self) -> Result<Picture, Closed> {
        loop {
            if let Some(taken) = self.poll() {
                return taken;
            }
            self.ready.notified().await;
        }
    }

    fn poll(&self) -> Option<Result<Picture, Closed>> {
        let mut place = self.lock();
        if let Some(picture) = place.picture.take() {
            place.taken = picture.number;
            return Some(Ok(picture));
        }
        place.closed.map(Err)
    }

    /// The viewer has shown this picture and all before it. One that it has not
    /// got yet cannot be acknowledged in advance.
    pub(crate) fn acknowledge(&self, number: u64) {
        let mut place = self.lock();
        place.acknowledged = place.acknowledged.max(number.min(place.taken));
        self.acknowledged.notify_all();
    }

    /// No more pictures; the first reason stays.
    pub(crate) fn close(&self, why: Closed) {
        let why = *self.lock().closed.get_or_insert(why);
        self.closing.send_replace(Some(why));
        self.acknowledged.notify_all();
        self.ready.notify_one();
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) -> Closed {
        let mut closing = self.closing.subscribe();
        let why = closing.wait_for(Option::is_some).await.ok().and_then(|why| *why);
        why.unwrap_or(Closed::Gone)
    }

    /// Puts a picture there and waits until the viewer has shown it.
    fn deliver(&self, picture: Picture, patience: Duration) -> Result<(), Closed> {
        let number = picture.number;
        self.lock().picture = Some(picture);
        self.ready.notify_one();
        let deadline = Instant::now() + patience;
        let mut place = self.lock();
        while place.acknowledged < number {
            if let Some(why) = place.closed {
                return Err(why);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(place);
                self.close(Closed::Slow);
                return Err(Closed::Slow);
            }
            let waited = self.acknowledged.wait_timeout(place, left);
            place = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session's end of an outlet. Showing a picture takes until the viewer has
/// shown it, so the session's latency is that to the viewer's glass and back.
pub(crate) struct OutletSink {
    outlet: Arc<Outlet>,
    app: Arc<dyn App>,
    encoder: Box<dyn EncodeJpeg>,
    view: View,
    patience: Duration,
    /// The last number given out, shared by the sinks of one viewer.
    numbers: Arc<AtomicU64>,
    small: Image,
    /// The sequence number of the painting that the viewer has as it is.
    has: Option<u64>,
}

impl OutletSink {
    pub(crate) fn new(
        app: Arc<dyn App>,
        outlet: Arc<Outlet>,
        view: View,
        patience: Duration,
        numbers: Arc<AtomicU64>,
    ) -> Self {
        let encoder = app.encoder();
        Self { outlet, app, encoder, view, patience, numbers, small: Image::default(), has: None }
    }

    fn picture(&mut self, shown: &Shown<'_>) -> Result<Picture, String> {
        let trail = &shown.frame.trail;
        let is_known = shown.kind == Kind::Repeated && self.has == Some(trail.sequence);
        self.has = (shown.kind != Kind::Interpolated).then_some(trail.sequence);
        let painting = if is_known { Encoded::default() } else { self.encode(shown.image)? };
        let with_camera = self.view.compare && !is_known;
        let camera =
            if with_camera { self.encode(&shown.frame.camera)? } else { Encoded::default() };
        Ok(Picture {
            number: self.numbers.fetch_add(1, Ordering::Relaxed) + 1,
            kind: shown.kind,
            sequence: trail.sequence,
            captured: trail.captured,
            sent: self.app.now(),
            settings: trail.settings,
            scene: trail.scene,
            inference: trail.infer.length(),
            painting,
            camera,
        })
    }

    fn encode(&mut self, image: &Image) -> Result<Encoded, String> {
        let size = bounded(image.size(), self.view.width);
        let image = if size == image.size() {
            image
        } else {
            shrink(image, size, &mut self.small);
            &self.small
        };
        let mut bytes = Vec::new();
        match self.view.coding {
            Coding::Jpeg { quality } => {
                self.encoder.encode(image, quality.clamp(1, 100), &mut bytes)?;
                Ok(Encoded { bytes, size: Size::default() })
            }
            Coding::Rgba => {
                rgba::write(image, &mut bytes);
                Ok(Encoded { bytes, size })
            }
        }
    }
}

impl Sink for OutletSink {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let picture = self.picture(shown)?;
        match self.outlet.deliver(picture, self.patience) {
            // Who closed it detaches it too: nothing has failed.
            Ok(()) | Err(Closed::Gone) => Ok(()),
            Err(slow) => Err(slow.into()),
        }
    }
}

impl Drop for OutletSink {
    fn drop(&mut self) {
        // Also when the session ends: the viewer's task is to hear of it.
        self.outlet.close(Closed::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(number: u64) -> Picture {
        let (captured, sent) = (Duration::ZERO, Duration::ZERO);
        let painting = Encoded { bytes: vec![1], size: Size::default() };
        let camera = Encoded::default();
        Picture {
            number,
            kind: Kind::Unique,
            sequence: number,
            captured,
            sent,
            settings: 0,
            scene: 0,
            inference: Duration::ZERO,
            painting,
            camera,
        }
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_picture_is_delivered_once_it_is_acknowledged() {
        let outlet = Arc::new(Outlet::default());
        let viewer = Arc::clone(&outlet);
        let thread = std::thread::spawn(move || {
            for number in 1..=20 {
                let picture = run(viewer.take()).unwrap();
                assert_eq!(picture.number, number);
                viewer.acknowledge(number);
            }
        });
        for number in 1..=20 {
            outlet.deliver(picture(number), Duration::from_secs(5)).unwrap();
        }
        thread.join().unwrap();
    }

    #[test]
    fn a_viewer_that_acknowledges_nothing_is_too_slow() {
        let outlet = Outlet::default();
        let delivered = outlet.deliver(picture(1), Duration::from_millis(20));
        assert_eq!(delivered, Err(Closed::Slow));
        assert_eq!(run(outlet.take()).unwrap().number, 1);
        assert_eq!(run(outlet.take()).unwrap_err(), Closed::Slow);
    }

    #[test]
    fn nothing_is_acknowledged_in_advance() {
        let outlet = Outlet::default();
        outlet.acknowledge(u64::MAX);
        let delivered = outlet.deliver(picture(1), Duration::from_millis(20));
        assert_eq!(delivered, Err(Closed::Slow));
    }

    #[test]
    fn closing_wakes_both_ends() {
        let outlet = Arc::new(Outlet::default());
        let closer = Arc::clone(&outlet);
        let thread = std::thread::spawn(move || {
            assert_eq!(run(closer.take()).unwrap().number, 1);
            closer.close(Closed::Gone);
        });
        let delivered = outlet.deliver(picture(1), Duration::from_secs(60));
        assert_eq!(delivered, Err(Closed::Gone));
        thread.join().unwrap();
        assert_eq!(run(outlet.take()).unwrap_err(), Closed::Gone);
    }
}
