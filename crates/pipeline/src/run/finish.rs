//! The finish thread: makes 8-bit pictures of the model's output, smooths and
//! blends them, and puts each into the slot of every sink.

use std::sync::Arc;

use super::infer::Generated;
use super::shared::Shared;
use crate::blend::{Smoother, compose};
use crate::frame::{Frame, Step, Trail};
use crate::port::Clock;
use crate::recycle::Recycler;
use crate::settings::Settings;
use crate::slot::Taken;

/// Frames that are used again; enough for a dozen sinks that hold two each.
const POOL: usize = 32;

pub(super) fn run<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>) {
    let mut finish = Finish { smoother: Smoother::default(), scene: 0, pool: Recycler::new(POOL) };
    let clock = &*shared.clock;
    while let Taken::Value(generated) = shared.generated.take(clock, None) {
        let settings = shared.settings.get();
        let frame = finish.frame(clock, &generated, &settings.value);
        drop(generated);
        shared.stats.step(Step::Finish, frame.trail.finish);
        shared.outlets.put(&frame, &shared.stats);
    }
}

struct Finish {
    smoother: Smoother,
    /// The scene of the pictures in the smoother.
    scene: u64,
    pool: Recycler<Frame>,
}

impl Finish {
    fn frame<S>(
        &mut self,
        clock: &dyn Clock,
        generated: &Generated,
        settings: &Settings<S>,
    ) -> Arc<Frame> {
        if self.scene != generated.trail.scene {
            self.scene = generated.trail.scene;
            self.smoother.reset();
        }
        let Self { smoother, pool, .. } = self;
        let input = &generated.input;
        let [picture, painted] = [&input.ready.tensor, &*generated.output]
            .map(|tensor| tensor.as_f32().unwrap_or_default());
        let write = |frame: &mut Frame| {
            let mut work = || compose(frame, input.size, [picture, painted], smoother, settings);
            let finish = clock.time(Step::Finish, &mut work);
            frame.trail = Trail { finish, ..generated.trail };
        };
        pool.fill(|_| true, Frame::default, write).0
    }
}
