//! Sinks: stalled, failing, coming and going, repeating and blending.

use std::time::Duration;

use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::Kind;
use laterna_pipeline::sim::SimClock;

use crate::support::{Act, Camera, Model, Rig, Screen, ms};

const PATIENCE: Duration = Duration::from_secs(1);

fn rig(clock: &SimClock) -> Rig {
    Rig::start(Camera::new(clock, ms(20)), Model::new(clock, |_| ms(50)))
}

#[test]
fn a_stalled_sink_delays_nobody() {
    let run = |with_stalled: bool| {
        let clock = SimClock::new();
        let rig = rig(&clock);
        let good = [Screen::new(&clock), Screen::new(&clock)];
        good.iter().for_each(|screen| {
            rig.show("good", Rate::Arrival, screen);
        });
        if with_stalled {
            let mut stalled = Screen::new(&clock);
            stalled.act = |_| (Duration::from_hours(1), Act::Work);
            rig.show("stalled", Rate::Arrival, &stalled);
        }
        rig.clock.sleep(Duration::from_secs(10));
        let snapshot = rig.pipeline.stop(PATIENCE);
        let events = rig.events.lock().unwrap().clone();
        (good.map(|screen| screen.seen()), snapshot, events)
    };
    let (alone, ..) = run(false);
    let (beside, snapshot, events) = run(true);
    assert_eq!(alone, beside);
    assert!(alone[0].len() >= 198);
    let missed = snapshot.sinks[2].shown.missed;
    assert!(missed + 2 >= alone[0].len() as u64, "{missed}");
    let left = "still busy after 1000 ms: stalled";
    assert_eq!(events.last().map(String::as_str), Some(left));
}

#[test]
fn a_sink_shows_the_newest_frame_at_its_own_rate() {
    let clock = SimClock::new();
    let rig = rig(&clock);
    let screen = Screen::new(&clock);
    rig.show("screen", Rate::Fixed { fps: 100.0, interpolate: false }, &screen);
    rig.clock.sleep(Duration::from_secs(2));
    let snapshot = rig.pipeline.stop(PATIENCE);
    let seen = screen.seen();
    assert!(seen.windows(2).all(|two| two[1].at - two[0].at == ms(10)));
    let (unique, repeated) = (screen.count(Kind::Unique), screen.count(Kind::Repeated));
    assert!((37..=40).contains(&unique) && (150..=160).contains(&repeated), "{unique} {repeated}");
    let shown = snapshot.sinks[0].shown;
    assert_eq!((shown.unique, shown.repeated, shown.interpolated), (unique, repeated, 0));
    assert_eq!(snapshot.sinks[0].latency.total.count, unique);
}

#[test]
fn a_slow_sink_misses_frames_and_shows_the_newest() {
    let clock = SimClock::new();
    let rig = rig(&clock);
    let mut screen = Screen::new(&clock);
    screen.act = |_| (ms(170), Act::Work);
    rig.show("slow", Rate::Arrival, &screen);
    rig.clock.sleep(Duration::from_secs(5));
    let snapshot = rig.pipeline.stop(PATIENCE);
    let shown = snapshot.sinks[0].shown;
    assert!(shown.missed >= 2 * shown.unique, "{shown:?}");
    let oldest = screen.seen().iter().map(|seen| seen.at - seen.captured).max().unwrap();
    assert!(oldest <= ms(170 + 50 + 20 + 50), "{oldest:?}");
}

#[test]
fn a_picture_is_repeated_when_nothing_new_comes() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.act = |number| if number == 10 { Act::End } else { Act::Work };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("window", Rate::AtLeast { fps: 10.0 }, &screen);
    rig.clock.sleep(Duration::from_secs(3));
    rig.pipeline.stop(PATIENCE);
    let (unique, repeated) = (screen.count(Kind::Unique), screen.count(Kind::Repeated));
    assert!((4..=5).contains(&unique) && (26..=28).contains(&repeated), "{unique} {repeated}");
    assert_eq!(screen.seen().last().unwrap().sequence, 9);
    assert!(rig.events.lock().unwrap().contains(&"the source has ended".to_owned()));
}

#[test]
fn blends_lie_between_two_generated_frames() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |number| (number * 2 % 250) as u8;
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("smooth", Rate::Fixed { fps: 80.0, interpolate: true }, &screen);
    rig.clock.sleep(Duration::from_secs(2));
    let snapshot = rig.pipeline.stop(PATIENCE);
    let shown = snapshot.sinks[0].shown;
    assert!(shown.interpolated >= 100 && shown.unique >= 30, "{shown:?}");
    let seen: Vec<_> = screen.seen().into_iter().skip(20).take(60).collect();
    let risen = seen.windows(2).all(|two| two[0].value <= two[1].value);
    let steps = seen.windows(2).map(|two| two[1].value.saturating_sub(two[0].value)).max();
    assert!(risen && steps <= Some(2), "{:?}", seen.iter().map(|s| s.value).collect::<Vec<_>>());
}

#[test]
fn two_scenes_are_not_blended() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.value = |number| if number < 50 { 20 } else { 220 };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    let screen = Screen::new(&clock);
    rig.show("smooth", Rate::Fixed { fps: 80.0, interpolate: true }, &screen);
    rig.clock.sleep(Duration::from_secs(2));
    rig.pipeline.stop(PATIENCE);
    assert!(screen.seen().iter().all(|seen| seen.value == 20 || seen.value == 220));
}

#[test]
fn a_failing_sink_is_dropped_and_reported() {
    for act in [Act::Fail, Act::Panic] {
        let clock = SimClock::new();
        let rig = rig(&clock);
        let (good, mut bad) = (Screen::new(&clock), Screen::new(&clock));
        bad.act = match act {
            Act::Panic => {
                |number| (Duration::ZERO, if number == 3 { Act::Panic } else { Act::Work })
            }
            _ => |number| (Duration::ZERO, if number == 3 { Act::Fail } else { Act::Work }),
        };
        rig.show("good", Rate::Arrival, &good);
        rig.show("bad", Rate::Arrival, &bad);
        rig.clock.sleep(Duration::from_secs(1));
        let snapshot = rig.pipeline.stop(PATIENCE);
        assert_eq!((bad.seen().len(), snapshot.sinks.len()), (3, 1));
        assert!(good.seen().len() >= 18);
        let reports = rig.events();
        let reports: Vec<_> = reports.iter().filter(|event| event.contains("bad failed")).collect();
        assert_eq!(reports.len(), 1, "{reports:?}");
    }
}

#[test]
fn sinks_come_and_go_and_a_late_one_sees_the_picture_at_once() {
    let clock = SimClock::new();
    let mut camera = Camera::new(&clock, ms(20));
    camera.act = |number| if number == 5 { Act::End } else { Act::Work };
    let rig = Rig::start(camera, Model::new(&clock, |_| ms(50)));
    rig.clock.sleep(Duration::from_secs(9));
    for _ in 0..50 {
        let screen = Screen::new(&clock);
        let id = rig.show("page", Rate::Arrival, &screen);
        rig.clock.sleep(ms(10));
        assert_eq!(screen.seen().len(), 1);
        assert_eq!(screen.count(Kind::Repeated), 1, "an old picture has no latency");
        rig.pipeline.remove_sink(id);
        rig.clock.sleep(ms(10));
    }
    assert!(rig.pipeline.stop(PATIENCE).sinks.is_empty());
}
