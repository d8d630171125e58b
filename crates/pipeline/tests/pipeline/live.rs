//! Latency, counts and overload.

use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::frame::Step;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Aim, Clock, Kind};
use laterna_pipeline::prepare::Fit;
use laterna_pipeline::sim::SimClock;
use laterna_pipeline::stats::{Counts, Snapshot};

use crate::support::{Camera, Model, Rig, SIZE, Screen, ms, p95, us};

const PATIENCE: Duration = Duration::from_secs(1);

fn assert_adds_up(counts: Counts) {
    let Counts { captured, dropped, skipped, failed, generated, in_flight, .. } = counts;
    assert_eq!(captured, dropped + skipped + failed + generated + in_flight, "{counts:?}");
}

#[test]
fn the_latency_of_each_frame_is_the_sum_of_its_steps() {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(3));
    clock.set_cost(Step::Finish, ms(2));
    let camera = Camera::new(&clock, ms(100));
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(40)));
    let mut screen = Screen::new(&clock);
    screen.act = |_| (ms(5), crate::support::Act::Work);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(ms(2050));
    let snapshot = rig.pipeline.stop(PATIENCE);

    // The first frame may come before there is a stage that says what to prepare.
    let seen = screen.seen();
    assert!(seen.len() >= 20, "{}", seen.len());
    for seen in &seen {
        assert_eq!(seen.at - seen.captured, ms(3 + 40 + 2 + 5), "{seen:?}");
        assert_eq!(seen.value, seen.sequence as u8);
    }
    let latency = snapshot.sinks[0].latency.total;
    assert_eq!((latency.mean_ms, latency.max_ms), (50.0, 50.0));
    assert_eq!(latency.count, seen.len() as u64);
    for (found, expected) in
        [(snapshot.prepare, 3.0), (snapshot.infer, 40.0), (snapshot.finish, 2.0)]
    {
        assert_eq!((found.total.mean_ms, found.total.p99_ms), (expected, expected));
    }
}

/// A camera at 60 and a model at 15 frames a second, for 20 seconds.
fn overloaded(clock: SimClock) -> (Snapshot, Screen, Model) {
    clock.set_cost(Step::Prepare, ms(2));
    clock.set_cost(Step::Finish, ms(1));
    let camera = Camera::new(&clock, us(16_667));
    let rig =
        Rig::start(camera, Model::new(&clock, |call| us(66_667 - 2_000 + call * 977 % 4_000)));
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(20));
    let model = rig.model.clone();
    (rig.pipeline.stop(PATIENCE), screen, model)
}

#[test]
fn overload_costs_frames_but_not_latency() {
    let (snapshot, screen, model) = overloaded(SimClock::new());
    let latencies: Vec<_> = screen.seen().iter().map(|seen| seen.at - seen.captured).collect();
    let worst = p95(latencies);
    assert!(worst <= us(66_667) * 13 / 10, "{worst:?}");
    assert_adds_up(snapshot.frames);
    assert_eq!(snapshot.frames.in_flight, 0);
    assert!((1199..=1201).contains(&snapshot.frames.captured), "{:?}", snapshot.frames);
    assert!(snapshot.frames.generated >= 295, "{:?}", snapshot.frames);
    let busy: Duration = model.calls().windows(2).map(|two| two[1].begin - two[0].begin).sum();
    let mean = busy / (model.calls().len() as u32 - 1);
    assert!(mean <= us(66_667) * 100 / 95, "the pipeline adds {mean:?}");
}

#[test]
fn at_any_ratio_of_rates_the_model_is_busy_and_pictures_are_fresh() {
    const PERIOD: Duration = Duration::from_micros(16_667);
    for percent in (110..=600).step_by(35) {
        let clock = SimClock::new();
        clock.set_cost(Step::Prepare, ms(2));
        clock.set_cost(Step::Finish, ms(1));
        let mut model = Model::new(&clock, |_| PERIOD);
        model.per_cent = Arc::new(move |_, _| percent);
        let rig = Rig::start(Camera::new(&clock, PERIOD), model);
        let screen = Screen::new(&clock);
        rig.clock.sleep(Duration::from_secs(1));
        rig.show("screen", Rate::Arrival, &screen);
        let before = rig.pipeline.counts().generated;
        rig.clock.sleep(Duration::from_secs(6));
        let generated = (rig.pipeline.counts().generated - before) as f64;
        rig.pipeline.stop(PATIENCE);
        let length = PERIOD * percent / 100;
        let busy = generated * length.as_secs_f64() / 6.0;
        assert!(busy > 0.96, "{percent}: busy {busy}");
        let unique = screen.seen().into_iter().filter(|seen| seen.kind == Kind::Unique);
        let latency = p95(unique.map(|seen| seen.at - seen.captured).collect());
        assert!(latency <= length + PERIOD + ms(2 + 1), "{percent}: {latency:?}");
    }
}

#[test]
fn the_model_hardly_waits_for_preparation() {
    let (_, _, model) = overloaded(SimClock::new());
    let calls = model.calls();
    let waits = calls.windows(2).enumerate().skip(2).map(|(call, two)| {
        let length = us(66_667 - 2_000 + call as u64 * 977 % 4_000);
        two[1].begin - two[0].begin - length
    });
    let waits: Vec<_> = waits.collect();
    assert!(waits.iter().all(|&wait| wait <= ms(2)), "no longer than it takes");
    assert!(waits.iter().sum::<Duration>() <= ms(20_000) / 500, "{waits:?}");
}

