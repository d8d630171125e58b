//! A source, a stage and sinks that do as a test says, on a simulated clock,
//! and a rig that joins them to a pipeline.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use laterna_pipeline::event::Event;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{
    Aim, BuildStage, Clock, Input, Kind, Motion, OpenSource, PortError, Read, Shown, Sink, Source,
    Stage,
};
use laterna_pipeline::settings::{Live, Settings};
use laterna_pipeline::sim::SimClock;
use laterna_pipeline::{Image, Parts, Pipeline, SinkId, Size};
use laterna_tensor::{Surface, Tensor};

pub const SIZE: Size = Size::new(8, 8);
pub const CAMERA: Size = Size::new(16, 12);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// What a port does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Work,
    Fail,
    Panic,
    End,
}

impl Act {
    pub fn perform(self) -> Result<(), PortError> {
        match self {
            Self::Work | Self::End => Ok(()),
            Self::Fail => Err("as the test says".into()),
            Self::Panic => panic!("as the test says"),
        }
    }
}

/// A camera with a steady rate whose pictures are of one value: their number,
/// or what `value` makes of it.
#[derive(Clone)]
pub struct Camera {
    pub clock: SimClock,
    pub period: Duration,
    pub next: Arc<Mutex<(u64, Duration)>>,
    pub act: fn(u64) -> Act,
    pub value: fn(u64) -> u8,
    /// It cannot be opened between these times.
    pub unplugged: (Duration, Duration),
    /// It is no camera but draws whenever it is asked, which takes so long; for a model
    /// that reads surfaces as large as is aimed at, and with its number as a surface.
    pub draws: Option<Duration>,
    /// What it has to say at picture `n`.
    pub note: fn(u64) -> Option<String>,
    /// What it was told to aim at.
    pub aims: Arc<Mutex<Vec<Aim>>>,
}

impl Camera {
    pub fn new(clock: &SimClock, period: Duration) -> Self {
        Self {
            clock: clock.clone(),
            period,
            next: Arc::new(Mutex::new((0, Duration::ZERO))),
            act: |_| Act::Work,
            value: |number| number as u8,
            unplugged: (Duration::ZERO, Duration::ZERO),
            draws: None,
            note: |_| None,
            aims: Arc::new(Mutex::new(Vec::with_capacity(1 << 14))),
        }
    }

    pub fn opener(self) -> OpenSource {
        Box::new(move || {
            self.check()?;
            Ok(Box::new(self.clone()))
        })
    }

    fn check(&self) -> Result<(), PortError> {
        let (from, to) = self.unplugged;
        let now = self.clock.now();
        if (from..to).contains(&now) { Err("no camera".into()) } else { Ok(()) }
    }

    /// One picture of this moment, a period after the one before at the earliest.
    fn draw(&self, length: Duration, image: &mut Image) -> Read {
        let mut next = self.next.lock().unwrap();
        let ((number, due), now) = (*next, self.clock.now());
        if now < due {
            drop(next);
            self.clock.sleep_until(due);
            return Read::Nothing;
        }
        *next = (number + 1, now + self.period);
        drop(next);
        self.clock.sleep(length);
        let aim = *self.aims.lock().unwrap().last().unwrap();
        image.reset(if aim.surface { aim.size } else { CAMERA });
        image.rgb_mut().fill((self.value)(number));
        if aim.surface {
            image.set_surface(Surface::new(number));
        }
        Read::Picture { captured: now }
    }
}

impl Source for Camera {
    fn rests(&self) -> bool {
        self.draws.is_some()
    }

    fn aim(&mut self, aim: Aim) {
        self.aims.lock().unwrap().push(aim);
    }

    fn note(&mut self) -> Option<String> {
        (self.note)(self.next.lock().unwrap().0)
    }

    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        if let Some(length) = self.draws {
            return Ok(self.draw(length, image));
        }
        let (number, due) = {
            let mut next = self.next.lock().unwrap();
            next.1 = next.1.max(self.clock.now());
            let current = *next;
            *next = (current.0 + 1, current.1 + self.period);
            current
        };
        self.clock.sleep_until(due);
        self.check()?;
        let act = (self.act)(number);
        act.perform()?;
        if act == Act::End {
            return Ok(Read::End);
        }
        image.reset(CAMERA);
        image.rgb_mut().fill((self.value)(number));
        Ok(Read::Picture { captured: due })
    }
}

/// One call of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub begin: Duration,
    pub sequence: u64,
    pub prompt: u32,
    pub cut: bool,
    pub width: usize,
    /// The number of a picture that came with a surface.
    pub surface: Option<u64>,
}

/// What all stages of a test share.
#[derive(Clone)]
pub struct Model {
    pub clock: SimClock,
    pub calls: Arc<Mutex<Vec<Call>>>,
    pub built: Arc<Mutex<Vec<Duration>>>,
    /// How long call `n` takes.
    pub length: fn(u64) -> Duration,
    /// How much slower the machine is at this time and width, in per cent.
    pub per_cent: Arc<dyn Fn(Duration, usize) -> u32 + Send + Sync>,
    pub act: fn(u64) -> Act,
    pub motion: fn(u64) -> Motion,
    /// How long build `n` takes and what comes of it.
    pub build: fn(usize) -> (Duration, Act),
    pub reads_surfaces: bool,
}

