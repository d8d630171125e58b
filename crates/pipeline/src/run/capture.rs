//! The capture thread: reads the source as fast as it gives pictures, or as they
//! are wanted, and keeps the newest. A source that fails is opened again until it
//! works.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::backoff::Backoff;
use crate::demand::Wanted;
use crate::event::Event;
use crate::guard::guarded;
use crate::image::Image;
use crate::port::{Aim, OpenSource, PortError, Read, Source};
use crate::recycle::Recycler;
use crate::stats::Fate;

/// Pictures alive at once: one in each of the threads and slots from here to
/// `finish`, and one to spare.
const POOL: usize = 8;

/// A camera's picture.
pub(super) struct Captured {
    pub(super) image: Arc<Image>,
    /// From 0.
    pub(super) sequence: u64,
    pub(super) at: Duration,
}

pub(super) fn run<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>, open: OpenSource) {
    let (pool, backoff) = (Recycler::new(POOL), Backoff::new());
    Capture { shared, pool, sequence: 0, is_lost: false, backoff }.run(open);
}

struct Capture<'a, S> {
    shared: &'a Shared<S>,
    pool: Recycler<Image>,
    sequence: u64,
    is_lost: bool,
    backoff: Backoff,
}

impl<S: Send + Sync + 'static> Capture<'_, S> {
    fn run(&mut self, mut open: OpenSource) {
        while !self.shared.is_stopped() {
            let failed = guarded(&mut open)
                .map_err(PortError::from)
                .and_then(|source| self.read_all(source));
            match failed {
                Ok(()) => return,
                Err(error) => self.note_lost(error),
            }
            self.shared.pause(self.backoff.fail());
        }
    }

    /// Reads until the pipeline stops or the source ends.
    fn read_all(&mut self, mut source: Box<dyn Source>) -> Result<(), PortError> {
        while !self.shared.is_stopped() {
            let rests = source.rests();
            let wanted = if rests {
                let wanted = self.shared.demand.wait_to_draw(&*self.shared.clock);
                if wanted.is_none() {
                    return Ok(());
                }
                wanted
            } else {
                self.shared.demand.wanted()
            };
            if let Some(Wanted { size, surface }) = wanted {
                let fit = self.shared.settings.get().value.view.fit;
                source.aim(Aim { size, fit, surface });
            }
            let read = |image: &mut Image| guarded(|| source.read(image));
            let (image, read) = self.pool.fill(|_| true, Image::default, read);
            if let Some(note) = source.note() {
                self.shared.report(Event::SourceNotes(note));
            }
            match read? {
                Read::Picture { captured } if image.size().area() > 0 => {
                    if rests {
                        self.shared.demand.drawn(self.shared.clock.now());
                    }
                    self.pass(image, captured);
                }
                Read::Picture { .. } => return Err("the source gave an empty picture".into()),
                Read::Nothing => {}
                Read::End => {
                    self.shared.report(Event::SourceEnded);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn pass(&mut self, image: Arc<Image>, at: Duration) {
        self.note_back();
        self.backoff.succeed();
        self.shared.stats.captured();
        let captured = Captured { image, sequence: self.sequence, at };
        self.sequence += 1;
        if self.shared.captured.put(captured).is_some() {
            self.shared.stats.ended(Fate::Dropped);
        }
    }

    fn note_lost(&mut self, error: PortError) {
        if !self.is_lost {
            self.is_lost = true;
            self.shared.report(Event::SourceLost(error));
        }
    }

    fn note_back(&mut self) {
        if self.is_lost {
            self.is_lost = false;
            self.shared.report(Event::SourceBack);
        }
    }
}