#[test]
fn pictures_are_prepared_only_shortly_before_they_are_wanted() {
    let (snapshot, ..) = overloaded(SimClock::new());
    let per_frame = snapshot.prepare.total.count as f64 / snapshot.frames.generated as f64;
    assert!(per_frame < 2.1, "{per_frame} of 4 captured");
}

#[test]
fn a_slow_model_on_few_cores_prepares_few_pictures() {
    let clock = SimClock::new();
    let rig = Rig::start(Camera::new(&clock, us(33_333)), Model::new(&clock, |_| ms(820)));
    rig.clock.sleep(Duration::from_secs(60));
    let snapshot = rig.pipeline.stop(PATIENCE);
    let per_frame = snapshot.prepare.total.count as f64 / snapshot.frames.generated as f64;
    assert!(per_frame < 3.0, "{per_frame} of 25 captured");
}

/// A scene that is drawn at 200 a second if asked, and a model at 20, for 10 seconds.
/// Equal pictures are passed over.
fn drawn(value: fn(u64) -> u8) -> (Snapshot, Screen, Vec<Aim>) {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(1));
    let camera = Camera { draws: Some(ms(2)), value, ..Camera::new(&clock, ms(5)) };
    let aims = Arc::clone(&camera.aims);
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.change(|settings| settings.similarity.threshold = 1e-6);
    rig.clock.sleep(Duration::from_secs(10));
    let snapshot = rig.pipeline.stop(PATIENCE);
    let aims = aims.lock().unwrap().clone();
    (snapshot, screen, aims)
}

#[test]
fn one_picture_is_drawn_for_each_inference_shortly_before_it() {
    let (snapshot, screen, aims) = drawn(|number| number as u8);
    let Counts { captured, generated, .. } = snapshot.frames;
    // Ten more during the first, whose length nobody knows.
    assert!(generated >= 195 && captured <= generated + 12, "{:?}", snapshot.frames);
    let ages = screen.seen().into_iter().skip(2).map(|seen| seen.at - seen.captured - ms(50));
    let oldest = ages.max().unwrap();
    assert!(oldest <= ms(7), "{oldest:?} old when its inference began");
    let aim = Aim { size: SIZE, fit: Fit::Crop, surface: false };
    assert!(!aims.is_empty() && aims.iter().all(|&found| found == aim));
}

#[test]
fn a_scene_that_stands_still_is_looked_at_at_its_own_rate() {
    let (snapshot, ..) = drawn(|_| 100);
    assert!(snapshot.frames.skipped > 1500, "{:?}", snapshot.frames);
}

#[test]
fn a_model_faster_than_the_camera_infers_every_frame() {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(2));
    let rig = Rig::start(Camera::new(&clock, ms(20)), Model::new(&clock, |_| ms(15)));
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(5));
    let snapshot = rig.pipeline.stop(PATIENCE);
    assert!(snapshot.frames.dropped <= 2, "{:?}", snapshot.frames);
    assert!(screen.count(Kind::Unique) >= 248);
    assert!(screen.seen().iter().all(|seen| seen.at - seen.captured == ms(17)));
}

#[test]
fn counts_add_up_at_every_moment_and_in_every_order() {
    for seed in 0..12 {
        let clock = SimClock::with_seed(seed);
        let camera = Camera::new(&clock, ms(10));
        let rig = Rig::start(camera, Model::new(&clock, |call| ms(7 + call * 13 % 30)));
        for fps in [10.0, 60.0] {
            rig.show("screen", Rate::Fixed { fps, interpolate: false }, &Screen::new(&clock));
        }
        for step in 0..200 {
            rig.clock.sleep(ms(1 + step * 7 % 11));
            let counts = rig.pipeline.counts();
            assert_adds_up(counts);
            assert!(counts.in_flight <= 4, "one in each slot and thread: {counts:?}");
        }
        let Snapshot { frames, sinks, .. } = rig.pipeline.stop(PATIENCE);
        assert_adds_up(frames);
        assert_eq!(frames.in_flight, 0);
        for sink in sinks {
            let through = sink.shown.unique + sink.shown.missed + frames.discarded;
            let taken_at_the_end = frames.generated - through;
            assert!(taken_at_the_end <= 1, "seed {seed}: {frames:?} {:?}", sink.shown);
        }
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let run = || overloaded(SimClock::with_seed(5));
    let ((first, screen, _), (second, again, _)) = (run(), run());
    assert_eq!(first, second);
    assert_eq!(screen.seen(), again.seen());
}

#[test]
fn stop_ends_all_threads_within_a_frame() {
    for seed in 0..8 {
        let clock = SimClock::with_seed(seed);
        let rig = Rig::start(Camera::new(&clock, ms(33)), Model::new(&clock, |_| ms(60)));
        rig.show("window", Rate::AtLeast { fps: 30.0 }, &Screen::new(&clock));
        rig.clock.sleep(ms(500 + seed * 7));
        let before = clock.now();
        rig.pipeline.stop(Duration::from_secs(10));
        assert!(clock.now() - before <= ms(60), "{:?}", clock.now() - before);
        assert!(rig.events.lock().unwrap().iter().all(|event| event.contains("ready")));
    }
}

#[test]
fn a_snapshot_is_json() {
    let (snapshot, ..) = overloaded(SimClock::new());
    let json = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(json["frames"]["captured"], snapshot.frames.captured);
    assert_eq!(json["sinks"][0]["name"], "screen");
    assert!(json["sinks"][0]["unique"].as_u64() > Some(200));
    assert!(json["sinks"][0]["latency"]["recent"]["p95_ms"].as_f64() > Some(60.0));
}
