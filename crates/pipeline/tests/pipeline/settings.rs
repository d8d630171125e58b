//! Changes while it runs: settings, still scenes, cuts, and another model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use laterna_pipeline::Size;
use laterna_pipeline::frame::Step;
use laterna_pipeline::govern::{Governor, Policy};
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Clock, Kind, Motion, PortError, Shown, Sink};
use laterna_pipeline::sim::SimClock;

use crate::support::{Act, Camera, Model, Rig, SIZE, Screen, ms};

const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn a_change_is_effective_on_the_next_frame_and_leaves_no_gap() {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(2));
    let rig = Rig::start(Camera::new(&clock, ms(20)), Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    let mut changes = Vec::new();
    for prompt in 1..100 {
        rig.clock.sleep(ms(37));
        rig.change(|settings| settings.stage = prompt);
        changes.push(clock.now());
    }
    rig.pipeline.stop(PATIENCE);
    let calls = rig.model.calls();
    for call in &calls {
        let effective = changes.iter().filter(|&&change| change <= call.begin).count() as u32;
        let just_before = changes.iter().filter(|&&change| change < call.begin).count() as u32;
        assert!((just_before..=effective).contains(&call.prompt), "{call:?}");
    }
    assert!(calls.windows(2).skip(1).all(|two| two[1].begin - two[0].begin == ms(50)));
    assert!(screen.seen().windows(2).skip(1).all(|two| two[1].at - two[0].at == ms(50)));
    assert!(screen.seen().is_sorted_by_key(|seen| seen.settings));
}

#[test]
fn a_still_scene_is_skipped_but_for_refreshes_and_changes() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |_| 80;
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(15)));
    rig.change(|settings| {
        settings.similarity.threshold = 0.01;
        settings.similarity.refresh = Duration::from_secs(1);
    });
    rig.clock.sleep(ms(5500));
    assert_eq!(rig.model.calls().len(), 6);
    let changed = clock.now();
    rig.change(|settings| settings.stage = 9);
    rig.clock.sleep(ms(400));
    let last = *rig.model.calls().last().unwrap();
    assert!(last.prompt == 9 && last.begin - changed <= ms(20), "{last:?}");
    let frames = rig.pipeline.stop(PATIENCE).frames;
    assert!(frames.skipped >= 280 && frames.generated == 7, "{frames:?}");
}

#[test]
fn a_still_scene_is_inferred_until_smoothing_has_settled() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |number| if number < 50 { 80 } else { 120 };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(15)));
    rig.change(|settings| {
        settings.similarity.threshold = 0.01;
        settings.similarity.refresh = Duration::from_hours(1);
        settings.smoothing = 0.9;
    });
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(10));
    let frames = rig.pipeline.stop(PATIENCE).frames;
    assert_eq!(screen.seen().last().unwrap().value, 120);
    assert!(frames.generated < 130 && frames.skipped > 350, "{frames:?}");
}

#[test]
fn a_gliding_stage_is_not_skipped() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |_| 80;
    let mut model = Model::new(&clock, |_| ms(15));
    model.motion = |call| if call < 30 { Motion::Gliding } else { Motion::Settled };
    let rig = Rig::start(camera, model);
    rig.change(|settings| settings.similarity.threshold = 0.01);
    rig.clock.sleep(Duration::from_secs(1));
    assert_eq!(rig.pipeline.stop(PATIENCE).frames.generated, 31);
}

#[test]
fn a_scene_cut_resets_what_is_remembered() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |number| if number < 50 { 20 } else { 220 };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    rig.change(|settings| settings.smoothing = 0.9);
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(2));
    rig.pipeline.stop(PATIENCE);
    let cuts: Vec<_> = rig.model.calls().into_iter().filter(|call| call.cut).collect();
    assert_eq!(cuts.len(), 1);
    assert!((50..54).contains(&cuts[0].sequence), "{cuts:?}");
    assert!(screen.seen().iter().all(|seen| seen.value == 20 || seen.value == 220));
}

#[test]
fn smoothing_and_the_camera_blend_are_seen() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |number| if number % 2 == 0 { 100 } else { 140 };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(15)));
    rig.change(|settings| settings.smoothing = 0.875);
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(2));
    rig.change(|settings| settings.camera = 1.0);
    rig.clock.sleep(Duration::from_secs(1));
    rig.pipeline.stop(PATIENCE);
    let (smoothed, blended) = (screen.seen(), screen.seen());
    assert!(smoothed[60..99].iter().all(|seen| (115..=125).contains(&seen.value)));
    assert!(blended[102..].iter().all(|seen| seen.value == 100 || seen.value == 140));
}

