//! A camera pulled out, a model that fails, panics or cannot be built.

use std::time::Duration;

use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Clock, Kind};
use laterna_pipeline::sim::SimClock;

use crate::support::{Act, Camera, Model, Rig, Screen, ms};

const PATIENCE: Duration = Duration::from_secs(1);
const READY: &str = "the model is ready at 8x8";

fn run(camera: Camera, model: Model, length: Duration) -> (Aftermath, Screen) {
    let screen = Screen::new(&camera.clock);
    let rig = Rig::start(camera, model);
    rig.show("window", Rate::AtLeast { fps: 25.0 }, &screen);
    rig.clock.sleep(length);
    let Rig { pipeline, model, events, .. } = rig;
    let frames = pipeline.stop(PATIENCE).frames;
    assert_eq!(frames.in_flight, 0);
    let lost = frames.dropped + frames.failed;
    assert_eq!(frames.captured, lost + frames.generated, "{frames:?}");
    let events = events.lock().unwrap().clone();
    (Aftermath { model, events, failed: frames.failed }, screen)
}

/// What a run leaves behind.
struct Aftermath {
    model: Model,
    events: Vec<String>,
    failed: u64,
}

#[test]
fn a_camera_is_plugged_in_again() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.unplugged = (Duration::from_secs(2), Duration::from_secs(12));
    let (rig, screen) = run(camera, Model::new(&clock, |_| ms(15)), Duration::from_secs(20));
    let lost = "the source failed, trying again: no camera";
    assert_eq!(rig.events, [READY, lost, "the source is back"]);
    let back = screen.seen().iter().find(|seen| seen.captured > ms(3000)).unwrap().captured;
    assert!((ms(12_000)..=ms(16_000)).contains(&back), "{back:?}");
    let gap = screen.seen().windows(2).map(|two| two[1].at - two[0].at).max();
    assert!(gap <= Some(ms(40)), "the last picture stays: {gap:?}");
}

#[test]
fn what_a_source_notes_is_told_and_stops_nothing() {
    let clock = SimClock::new();
    let note = |number| (number == 3).then(|| "no device scales it".to_owned());
    let camera = Camera { note, ..Camera::new(&clock, ms(20)) };
    let (rig, _) = run(camera, Model::new(&clock, |_| ms(15)), Duration::from_secs(2));
    assert_eq!(rig.events, [READY, "the source: no device scales it"]);
    assert!(rig.model.calls().len() > 90);
}

#[test]
fn a_source_that_panics_is_opened_again() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.act = |number| if number == 30 { Act::Panic } else { Act::Work };
    let (rig, screen) = run(camera, Model::new(&clock, |_| ms(15)), Duration::from_secs(2));
    let lost = "the source failed, trying again: panicked: as the test says";
    assert_eq!(rig.events, [READY, lost, "the source is back"]);
    assert!(screen.count(Kind::Unique) >= 95);
}

#[test]
fn a_panic_in_inference_keeps_the_picture_and_rebuilds_the_model() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(50));
    model.act = |call| if call == 10 { Act::Panic } else { Act::Work };
    model.build = |_| (ms(700), Act::Work);
    let (rig, screen) = run(Camera::new(&clock, ms(20)), model, Duration::from_secs(5));
    let panic = "the model panicked, building it again: as the test says";
    assert_eq!(rig.events, [READY, panic, READY, "the model makes pictures again"]);
    assert_eq!((rig.failed, rig.model.built.lock().unwrap().len()), (1, 2));
    let seen = screen.seen();
    assert!(seen.windows(2).all(|two| two[1].at - two[0].at <= ms(50)), "the picture stays");
    assert!(seen.windows(2).all(|two| two[0].sequence <= two[1].sequence));
    assert!(screen.count(Kind::Unique) >= 68);
}

#[test]
fn nothing_is_prepared_while_there_is_no_model() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(15));
    model.act = |call| if call == 10 { Act::Panic } else { Act::Work };
    model.build = |_| (Duration::from_secs(10), Act::Work);
    let rig = Rig::start(Camera::new(&clock, ms(20)), model);
    rig.clock.sleep(Duration::from_secs(19));
    let snapshot = rig.pipeline.snapshot();
    assert_eq!(snapshot.frames.generated, 10);
    assert!(snapshot.prepare.total.count <= 12, "{}", snapshot.prepare.total.count);
    rig.pipeline.stop(Duration::from_secs(20));
}

#[test]
fn a_model_that_keeps_panicking_is_built_less_and_less_often() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(5));
    model.act = |call| if (10..20).contains(&call) { Act::Panic } else { Act::Work };
    let (rig, _) = run(Camera::new(&clock, ms(20)), model, Duration::from_secs(60));
    let reports = rig.events.iter().filter(|event| *event != READY).count();
    assert_eq!(reports, 2, "one panic, one recovery: {:?}", rig.events);
    let built = rig.model.built.lock().unwrap().clone();
    let waits: Vec<_> = built.windows(2).map(|two| (two[1] - two[0]).as_millis() / 100).collect();
    assert_eq!(waits[1..7], [2, 5, 10, 20, 40, 40], "{waits:?}");
}

#[test]
fn what_works_between_failures_is_still_waited_for() {
    let clock = SimClock::new();
    let (mut camera, mut model) = (Camera::new(&clock, ms(20)), Model::new(&clock, |_| ms(5)));
    camera.act = |number| if number % 3 == 0 { Act::Fail } else { Act::Work };
    model.act = |call| if call % 2 == 0 { Act::Panic } else { Act::Work };
    let (rig, _) = run(camera, model, Duration::from_secs(60));
    assert!(rig.model.built.lock().unwrap().len() <= 20);
    assert!(rig.events.len() <= 100, "{}", rig.events.len());
}

#[test]
fn errors_cost_frames_and_three_in_a_row_the_model() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(15));
    model.act = |call| if matches!(call, 5 | 20 | 21 | 22) { Act::Fail } else { Act::Work };
    let (rig, _) = run(Camera::new(&clock, ms(20)), model, Duration::from_secs(2));
    let (failed, back) =
        ("a frame could not be made: as the test says", "the model makes pictures again");
    assert_eq!(rig.events, [READY, failed, back, failed, READY, back]);
    assert_eq!(rig.failed, 4);
}

#[test]
fn a_model_that_cannot_be_built_is_tried_again_while_the_camera_runs() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(15));
    model.build = |number| (ms(100), if number < 4 { Act::Fail } else { Act::Work });
    let (rig, screen) = run(Camera::new(&clock, ms(20)), model, Duration::from_secs(5));
    let failed = "the model cannot be built, trying again: as the test says";
    assert_eq!(rig.events, [failed, READY, "the model makes pictures again"]);
    assert!(screen.count(Kind::Unique) >= 130);
}

#[test]
fn stop_does_not_wait_for_a_retry() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.unplugged = (Duration::ZERO, Duration::from_hours(1));
    let mut model = Model::new(&clock, |_| ms(15));
    model.build = |_| (Duration::ZERO, Act::Fail);
    let rig = Rig::start(camera, model);
    rig.clock.sleep(Duration::from_secs(30));
    let before = clock.now();
    rig.pipeline.stop(Duration::from_secs(60));
    assert_eq!(clock.now(), before);
}
