//! The synthetic scene, with and without its counter, and devices that are not
//! there.

use std::sync::Arc;

use laterna_media::source::synthetic::Scene;
use laterna_media::source::{Pace, Spec, counter, list, open};
use laterna_pipeline::port::{Aim, Clock, Read};
use laterna_pipeline::prepare::Fit;
use laterna_pipeline::sim::SimClock;
use laterna_pipeline::{Image, Size};

use crate::support::*;

fn synthetic(size: Size, fps: f64) -> Spec {
    let mut spec: Spec = "synthetic".parse().unwrap();
    (spec.want.size, spec.want.fps, spec.want.counter) = (Some(size), Some(fps), true);
    spec
}

#[test]
fn the_counter_tells_which_picture_was_read_and_when() {
    let clock = SimClock::new();
    clock.sleep(500 * MS);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let spec = synthetic(Size::new(160, 120), 25.0);
    let mut opened = open(&spec, &shared, Pace::Live).unwrap();
    let (mut image, mut seen) = (Image::default(), Vec::new());
    while seen.len() < 6 {
        let before = clock.now();
        if let Read::Picture { captured } = opened.source.read(&mut image).unwrap() {
            seen.push((counter::read(&image).unwrap(), captured.as_millis()));
        }
        assert!(clock.now() - before <= 20 * MS);
        if seen.len() == 3 {
            clock.sleep(100 * MS);
        }
    }
    assert_eq!(seen[..3], [(0, 500), (1, 540), (2, 580)]);
    // Pictures that were over when they were asked for were not drawn, but one of
    // that very moment, and the next ones follow at the usual distance.
    assert_eq!(seen[3..], [(5, 680), (6, 720), (7, 760)]);
}

#[test]
fn a_reader_slower_than_the_scene_gets_one_picture_each_time() {
    let clock = SimClock::new();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let mut opened = open(&synthetic(Size::new(64, 64), 25.0), &shared, Pace::Live).unwrap();
    let mut image = Image::default();
    for round in 1..=10u32 {
        let Read::Picture { captured } = opened.source.read(&mut image).unwrap() else {
            panic!("round {round} had to wait");
        };
        assert_eq!(captured, clock.now());
        // Asks too early once, then comes back when more than an interval is over.
        assert_eq!(opened.source.read(&mut image).unwrap(), Read::Nothing);
        clock.sleep(25 * MS);
    }
}

#[test]
fn the_scene_is_drawn_as_large_as_is_aimed_at_unless_a_size_is_wanted() {
    for (spec, expected) in [
        ("synthetic".parse().unwrap(), Size::new(96, 96)),
        (synthetic(Size::new(160, 120), 25.0), Size::new(160, 120)),
    ] {
        let mut opened = open(&spec, &clock(), Pace::Live).unwrap();
        opened.source.aim(Aim { size: Size::new(96, 96), fit: Fit::Crop, surface: false });
        let mut image = Image::default();
        let read = opened.source.read(&mut image).unwrap();
        assert!(matches!(read, Read::Picture { .. }));
        assert_eq!(image.size(), expected);
    }
}

#[test]
fn the_scene_is_the_same_each_time_and_always_moves() {
    let size = Size::new(160, 120);
    let (scene, other) = (Scene::new(size), Scene::new(size));
    let (mut a, mut b) = (Image::default(), Image::default());
    for second in [0.0, 1.5, 100.0, 5000.0] {
        scene.draw(second, &mut a);
        other.draw(second, &mut b);
        assert_eq!(a, b);
        other.draw(second + 0.1, &mut b);
        let moved = a.rgb().iter().zip(b.rgb()).filter(|(a, b)| a.abs_diff(**b) > 8).count();
        assert!(moved > a.rgb().len() / 50, "{moved}");
    }
    for odd in [Size::new(1, 1), Size::new(0, 5), Size::new(7, 300), Size::new(500, 3)] {
        Scene::new(odd).draw(3.0, &mut a);
        assert!(a.size().area() > 0);
    }
}

#[test]
fn offline_the_scene_comes_as_fast_as_it_is_drawn() {
    let mut opened = open(&synthetic(Size::new(64, 64), 10.0), &clock(), Pace::Offline).unwrap();
    let pictures = read_all(&mut opened, 4).unwrap();
    assert_eq!(times_ms(&pictures), [0, 100, 200, 300]);
    let numbers: Vec<_> = pictures.iter().map(|(_, image)| counter::read(image)).collect();
    assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(3)]);
    for (text, fps) in [("synthetic", 30.0), ("synthetic:60", 60.0)] {
        let opened = open(&text.parse().unwrap(), &clock(), Pace::Live).unwrap();
        assert_eq!(opened.info.fps, Some(fps));
    }
    for text in ["synthetic:fast", "synthetic:0", "synthetic:NaN"] {
        let error = open(&text.parse().unwrap(), &clock(), Pace::Live).unwrap_err().to_string();
        assert!(error.contains("is no rate"), "{error}");
    }
    let huge = synthetic(Size::new(1 << 40, 4), 10.0);
    let error = open(&huge, &clock(), Pace::Live).unwrap_err().to_string();
    assert!(error.contains("not a size"), "{error}");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    for text in ["camera:/dev/video987", "camera:987", "camera:no such camera"] {
        let error = open(&text.parse().unwrap(), &clock(), Pace::Live).unwrap_err().to_string();
        let name = text.strip_prefix("camera:").unwrap();
        assert!(error.contains(name), "{error}");
    }
    // Whatever is listed can be named again.
    for device in list() {
        assert!(device.spec.parse::<Spec>().is_ok() && !device.details.is_empty(), "{device:?}");
    }
}
