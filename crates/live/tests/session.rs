//! A session on a simulated clock, with a camera, models and files that do as
//! each test says.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use laterna_control::log::Replay;
use laterna_control::{
    Activity, Change, Command, Controls, ModelChoice, ModelOffer, Prompt, Size, SourceChoice,
    gallery,
};
use laterna_live::{Asked, Ports, Session, Start, Tell};
use laterna_pipeline::frame::{Frame, Step};
use laterna_pipeline::port::{
    Clock, Input, Kind, Motion, PortError, Read, Shown, Sink, Source, Stage,
};
use laterna_pipeline::sim::SimClock;
use laterna_pipeline::{Image, Size as Extent};
use laterna_tensor::Tensor;

const PERIOD: Duration = Duration::from_millis(20);
const FRAME: Duration = Duration::from_millis(50);

/// A camera of the right half white; a file of three pictures; nothing else.
struct Camera {
    clock: SimClock,
    next: Duration,
    left: usize,
}

impl Source for Camera {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        if self.left == 0 {
            return Ok(Read::End);
        }
        self.left -= 1;
        self.next = self.next.max(self.clock.now()) + PERIOD;
        self.clock.sleep_until(self.next);
        image.reset(Extent::new(64, 64));
        for row in image.rgb_mut().chunks_exact_mut(3 * 64) {
            row[..96].fill(0);
            row[96..].fill(255);
        }
        Ok(Read::Picture { captured: self.next })
    }
}

/// What each frame was asked for.
type Calls = Arc<Mutex<Vec<(Duration, Asked, usize)>>>;

struct Model {
    clock: SimClock,
    size: Extent,
    calls: Calls,
    slow: Arc<Mutex<u32>>,
}

impl Stage<Asked> for Model {
    fn size(&self) -> Extent {
        self.size
    }

    fn run(&mut self, input: &Input<'_, Asked>, output: &mut Tensor) -> Result<Motion, PortError> {
        let call = (self.clock.now(), input.settings.clone(), self.size.width);
        self.calls.lock().unwrap().push(call);
        let share = self.size.area() as f64 / Extent::new(512, 512).area() as f64;
        let slow = f64::from(*self.slow.lock().unwrap());
        self.clock.sleep(FRAME.mul_f64(share * slow));
        output.as_f32_mut()?.copy_from_slice(input.picture.as_f32()?);
        Ok(Motion::Settled)
    }
}

struct Recorder {
    shown: Arc<Mutex<usize>>,
    fails_at: usize,
}

impl Sink for Recorder {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let mut count = self.shown.lock().unwrap();
        if *count == self.fails_at {
            return Err("the disk is full".into());
        }
        *count += usize::from(shown.kind == Kind::Unique);
        Ok(())
    }
}

struct Fake {
    clock: SimClock,
    calls: Calls,
    /// Frame times are multiplied by this.
    slow: Arc<Mutex<u32>>,
    recorded: Arc<Mutex<usize>>,
    recordings_fail_at: usize,
    /// Devices that are there.
    plugged: Plugged,
}

type Plugged = Arc<Mutex<Vec<&'static str>>>;

impl Ports for Fake {
    fn open_source(&self, spec: &str) -> Result<(Box<dyn Source>, SourceChoice), PortError> {
        let left = match spec {
            "camera" => usize::MAX,
            "short.mp4" => 3,
            _ => return Err("there is no such device".into()),
        };
        let source = Camera { clock: self.clock.clone(), next: self.clock.now(), left };
        let choice = SourceChoice { spec: spec.into(), label: spec.into(), live: true };
        Ok((Box::new(source), choice))
    }

    fn sources(&self) -> Vec<SourceChoice> {
        let choice = |spec: &str| SourceChoice {
            spec: spec.to_owned(),
            label: spec.to_owned(),
            live: false,
        };
        self.plugged.lock().unwrap().iter().map(|spec| choice(spec)).collect()
    }

