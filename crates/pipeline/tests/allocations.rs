//! In the steady state no thread allocates: an allocator of our own counts.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::time::Duration;

use laterna_pipeline::frame::Step;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::sim::SimClock;
use laterna_testing::{Counting, allocations};

mod support;
use support::{Camera, Model, Rig, Screen, ms};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// No test harness: its own thread allocates now and then, and would be counted.
fn main() {
    a_frame_allocates_nothing();
    println!("test a_frame_allocates_nothing ... ok");
}

fn a_frame_allocates_nothing() {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(3));
    clock.set_cost(Step::Finish, ms(2));
    let camera = Camera::new(&clock, ms(16));
    let rig = Rig::start(camera, Model::new(&clock, |call| ms(20 + call * 7 % 50)));
    rig.change(|settings| {
        (settings.smoothing, settings.camera) = (0.4, 0.2);
        settings.similarity.threshold = 0.001;
    });
    let mut stalled = Screen::new(&clock);
    stalled.act = |number| (ms(10 + number as u64 % 7 * 90), support::Act::Work);
    let rates = [
        Rate::Arrival,
        Rate::AtLeast { fps: 30.0 },
        Rate::Fixed { fps: 60.0, interpolate: false },
        Rate::Fixed { fps: 60.0, interpolate: true },
    ];
    for rate in rates {
        rig.show("screen", rate, &Screen::new(&clock));
        rig.show("stalled", rate, &stalled);
    }
    rig.clock.sleep(Duration::from_secs(10));
    let (frames, before) = (rig.pipeline.counts(), allocations());
    rig.clock.sleep(Duration::from_secs(30));
    let allocations = allocations() - before;
    let generated = rig.pipeline.counts().generated - frames.generated;
    rig.pipeline.stop(Duration::from_secs(1));
    assert!(generated > 500, "{generated}");
    assert_eq!(allocations, 0);
}
