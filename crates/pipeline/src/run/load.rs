//! The load thread: builds another stage beside the running picture, which goes
//! on until the new one is ready.

use std::sync::Arc;

use super::shared::Shared;
use crate::event::Event;
use crate::guard::guarded;
use crate::port::{BuildStage, PortError, Stage};
use crate::slot::Taken;

/// A stage to switch to, and what builds it again.
pub(super) struct Loaded<S> {
    pub(super) stage: Box<dyn Stage<S>>,
    pub(super) build: BuildStage<S>,
}

pub(super) fn run<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>) {
    while let Taken::Value(mut build) = shared.requests.take(&*shared.clock, None) {
        match guarded(&mut build) {
            Ok(stage) => drop(shared.loaded.put(Loaded { stage, build })),
            Err(fault) => shared.report(Event::LoadFailed(PortError::from(fault))),
        }
    }
}