impl Model {
    pub fn new(clock: &SimClock, length: fn(u64) -> Duration) -> Self {
        Self {
            clock: clock.clone(),
            calls: Arc::new(Mutex::new(Vec::with_capacity(1 << 14))),
            built: Arc::default(),
            length,
            per_cent: Arc::new(|_, _| 100),
            act: |_| Act::Work,
            motion: |_| Motion::Settled,
            build: |_| (Duration::ZERO, Act::Work),
            reads_surfaces: false,
        }
    }

    pub fn builder(&self, size: Size) -> BuildStage<u32> {
        let model = self.clone();
        Box::new(move || {
            let number = model.built.lock().unwrap().len();
            model.built.lock().unwrap().push(model.clock.now());
            let (length, act) = (model.build)(number);
            model.clock.sleep(length);
            act.perform()?;
            Ok(Box::new(FakeStage { model: model.clone(), size }))
        })
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

/// Gives the picture that it got.
struct FakeStage {
    model: Model,
    size: Size,
}

impl Stage<u32> for FakeStage {
    fn size(&self) -> Size {
        self.size
    }

    fn reads_surfaces(&self) -> bool {
        self.model.reads_surfaces
    }

    fn run(&mut self, input: &Input<'_, u32>, output: &mut Tensor) -> Result<Motion, PortError> {
        let begin = self.model.clock.now();
        let &Input { sequence, settings: &prompt, cut, picture, .. } = input;
        let surface = picture.view().surface().and_then(Surface::get).copied();
        let call = Call { begin, sequence, prompt, cut, width: picture.shape()[3], surface };
        let number = {
            let mut calls = self.model.calls.lock().unwrap();
            calls.push(call);
            calls.len() as u64 - 1
        };
        let per_cent = (self.model.per_cent)(begin, call.width);
        self.model.clock.sleep((self.model.length)(number) * per_cent / 100);
        (self.model.act)(number).perform()?;
        if *picture.shape() != self.size.shape() {
            return Err("a picture of another size".into());
        }
        output.as_f32_mut()?.copy_from_slice(picture.as_f32()?);
        Ok((self.model.motion)(number))
    }
}

/// One picture that a sink showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub at: Duration,
    pub sequence: u64,
    pub captured: Duration,
    pub settings: u64,
    pub kind: Kind,
    /// The first byte of what was shown.
    pub value: u8,
    pub width: usize,
    pub scene: u64,
}

/// Notes what it is shown.
#[derive(Clone)]
pub struct Screen {
    pub clock: SimClock,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// How long showing picture `n` takes, and what comes of it.
    pub act: fn(usize) -> (Duration, Act),
}

impl Screen {
    pub fn new(clock: &SimClock) -> Self {
        let seen = Arc::new(Mutex::new(Vec::with_capacity(1 << 14)));
        Self { clock: clock.clone(), seen, act: |_| (Duration::ZERO, Act::Work) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.seen().iter().filter(|seen| seen.kind == kind).count() as u64
    }
}

impl Sink for Screen {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let number = self.seen.lock().unwrap().len();
        let (length, act) = (self.act)(number);
        if !length.is_zero() {
            self.clock.sleep(length);
        }
        act.perform()?;
        let trail = &shown.frame.trail;
        self.seen.lock().unwrap().push(Seen {
            at: self.clock.now(),
            sequence: trail.sequence,
            captured: trail.captured,
            settings: trail.settings,
            kind: shown.kind,
            value: shown.image.rgb()[0],
            width: shown.image.size().width,
            scene: trail.scene,
        });
        Ok(())
    }
}

/// A pipeline on a simulated clock.
pub struct Rig {
    pub clock: SimClock,
    pub pipeline: Pipeline<u32>,
    pub model: Model,
    pub events: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    pub fn start(camera: Camera, model: Model) -> Self {
        let (clock, events) = (camera.clock.clone(), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&events);
        let pipeline = Pipeline::start(Parts {
            clock: Arc::new(clock.clone()),
            source: camera.opener(),
            stage: model.builder(SIZE),
            settings: Arc::new(Live::new(Settings::new(0))),
            report: Arc::new(move |event: Event| log.lock().unwrap().push(event.to_string())),
        })
        .unwrap();
        Self { clock, pipeline, model, events }
    }

    pub fn show(&self, name: &str, rate: Rate, screen: &Screen) -> SinkId {
        self.pipeline.add_sink(name, rate, Box::new(screen.clone())).unwrap()
    }

    pub fn change(&self, change: impl FnOnce(&mut Settings<u32>)) -> u64 {
        self.pipeline.settings().update(change)
    }

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

/// The value below which 95 of 100 lie, from the sorted values.
pub fn p95(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[(values.len() * 95).div_ceil(100) - 1]
}
