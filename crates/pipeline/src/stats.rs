//! What happened to the frames, and how long it took. Every captured frame is
//! in exactly one of the counts at any time, and a snapshot is of one moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::frame::{Span, Step};
use crate::histogram::{Percentiles, Timing};
use crate::port::Kind;
use crate::sync::lock;

/// Counts of frames. `captured` is the sum of `dropped`, `skipped`, `failed`,
/// `generated` and `in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames that the source gave.
    pub captured: u64,
    /// Replaced by a newer one before the model took them, or left at the end.
    pub dropped: u64,
    /// Not inferred because they show what the last one did.
    pub skipped: u64,
    /// Taken by the model, which failed.
    pub failed: u64,
    /// Inferred.
    pub generated: u64,
    /// On their way to the model or in it.
    pub in_flight: u64,
    /// Of the generated ones, those replaced before they were finished.
    pub discarded: u64,
}

/// What becomes of a captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// See [`Counts::dropped`].
    Dropped,
    /// See [`Counts::skipped`].
    Skipped,
    /// See [`Counts::failed`].
    Failed,
    /// See [`Counts::generated`].
    Generated,
}

/// Durations since the start, and over the last five to ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Durations {
    /// Since the start.
    pub total: Percentiles,
    /// Over the last five to ten seconds.
    pub recent: Percentiles,
}

/// One moment's counts and durations.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Time since the clock's start in milliseconds.
    pub at_ms: f64,
    /// Frames.
    pub frames: Counts,
    /// Crop, resize, normalise.
    pub prepare: Durations,
    /// The model.
    pub infer: Durations,
    /// To 8 bits, smooth, blend.
    pub finish: Durations,
    /// One entry for each sink, those that are gone left out.
    pub sinks: Vec<SinkSnapshot>,
}

/// One sink's counts and durations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkSnapshot {
    /// Number of the sink.
    pub id: u64,
    /// Its name.
    #[serde(serialize_with = "as_str")]
    pub name: Arc<str>,
    /// What it showed.
    #[serde(flatten)]
    pub shown: ShownCounts,
    /// How long it takes to show a picture.
    pub show: Durations,
    /// From capture until a picture is shown for the first time.
    pub latency: Durations,
}

/// Pictures that a sink showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShownCounts {
    /// Generated pictures, each for the first time.
    pub unique: u64,
    /// The same ones again.
    pub repeated: u64,
    /// Blends of two.
    pub interpolated: u64,
    /// Generated pictures replaced before this sink took them.
    pub missed: u64,
}

/// The counters, shared by all threads.
#[derive(Debug, Default)]
pub struct Stats {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    steps: [Timing; 3],
    sinks: Vec<SinkStats>,
}

#[derive(Debug)]
struct SinkStats {
    id: u64,
    name: Arc<str>,
    shown: ShownCounts,
    show: Timing,
    latency: Timing,
}

impl Stats {
    /// A frame was captured.
    pub fn captured(&self) {
        let counts = &mut lock(&self.inner).counts;
        counts.captured += 1;
        counts.in_flight += 1;
    }

    /// A captured frame met its fate.
    pub fn ended(&self, fate: Fate) {
        let counts = &mut lock(&self.inner).counts;
        counts.in_flight -= 1;
        match fate {
            Fate::Dropped => counts.dropped += 1,
            Fate::Skipped => counts.skipped += 1,
            Fate::Failed => counts.failed += 1,
            Fate::Generated => counts.generated += 1,
        }
    }

    /// A generated frame was replaced before it was finished.
    pub fn discarded(&self) {
        lock(&self.inner).counts.discarded += 1;
    }

    /// A step took this long.
    pub fn step(&self, step: Step, span: Span) {
        lock(&self.inner).steps[step as usize].record(span.end, span.length());
    }

    /// Frames, without the durations.
    pub fn counts(&self) -> Counts {
        lock(&self.inner).counts
    }

    pub(crate) fn add_sink(&self, id: u64, name: Arc<str>) {
        let (shown, show, latency) = Default::default();
        lock(&self.inner).sinks.push(SinkStats { id, name, shown, show, latency });
    }

    pub(crate) fn remove_sink(&self, id: u64) {
        lock(&self.inner).sinks.retain(|sink| sink.id != id);
    }

    pub(crate) fn missed(&self, id: u64) {
        self.with_sink(id, |sink| sink.shown.missed += 1);
    }

    /// A sink showed a picture whose light was caught at `captured`.
    pub(crate) fn shown(&self, id: u64, kind: Kind, captured: Duration, show: Span) {
        self.with_sink(id, |sink| {
            sink.show.record(show.end, show.length());
            match kind {
                Kind::Unique => {
                    sink.shown.unique += 1;
                    sink.latency.record(show.end, show.end.saturating_sub(captured));
                }
                Kind::Repeated => sink.shown.repeated += 1,
                Kind::Interpolated => sink.shown.interpolated += 1,
            }
        });
    }

    fn with_sink(&self, id: u64, change: impl FnOnce(&mut SinkStats)) {
        if let Some(sink) = lock(&self.inner).sinks.iter_mut().find(|sink| sink.id == id) {
            change(sink);
        }
    }

    /// Everything as it is `now`.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let mut inner = lock(&self.inner);
        let [prepare, infer, finish] = inner.steps.each_mut().map(|timing| durations(timing, now));
        Snapshot {
            at_ms: now.as_secs_f64() * 1e3,
            frames: inner.counts,
            prepare,
            infer,
            finish,
            sinks: inner.sinks.iter_mut().map(|sink| sink.snapshot(now)).collect(),
        }
    }
}

impl SinkStats {
    fn snapshot(&mut self, now: Duration) -> SinkSnapshot {
        SinkSnapshot {
            id: self.id,
            name: Arc::clone(&self.name),
            shown: self.shown,
            show: durations(&mut self.show, now),
            latency: durations(&mut self.latency, now),
        }
    }
}

fn durations(timing: &mut Timing, now: Duration) -> Durations {
    Durations { total: timing.total(), recent: timing.recent(now) }
}

fn as_str<S: serde::Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}
