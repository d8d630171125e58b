//! What the threads share: the slots between them, the counters, and the list
//! of the threads themselves.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::capture::Captured;
use super::infer::Generated;
use super::load::Loaded;
use super::outlets::Outlets;
use super::prepare::Prepared;
use crate::bell::Bell;
use crate::demand::Demand;
use crate::event::{Event, Report};
use crate::guard;
use crate::port::{BuildStage, Clock};
use crate::settings::{Live, Settings};
use crate::slot::Slot;
use crate::stats::{Fate, Stats};
use crate::sync::lock;

pub(super) struct Shared<S> {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Arc<Live<Settings<S>>>,
    pub(super) stats: Stats,
    pub(super) captured: Slot<Captured>,
    pub(super) prepared: Slot<Prepared>,
    pub(super) generated: Slot<Generated>,
    pub(super) demand: Demand,
    pub(super) requests: Slot<BuildStage<S>>,
    pub(super) loaded: Slot<Loaded<S>>,
    pub(super) outlets: Outlets,
    report: Report,
    /// Never filled: it is closed when the pipeline stops.
    stop: Slot<Infallible>,
    threads: Mutex<Vec<Thread>>,
    ended: Arc<Bell>,
}

struct Thread {
    name: String,
    ended: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Thread {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl<S: Send + Sync + 'static> Shared<S> {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        settings: Arc<Live<Settings<S>>>,
        report: Report,
    ) -> Self {
        Self {
            clock,
            settings,
            stats: Stats::default(),
            captured: Slot::new(),
            prepared: Slot::new(),
            generated: Slot::new(),
            demand: Demand::default(),
            requests: Slot::new(),
            loaded: Slot::new(),
            outlets: Outlets::default(),
            report,
            stop: Slot::new(),
            threads: Mutex::default(),
            ended: Arc::default(),
        }
    }

    pub(super) fn report(&self, event: Event) {
        (self.report)(event);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_closed()
    }

    /// Waits, unless the pipeline stops; says whether it goes on.
    pub(super) fn pause(&self, length: Duration) -> bool {
        self.stop.hold(&*self.clock, self.clock.now() + length)
    }

    /// Starts a thread and lists it; forgets those that have ended.
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Result<(), io::Error> {
        let (shared, ended) = (Arc::clone(self), Arc::new(AtomicBool::new(false)));
        let thread = name.to_owned();
        let end = Arc::clone(&ended);
        let body = move || {
            shared.contain(thread, body);
            end.store(true, Ordering::Release);
            shared.ended.ring();
        };
        let handle = self.clock.spawn(name, Box::new(body))?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.has_ended());
        threads.push(Thread { name: name.to_owned(), ended, handle });
        Ok(())
    }

    /// A panic of the pipeline's own is a bug; it ends all threads rather than
    /// leave some waiting.
    fn contain(self: &Arc<Self>, thread: String, body: impl FnOnce(&Arc<Self>)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(self))) {
            self.report(Event::Broken { thread, message: guard::message(&*payload) });
            self.shut();
        }
    }

    /// Closes every slot, counting what is left in them.
    pub(super) fn shut(&self) {
        self.stop.close();
        self.demand.close();
        let left = [self.captured.close().is_some(), self.prepared.close().is_some()];
        left.into_iter().filter(|&left| left).for_each(|_| self.stats.ended(Fate::Dropped));
        if self.generated.close().is_some() {
            self.stats.discarded();
        }
        drop(self.requests.close());
        drop(self.loaded.close());
        self.outlets.close(&self.stats);
    }

    /// Waits for all threads, which have been told to end.
    pub(super) fn join(&self, patience: Duration) {
        let threads = mem::take(&mut *lock(&self.threads));
        let deadline = self.clock.now() + patience;
        loop {
            let seen = self.ended.rings();
            if threads.iter().all(Thread::has_ended) || self.clock.now() >= deadline {
                break;
            }
            self.clock.wait(&self.ended, seen, Some(deadline));
        }
        let (ended, busy): (Vec<_>, Vec<_>) = threads.into_iter().partition(Thread::has_ended);
        ended.into_iter().for_each(|thread| drop(thread.handle.join()));
        if !busy.is_empty() {
            let threads = busy.into_iter().map(|thread| thread.name).collect();
            self.report(Event::LeftBehind { threads, patience });
        }
    }
}
