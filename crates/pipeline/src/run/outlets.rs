//! The slots of the sinks: one each, so that a stalled sink holds up nobody.

use std::sync::{Arc, Mutex};

use crate::frame::Frame;
use crate::slot::Slot;
use crate::stats::Stats;
use crate::sync::lock;

/// Names a sink of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId(pub(super) u64);

impl SinkId {
    /// The number under which snapshots list the sink.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// One sink's slot.
pub(super) struct Outlet {
    pub(super) id: SinkId,
    pub(super) name: Arc<str>,
    pub(super) slot: Slot<Arc<Frame>>,
    /// The frame that was on display when the sink came: not new.
    pub(super) joined_at: Option<u64>,
}

#[derive(Default)]
pub(super) struct Outlets {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    outlets: Vec<Arc<Outlet>>,
    last: Option<Arc<Frame>>,
    next: u64,
    closed: bool,
}

impl Outlets {
    pub(super) fn add(&self, name: &str, stats: &Stats) -> Arc<Outlet> {
        let mut list = lock(&self.list);
        let outlet = Arc::new(Outlet {
            id: SinkId(list.next),
            name: name.into(),
            slot: Slot::new(),
            joined_at: list.last.as_ref().map(|frame| frame.trail.sequence),
        });
        list.next += 1;
        stats.add_sink(outlet.id.0, Arc::clone(&outlet.name));
        if let Some(last) = &list.last {
            outlet.slot.put(Arc::clone(last));
        }
        if list.closed {
            outlet.slot.close();
        } else {
            list.outlets.push(Arc::clone(&outlet));
        }
        outlet
    }

    pub(super) fn remove(&self, id: SinkId, stats: &Stats) {
        let mut list = lock(&self.list);
        list.outlets.iter().filter(|outlet| outlet.id == id).for_each(|outlet| {
            outlet.slot.close();
        });
        list.outlets.retain(|outlet| outlet.id != id);
        stats.remove_sink(id.0);
    }

    /// Gives every sink the frame.
    pub(super) fn put(&self, frame: &Arc<Frame>, stats: &Stats) {
        let mut list = lock(&self.list);
        for outlet in &list.outlets {
            if outlet.slot.put(Arc::clone(frame)).is_some() {
                stats.missed(outlet.id.0);
            }
        }
        list.last = Some(Arc::clone(frame));
    }

    pub(super) fn close(&self, stats: &Stats) {
        let mut list = lock(&self.list);
        list.closed = true;
        for outlet in &list.outlets {
            if outlet.slot.close().is_some() {
                stats.missed(outlet.id.0);
            }
        }
    }
}
