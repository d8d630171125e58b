//! Pictures that also are in a device's memory: a model that reads them there gets
//! them, unless what it would read there is another picture.

use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::Size;
use laterna_pipeline::port::Aim;
use laterna_pipeline::prepare::Fit;
use laterna_pipeline::settings::Settings;
use laterna_pipeline::sim::SimClock;

use crate::support::{Act, Call, Camera, Model, Rig, SIZE, ms};

const PATIENCE: Duration = Duration::from_secs(5);

/// Two seconds, a change, two seconds more: the calls before and after, and what the
/// camera was told to aim at.
fn calls(reads_surfaces: bool, change: impl FnOnce(&Rig)) -> ([Vec<Call>; 2], Vec<Aim>) {
    let clock = SimClock::new();
    let camera = Camera { draws: Some(ms(2)), ..Camera::new(&clock, ms(5)) };
    let aims = Arc::clone(&camera.aims);
    let model = Model { reads_surfaces, ..Model::new(&clock, |_| ms(20)) };
    let rig = Rig::start(camera, model);
    rig.clock.sleep(Duration::from_secs(2));
    let before = rig.model.calls();
    change(&rig);
    rig.clock.sleep(Duration::from_secs(2));
    rig.pipeline.stop(PATIENCE);
    let after = rig.model.calls().split_off(before.len());
    assert!(before.len() > 50 && after.len() > 50);
    let aims = aims.lock().unwrap().clone();
    ([before, after], aims)
}

fn set(change: impl FnOnce(&mut Settings<u32>)) -> impl FnOnce(&Rig) {
    |rig| {
        rig.change(change);
    }
}

fn all_share(calls: &[Call]) -> bool {
    calls.iter().all(|call| call.surface == Some(call.sequence))
}

#[test]
fn a_model_that_reads_surfaces_is_given_the_cameras() {
    let ([before, after], aims) = calls(true, set(|settings| settings.view.fit = Fit::Letterbox));
    assert!(all_share(&before) && all_share(&after));
    let aimed = |fit| aims.contains(&Aim { size: SIZE, fit, surface: true });
    assert!(aimed(Fit::Crop) && aimed(Fit::Letterbox));
}

#[test]
fn other_models_have_pictures_as_the_camera_took_them() {
    let ([before, after], aims) = calls(false, |_| ());
    assert!(before.iter().chain(&after).all(|call| call.surface.is_none()));
    assert!(aims.iter().all(|aim| !aim.surface));
}

#[test]
fn a_camera_that_never_rests_is_told_what_is_aimed_at_once_there_is_a_model() {
    let clock = SimClock::new();
    let camera = Camera::new(&clock, ms(5));
    let aims = Arc::clone(&camera.aims);
    let model = Model { build: |_| (ms(500), Act::Work), ..Model::new(&clock, |_| ms(20)) };
    let rig = Rig::start(camera, model);
    rig.clock.sleep(ms(490));
    assert!(aims.lock().unwrap().is_empty());
    rig.clock.sleep(ms(100));
    rig.pipeline.stop(PATIENCE);
    let aim = Aim { size: SIZE, fit: Fit::Crop, surface: false };
    assert_eq!(aims.lock().unwrap().first(), Some(&aim));
}

/// The surface is not mirrored. What was prepared before may still be on its way.
#[test]
fn a_mirrored_picture_is_no_surfaces() {
    let ([before, after], _) = calls(true, set(|settings| settings.view.mirror = true));
    assert!(all_share(&before));
    assert!(after.iter().skip(2).all(|call| call.surface.is_none()));
}

#[test]
fn pictures_of_another_size_are_no_surfaces() {
    let large = Size::new(24, 24);
    let ([before, after], aims) = calls(true, |rig| rig.pipeline.load(rig.model.builder(large)));
    assert!(all_share(&before));
    let (small, large): (Vec<Call>, Vec<Call>) =
        after.into_iter().partition(|call| call.width == SIZE.width);
    assert!(all_share(&small) && small.len() < 3);
    let first = large.iter().position(|call| call.surface.is_some()).unwrap();
    assert!((1..3).contains(&first) && all_share(&large[first..]), "{first}");
    assert_eq!(aims.last().unwrap().size, Size::new(24, 24));
}