#[test]
fn another_model_is_loaded_beside_the_running_picture() {
    let clock = SimClock::new();
    clock.set_cost(Step::Prepare, ms(2));
    let rig = Rig::start(Camera::new(&clock, ms(20)), Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(1));
    let mut other = rig.model.clone();
    other.build = |_| (Duration::from_secs(3), Act::Work);
    rig.pipeline.load(other.builder(Size::new(4, 4)));
    rig.clock.sleep(Duration::from_secs(6));
    let frames = rig.pipeline.stop(PATIENCE).frames;
    assert!(frames.failed == 0 && frames.discarded <= 1, "one may be under way at the end");
    let seen = screen.seen();
    let switched = seen.iter().find(|seen| seen.width == 4).unwrap().at;
    assert!((ms(4000)..ms(4120)).contains(&switched), "{switched:?}");
    // The frame on its way is prepared again, on the infer thread.
    let longest = seen.windows(2).skip(1).map(|two| two[1].at - two[0].at).max();
    assert!(longest <= Some(ms(52)), "{longest:?}");
    assert!(seen.iter().all(|seen| seen.value == seen.sequence as u8));
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_the_old_one() {
    for act in [Act::Fail, Act::Panic] {
        let clock = SimClock::new();
        let rig = Rig::start(Camera::new(&clock, ms(20)), Model::new(&clock, |_| ms(50)));
        let mut other = rig.model.clone();
        other.build = match act {
            Act::Panic => |_| (ms(10), Act::Panic),
            _ => |_| (ms(10), Act::Fail),
        };
        rig.clock.sleep(Duration::from_secs(1));
        rig.pipeline.load(other.builder(Size::new(4, 4)));
        rig.clock.sleep(Duration::from_secs(1));
        rig.pipeline.stop(PATIENCE);
        assert!(rig.model.calls().len() >= 38);
        assert!(rig.model.calls().iter().all(|call| call.width == 8));
        let events = rig.events();
        assert_eq!(events.iter().filter(|event| event.contains("keeping the old one")).count(), 1);
    }
}

/// A sink that looks at how long each frame took.
struct Governed {
    governor: Governor,
    wanted: Arc<Mutex<Option<Size>>>,
}

impl Sink for Governed {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let (infer, size) = (shown.frame.trail.infer, shown.image.size());
        if shown.kind == Kind::Unique
            && let Some(size) = self.governor.observe(size, infer.length(), infer.end)
        {
            *self.wanted.lock().unwrap() = Some(size);
        }
        Ok(())
    }
}

#[test]
fn a_governor_lowers_the_resolution_in_a_slow_spell_and_restores_it() {
    let clock = SimClock::new();
    let mut model = Model::new(&clock, |_| ms(30));
    model.per_cent = Arc::new(|now, width| {
        let spell = (ms(5_000)..ms(15_000)).contains(&now);
        (if spell { 250 } else { 100 }) * (width * width) as u32 / 64
    });
    let rig = Rig::start(Camera::new(&clock, ms(16)), model);
    let policy = Policy { deadline: ms(50), patience: Duration::from_secs(2) };
    let sizes = vec![SIZE, Size::new(6, 6), Size::new(4, 4)];
    let (screen, wanted) = (Screen::new(&clock), Arc::new(Mutex::new(None)));
    rig.show("screen", Rate::Arrival, &screen);
    let governed = Governed { governor: Governor::new(policy, sizes), wanted: Arc::clone(&wanted) };
    rig.pipeline.add_sink("governor", Rate::Arrival, Box::new(governed)).unwrap();
    while clock.now() < Duration::from_secs(30) {
        rig.clock.sleep(ms(50));
        if let Some(size) = wanted.lock().unwrap().take() {
            rig.pipeline.load(rig.model.builder(size));
        }
    }
    rig.pipeline.stop(PATIENCE);
    let width_at = |at| screen.seen().iter().rfind(|seen| seen.at < ms(at)).unwrap().width;
    assert_eq!([4_000, 7_000, 14_000, 25_000].map(width_at), [8, 6, 6, 8]);
    assert_eq!(rig.model.built.lock().unwrap().len(), 3);
}
