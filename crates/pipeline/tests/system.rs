//! The pipeline on the system's clock, with threads that really run at once.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Clock, Input, Motion, PortError, Read, Shown, Sink, Source, Stage};
use laterna_pipeline::settings::{Live, Settings};
use laterna_pipeline::{Bell, Image, Parts, Pipeline, Size, SystemClock};
use laterna_tensor::Tensor;

const MS: Duration = Duration::from_millis(1);

struct Camera(SystemClock);

impl Source for Camera {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        thread::sleep(2 * MS);
        image.reset(Size::new(320, 240));
        Ok(Read::Picture { captured: self.0.now() })
    }
}

struct Copy;

impl Stage<u64> for Copy {
    fn size(&self) -> Size {
        Size::new(128, 128)
    }

    fn run(&mut self, input: &Input<'_, u64>, output: &mut Tensor) -> Result<Motion, PortError> {
        thread::sleep(5 * MS);
        output.as_f32_mut()?.copy_from_slice(input.picture.as_f32()?);
        Ok(Motion::Settled)
    }
}

struct Slow(Duration);

impl Sink for Slow {
    fn show(&mut self, _: &Shown<'_>) -> Result<(), PortError> {
        thread::sleep(self.0);
        Ok(())
    }
}

#[test]
fn threads_that_run_at_once_lose_no_frame_uncounted() {
    let clock = SystemClock::start();
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let pipeline = Pipeline::start(Parts {
        clock: Arc::new(clock),
        source: Box::new(move || Ok(Box::new(Camera(clock)))),
        stage: Box::new(|| Ok(Box::new(Copy))),
        settings: Arc::new(Live::new(Settings::new(0))),
        report: Arc::new(move |event| log.lock().unwrap().push(format!("{event}"))),
    })
    .unwrap();
    let rates = [Rate::Arrival, Rate::AtLeast { fps: 500.0 }];
    for (rate, length) in rates.into_iter().flat_map(|rate| [(rate, MS), (rate, 30 * MS)]) {
        pipeline.add_sink("sink", rate, Box::new(Slow(length))).unwrap();
    }
    for change in 0..300 {
        thread::sleep(MS);
        pipeline.settings().update(|settings| settings.stage = change);
        let frames = pipeline.counts();
        let ended = frames.dropped + frames.skipped + frames.failed + frames.generated;
        assert_eq!(frames.captured, ended + frames.in_flight);
    }
    let before = Instant::now();
    let snapshot = pipeline.stop(Duration::from_secs(10));
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(snapshot.frames.in_flight, 0);
    assert!(snapshot.frames.generated > 5, "{:?}", snapshot.frames);
    assert!(snapshot.sinks.iter().all(|sink| sink.shown.unique > 1), "{:?}", snapshot.sinks);
    assert_eq!(*events.lock().unwrap(), ["the model is ready at 128x128"]);
}

#[test]
fn a_wait_ends_at_its_deadline_or_when_the_bell_rings() {
    let clock = SystemClock::start();
    let bell = Arc::new(Bell::new());
    let until = clock.now() + 20 * MS;
    while clock.now() < until {
        clock.wait(&bell, 0, Some(until));
    }
    let (ringer, rung) = (clock, Arc::clone(&bell));
    let body = move || {
        thread::sleep(10 * MS);
        rung.ring();
        assert!(ringer.now() >= 30 * MS);
    };
    let thread = clock.spawn("ringer", Box::new(body)).unwrap();
    clock.wait(&bell, 0, None);
    assert_eq!(bell.rings(), 1);
    thread.join().unwrap();
}
