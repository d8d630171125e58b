//! The prepare thread: makes the newest picture the model's size while the model
//! is at work on an older one.

use std::sync::Arc;

use laterna_tensor::Tensor;

use super::capture::Captured;
use super::shared::Shared;
use crate::frame::{Span, Step};
use crate::image::Size;
use crate::port::Clock;
use crate::prepare::{Prepare, View};
use crate::recycle::Recycler;
use crate::similar::Thumbnail;
use crate::stats::Fate;

/// Tensors alive at once: one in each of the threads and slots from here to
/// `finish`, and one to spare.
const POOL: usize = 6;

/// A picture that the model can read.
pub(super) struct Prepared {
    pub(super) captured: Captured,
    pub(super) ready: Arc<Ready>,
    pub(super) size: Size,
    pub(super) span: Span,
}

/// What is made of a picture.
pub(super) struct Ready {
    /// `[1, 3, height, width]`, -1..=1.
    pub(super) tensor: Tensor,
    pub(super) thumbnail: Thumbnail,
}

pub(super) fn run<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>) {
    let mut preparer = Preparer::new();
    let clock = &*shared.clock;
    while shared.captured.wait(clock) {
        let Some(wanted) = shared.demand.wait(clock) else { return };
        let Some(captured) = shared.captured.try_take() else { continue };
        shared.demand.set_preparing(true);
        let view = shared.settings.get().value.view;
        let prepared = preparer.run(clock, captured, view, wanted.size);
        shared.stats.step(Step::Prepare, prepared.span);
        shared.demand.supplied(prepared.captured.at, clock.now());
        if shared.prepared.put(prepared).is_some() {
            shared.stats.ended(Fate::Dropped);
        }
        shared.demand.set_preparing(false);
    }
}

/// Prepares pictures into tensors of its own.
pub(super) struct Preparer {
    prepare: Prepare,
    pool: Recycler<Ready>,
}

impl Preparer {
    pub(super) fn new() -> Self {
        Self { prepare: Prepare::default(), pool: Recycler::new(POOL) }
    }

    pub(super) fn run(
        &mut self,
        clock: &dyn Clock,
        captured: Captured,
        view: View,
        size: Size,
    ) -> Prepared {
        let Self { prepare, pool } = self;
        let write = |ready: &mut Ready| {
            clock.time(Step::Prepare, &mut || {
                let planes = ready.tensor.as_f32_mut().expect("prepared tensors are f32");
                prepare.run(&captured.image, view, size, planes);
                ready.thumbnail.read(planes, size);
                // Where the fit has changed meanwhile, one or two pictures are of the old one.
                let same = captured.image.size() == size && !view.mirror;
                if let Some(surface) = captured.image.surface().filter(|_| same) {
                    ready.tensor.set_surface(surface.clone());
                }
            })
        };
        let fits = |ready: &Ready| *ready.tensor.shape() == size.shape();
        let (ready, span) = pool.fill(fits, || Ready::new(size), write);
        Prepared { captured, ready, size, span }
    }
}

impl Ready {
    fn new(size: Size) -> Self {
        Self { tensor: Tensor::zeros(size.shape()), thumbnail: Thumbnail::default() }
    }
}
