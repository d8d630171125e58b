//! The running pipeline: starts the threads, lets the application add sinks,
//! switch models and read the counters, and stops everything.

mod capture;
mod finish;
mod infer;
mod load;
mod outlets;
mod prepare;
mod present;
mod shared;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Report;
use crate::pace::Rate;
use crate::port::{BuildStage, Clock, OpenSource, Sink};
use crate::settings::{Live, Settings};
use crate::stats::{Counts, Snapshot};
use present::Present;
use shared::Shared;

pub use outlets::SinkId;

/// What a pipeline is made of.
pub struct Parts<S> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Opens the source, again after each failure.
    pub source: OpenSource,
    /// Builds the stage, again after each panic. The first time too this runs
    /// beside capture, which drops its frames until there is a stage.
    pub stage: BuildStage<S>,
    /// What may change while it runs; the caller keeps a handle.
    pub settings: Arc<Live<Settings<S>>>,
    /// Told what the user should know.
    pub report: Report,
}

/// Threads at work. Dropping it tells them to end; [`Pipeline::stop`] also waits
/// for them.
pub struct Pipeline<S: Send + Sync + 'static> {
    shared: Arc<Shared<S>>,
}

impl<S: Send + Sync + 'static> Pipeline<S> {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn start(parts: Parts<S>) -> Result<Self, io::Error> {
        let Parts { clock, source, stage, settings, report } = parts;
        let shared = Arc::new(Shared::new(clock, settings, report));
        let pipeline = Self { shared };
        let shared = &pipeline.shared;
        shared.spawn("capture", |shared| capture::run(shared, source))?;
        shared.spawn("prepare", prepare::run)?;
        shared.spawn("infer", |shared| infer::run(shared, stage))?;
        shared.spawn("finish", finish::run)?;
        shared.spawn("load", load::run)?;
        Ok(pipeline)
    }

    /// Adds a sink, which first shows the picture that is on display, if any.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn add_sink(
        &self,
        name: &str,
        rate: Rate,
        sink: Box<dyn Sink>,
    ) -> Result<SinkId, io::Error> {
        let outlet = self.shared.outlets.add(name, &self.shared.stats);
        let id = outlet.id;
        let present = Present::new(outlet, rate, sink);
        let spawned = self.shared.spawn(name, |shared| present.run(shared));
        spawned.inspect_err(|_| self.remove_sink(id)).map(|()| id)
    }

    /// Ends a sink after the picture that it is showing; it is not waited for.
    pub fn remove_sink(&self, id: SinkId) {
        self.shared.outlets.remove(id, &self.shared.stats);
    }

    /// Builds another stage beside the running one and switches to it once it is
    /// ready. A request that comes before this one has begun replaces it.
    pub fn load(&self, build: BuildStage<S>) {
        self.shared.requests.put(build);
    }

    /// What may change while it runs.
    pub fn settings(&self) -> &Arc<Live<Settings<S>>> {
        &self.shared.settings
    }

    /// The counts of frames.
    pub fn counts(&self) -> Counts {
        self.shared.stats.counts()
    }

    /// Counts and durations.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.stats.snapshot(self.shared.clock.now())
    }

    /// Ends all threads after what they are doing, waits for them for up to
    /// `patience`, and returns the last counts. A thread that a port holds up for
    /// longer is reported and left behind. A stopped pipeline stays stopped.
    pub fn stop(&self, patience: Duration) -> Snapshot {
        self.shared.shut();
        self.shared.join(patience);
        self.snapshot()
    }
}

impl<S: Send + Sync + 'static> Drop for Pipeline<S> {
    fn drop(&mut self) {
        self.shared.shut();
    }
}