    fn build(
        &self,
        model: &ModelChoice,
        size: Size,
        tell: &Tell<'_>,
    ) -> Result<Box<dyn Stage<Asked>>, PortError> {
        if model.name == "broken" {
            return Err("there is no such model".into());
        }
        self.clock.sleep(Duration::from_millis(250));
        tell(Activity { what: "half of it".into(), part: Some(0.5) });
        self.clock.sleep(Duration::from_millis(250));
        Ok(Box::new(Model {
            clock: self.clock.clone(),
            size: Extent::new(size.width, size.height),
            calls: Arc::clone(&self.calls),
            slow: Arc::clone(&self.slow),
        }))
    }

    fn models(&self) -> Vec<ModelOffer> {
        vec![ModelOffer { name: "starter".into(), here: true }]
    }

    fn record(&self) -> Result<(String, Box<dyn Sink>), PortError> {
        let shown = Arc::clone(&self.recorded);
        *shown.lock().unwrap() = 0;
        Ok(("a.mp4".into(), Box::new(Recorder { shown, fails_at: self.recordings_fail_at })))
    }

    fn save(&self, frame: &Frame) -> Result<String, PortError> {
        assert_eq!(frame.painting.size(), frame.camera.size());
        Ok("a.png".into())
    }
}

#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    clock: SimClock,
    session: Session,
    calls: Calls,
    slow: Arc<Mutex<u32>>,
    recorded: Arc<Mutex<usize>>,
    plugged: Plugged,
    log: Sheet,
}

impl Rig {
    fn new() -> Self {
        Self::with(Controls::default(), usize::MAX)
    }

    fn with(controls: Controls, recordings_fail_at: usize) -> Self {
        let clock = SimClock::new();
        let (calls, slow, recorded, log) =
            (Calls::default(), Arc::new(Mutex::new(1)), Arc::default(), Sheet::default());
        let plugged = Plugged::default();
        clock.set_cost(Step::Prepare, Duration::from_millis(1));
        let ports = Fake {
            clock: clock.clone(),
            calls: Arc::clone(&calls),
            slow: Arc::clone(&slow),
            recorded: Arc::clone(&recorded),
            recordings_fail_at,
            plugged: Arc::clone(&plugged),
        };
        let session = Session::start(Start {
            clock: Arc::new(clock.clone()),
            ports: Arc::new(ports),
            controls,
            model: ModelChoice { name: "starter".into(), loras: vec![] },
            source: "camera".into(),
            log: Some(Box::new(log.clone())),
            on_notice: Arc::new(|_| {}),
        });
        Self { clock, session: session.unwrap(), calls, slow, recorded, plugged, log }
    }

    fn run(&self, seconds: f64) {
        self.clock.sleep(Duration::from_secs_f64(seconds));
    }

    fn set(&self, change: Change) {
        self.session.command(Command::Set(change)).unwrap();
    }

    fn last(&self) -> (Duration, Asked, usize) {
        self.calls.lock().unwrap().last().cloned().unwrap()
    }

    fn notices(&self) -> Vec<String> {
        self.session.state().notices.into_iter().map(|notice| notice.text).collect()
    }

    fn was_told(&self, part: &str) -> bool {
        self.notices().iter().any(|text| text.contains(part))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.session.stop(Duration::from_secs(5));
    }
}

#[test]
fn it_starts_paints_and_says_so() {
    let rig = Rig::new();
    rig.run(2.0);
    let state = rig.session.state();
    assert_eq!(state.working_size, Some(Size { width: 512, height: 512 }));
    assert_eq!((state.source.spec.as_str(), state.source.live), ("camera", true));
    let starter = ModelOffer { name: "starter".into(), here: true };
    assert_eq!((state.loading, state.models), (None, vec![starter]));
    let frames = rig.session.statistics().frames;
    assert!(frames.generated >= 28, "1.5 s of 50 ms frames: {frames:?}");
    assert_eq!(rig.session.newest().unwrap().painting.size(), Extent::new(512, 512));
}

#[test]
fn loading_tells_how_far_it_is() {
    let rig = Rig::new();
    rig.run(0.3);
    let half = Activity { what: "half of it".into(), part: Some(0.5) };
    assert_eq!(rig.session.state().loading, Some(half));
}

#[test]
fn a_camera_that_is_plugged_in_is_offered_once_it_is_looked_for() {
    let rig = Rig::new();
    rig.run(1.0);
    let before = rig.session.state();
    assert!(before.sources.is_empty());
    rig.session.command(Command::Look).unwrap();
    assert_eq!(rig.session.state().version, before.version, "nothing has changed");
    rig.plugged.lock().unwrap().push("camera");
    rig.session.command(Command::Look).unwrap();
    let sources = rig.session.state().sources;
    assert_eq!(sources.iter().map(|source| &*source.spec).collect::<Vec<_>>(), ["camera"]);
}

#[test]
fn a_change_is_in_the_next_frame_and_costs_none() {
    let rig = Rig::new();
    rig.run(1.5);
    for seed in 1..=20 {
        let before = rig.calls.lock().unwrap().len();
        rig.set(Change { seed: Some(seed), strength: Some(0.3), ..Change::default() });
        rig.run(0.1);
        let calls = rig.calls.lock().unwrap();
        assert_eq!(calls[before].1.controls.seed, seed, "the frame begun next");
        assert!((1..=3).contains(&(calls.len() - before)), "no frame is lost");
    }
    let refused = Change { strength: Some(3.0), seed: Some(99), ..Change::default() };
    assert!(rig.session.command(Command::Set(refused)).is_err());
    assert_eq!(rig.session.state().controls.seed, 20);
}

#[test]
fn prompts_step_through_the_gallery() {
    let rig = Rig::new();
    let prompt = || rig.session.state().controls.prompts;
    rig.session.command(Command::PreviousPrompt).unwrap();
    assert_eq!(prompt(), [Prompt::new(gallery::STYLES[9].prompt)]);
    rig.session.command(Command::NextPrompt).unwrap();
    rig.session.command(Command::NextPrompt).unwrap();
    assert_eq!(prompt(), [Prompt::new(gallery::STYLES[1].prompt)]);
    rig.session.command(Command::ChoosePrompt(4)).unwrap();
    assert_eq!(prompt(), [Prompt::new(gallery::STYLES[4].prompt)]);
    assert!(rig.session.command(Command::ChoosePrompt(10)).is_err());
}

#[test]
fn the_source_is_switched_and_the_old_one_stays_if_it_cannot_be() {
    let rig = Rig::new();
    rig.run(1.0);
    rig.session.command(Command::Source("nowhere".into())).unwrap();
    let before = rig.calls.lock().unwrap().len();
    rig.run(1.0);
    assert!(rig.was_told("cannot switch to nowhere: there is no such device"));
    assert_eq!(rig.session.state().source.spec, "camera");
    assert!(rig.calls.lock().unwrap().len() > before + 15, "the picture goes on");
    rig.session.command(Command::Source("short.mp4".into())).unwrap();
    rig.run(1.0);
    let state = rig.session.state();
    assert_eq!((state.source.spec.as_str(), state.source.live), ("short.mp4", false));
    assert!(rig.was_told("the source has ended"));
    rig.session.command(Command::Source("camera".into())).unwrap();
    rig.run(0.5);
    assert!(rig.session.state().source.live);
}

#[test]
fn a_model_or_size_is_loaded_beside_the_running_picture() {
    let rig = Rig::new();
    rig.run(1.5);
    let before = rig.calls.lock().unwrap().len();
    rig.set(Change { size: Some(Size { width: 256, height: 256 }), ..Change::default() });
    rig.run(0.45);
    assert!(rig.session.state().loading.is_some());
    assert_eq!(rig.last().2, 512, "the old size goes on");
    assert!(rig.calls.lock().unwrap().len() >= before + 8);
    rig.run(0.3);
    assert_eq!((rig.last().2, rig.session.state().loading), (256, None));
    let broken = ModelChoice { name: "broken".into(), loras: vec![] };
    rig.session.command(Command::Model(broken)).unwrap();
    rig.run(0.5);
    assert!(rig.was_told("there is no such model"));
    assert_eq!(rig.session.state().model.name, "starter");
    let other = ModelChoice { name: "other".into(), loras: vec![] };
    rig.session.command(Command::Model(other)).unwrap();
    rig.run(1.0);
    assert_eq!((rig.session.state().model.name.as_str(), rig.last().2), ("other", 256));
}

#[test]
fn a_target_frame_rate_lowers_the_size_and_restores_it() {
    let controls = Controls { target_fps: 15.0, ..Controls::default() };
    let rig = Rig::with(controls, usize::MAX);
    rig.run(3.0);
    assert_eq!(rig.last().2, 512, "50 ms are short enough");
    *rig.slow.lock().unwrap() = 3;
    rig.run(8.0);
    let lowered = rig.last().2;
    assert!(lowered < 384, "150 ms are too long at 512: {lowered}");
    assert_eq!(rig.session.state().working_size.unwrap().width, lowered);
    assert_eq!(rig.session.state().controls.size.width, 512, "what is wanted stays");
    *rig.slow.lock().unwrap() = 1;
    rig.run(40.0);
    assert_eq!(rig.last().2, 512);
}

#[test]
fn a_recording_begins_ends_and_may_fail() {
    let rig = Rig::new();
    rig.run(1.0);
    rig.session.command(Command::Record(true)).unwrap();
    rig.run(1.0);
    let recording = rig.session.state().recording.unwrap();
    assert_eq!(recording.file, "a.mp4");
    assert!((0.99..1.01).contains(&recording.seconds));
    rig.session.command(Command::Record(false)).unwrap();
    rig.run(0.1);
    assert_eq!(rig.session.state().recording, None);
    let recorded = *rig.recorded.lock().unwrap();
    assert!((18..=22).contains(&recorded), "1 s of 50 ms frames: {recorded}");

    let rig = Rig::with(Controls::default(), 5);
    rig.run(1.0);
    for _ in 0..2 {
        rig.session.command(Command::Record(true)).unwrap();
        assert!(rig.session.state().recording.is_some());
        rig.run(1.0);
        assert_eq!(rig.session.state().recording, None, "it failed and can begin again");
    }
    assert!(rig.was_told("the disk is full"));
}

#[test]
fn the_picture_is_mirrored() {
    let rig = Rig::new();
    rig.run(1.0);
    let left = |frame: &Frame| frame.camera.rgb()[0];
    assert_eq!(left(&rig.session.newest().unwrap()), 0);
    rig.set(Change { mirror: Some(true), ..Change::default() });
    rig.run(0.5);
    assert_eq!(left(&rig.session.newest().unwrap()), 255);
}

#[test]
fn a_snapshot_needs_a_picture() {
    let rig = Rig::new();
    assert!(rig.session.command(Command::Snapshot).is_err());
    rig.run(1.0);
    rig.session.command(Command::Snapshot).unwrap();
    assert!(rig.was_told("saved a.png"));
}

#[test]
fn a_reset_reaches_the_model() {
    let rig = Rig::new();
    rig.run(1.0);
    rig.session.command(Command::Reset).unwrap();
    rig.set(Change { seed: Some(1), ..Change::default() });
    rig.run(0.2);
    assert_eq!(rig.last().1.resets, 1);
}

#[test]
fn quitting_ends_the_wait() {
    let rig = Rig::new();
    assert!(!rig.session.wait_for_end(Duration::ZERO));
    rig.session.command(Command::Quit).unwrap();
    assert!(rig.session.wait_for_end(Duration::from_secs(60)));
}

#[test]
fn the_log_replays_what_was_set() {
    let rig = Rig::new();
    rig.run(1.0);
    let first = rig.calls.lock().unwrap().len();
    assert!(first > 0);
    rig.set(Change { strength: Some(0.25), ..Change::default() });
    rig.run(1.0);
    rig.session.command(Command::NextPrompt).unwrap();
    rig.run(1.0);
    let text = String::from_utf8(rig.log.0.lock().unwrap().clone()).unwrap();
    let replay = Replay::parse(&text).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert_eq!(replay.at(Duration::ZERO), &Controls::default());
    assert_eq!(replay.at(Duration::from_secs(10)), &rig.session.state().controls);
    let between = replay.at(Duration::from_millis(1400));
    assert_eq!((between.strength, &between.prompts), (0.25, &Controls::default().prompts));
}
