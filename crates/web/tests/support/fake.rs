//! A session that paints without a model: a real pipeline whose stage mixes the
//! camera's picture with a colour made from the prompt, as much as the strength
//! says. What is asked of it shows in the picture.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use laterna_control::{
    Activity, Command, Controls, Level, MOST_NOTICES, ModelChoice, ModelOffer, Notice, Recording,
    SourceChoice, State, gallery,
};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{
    Clock, Input, Motion, OpenSource, PortError, Read, Shown, Sink, Source, Stage,
};
use laterna_pipeline::prepare::Fit;
use laterna_pipeline::settings::{Live, Settings};
use laterna_pipeline::stats::Snapshot;
use laterna_pipeline::{Image, Parts, Pipeline, Size, Slot, SystemClock, Taken};
use laterna_tensor::Tensor;
use laterna_web::{App, Attachment, Demand, EncodeJpeg, Refused};

/// Of the built-in picture.
const CAMERA: Size = Size::new(640, 480);

/// A session.
pub struct Fake {
    clock: SystemClock,
    pipeline: Arc<Pipeline<Paint>>,
    last: Arc<Mutex<Option<Arc<Frame>>>>,
    inner: Arc<Inner>,
}

struct Inner {
    settings: Arc<Live<Settings<Paint>>>,
    state: Mutex<State>,
    pictures: Slot<(Image, Duration)>,
    from_browser: AtomicBool,
    has_quit: AtomicBool,
    snapshots: AtomicUsize,
}

/// What the stage reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Paint {
    strength: f32,
    colour: [f32; 3],
}

impl Fake {
    /// Starts painting the built-in picture, `fps` times a second, in a size.
    pub fn start(fps: u32, size: (usize, usize)) -> Arc<Self> {
        let clock = SystemClock::start();
        let size = laterna_control::Size { width: size.0, height: size.1 };
        let controls = Controls { size, ..Controls::default() };
        let settings = Arc::new(Live::new(settings(&controls)));
        let inner = Arc::new(Inner {
            settings: Arc::clone(&settings),
            state: Mutex::new(state(controls)),
            pictures: Slot::new(),
            from_browser: AtomicBool::new(false),
            has_quit: AtomicBool::new(false),
            snapshots: AtomicUsize::new(0),
        });
        let pipeline = Pipeline::start(Parts {
            clock: Arc::new(clock),
            source: source(Arc::clone(&inner), clock, Duration::from_secs(1) / fps),
            stage: stage(size),
            settings,
            report: Arc::new(|_| {}),
        });
        let (pipeline, last) = (Arc::new(pipeline.unwrap()), Arc::default());
        let keep = Keep(Arc::clone(&last));
        pipeline.add_sink("keep", Rate::Arrival, Box::new(keep)).unwrap();
        Arc::new(Self { clock, pipeline, last, inner })
    }

    pub fn has_quit(&self) -> bool {
        self.inner.has_quit.load(Ordering::Acquire)
    }

    pub fn snapshots(&self) -> usize {
        self.inner.snapshots.load(Ordering::Acquire)
    }

    pub fn controls(&self) -> Controls {
        self.inner.state().controls.clone()
    }

    fn set(&self, change: &laterna_control::Change) -> Result<(), Refused> {
        let mut state = self.inner.state();
        let controls = change.applied(&state.controls)?;
        if controls.size != state.controls.size {
            self.pipeline.load(stage(controls.size));
            state.working_size = Some(controls.size);
        }
        self.inner.settings.set(settings(&controls));
        state.controls = controls;
        state.version += 1;
        Ok(())
    }

    fn prompt(&self, index: usize) -> Result<(), Refused> {
        let Some(style) = gallery::STYLES.get(index) else {
            let why = format!("there is no prompt {index}");
            let hint = Some(format!("there are {}, from 0", gallery::STYLES.len()));
            return Err(Refused::NotNow { why, hint });
        };
        let prompts = Some(vec![laterna_control::Prompt::new(style.prompt)]);
        self.set(&laterna_control::Change { prompts, ..Default::default() })
    }

    fn neighbour(&self, forward: bool) -> Result<(), Refused> {
        let prompt = self.controls().prompts[0].text.clone();
        self.prompt(gallery::neighbour(&prompt, forward))
    }

    fn choose_source(&self, spec: &str) -> Result<(), Refused> {
        let known = self.inner.state().sources.iter().find(|source| source.spec == spec).cloned();
        let Some(chosen) = known.filter(|source| source.spec != "camera:0") else {
            return Err(Refused::NotNow {
                why: format!("{spec} cannot be opened: no such device"),
                hint: Some("choose another source".to_owned()),
            });
        };
        self.inner.from_browser.store(spec == "browser", Ordering::Release);
        self.inner.change(|state| state.source = SourceChoice { live: true, ..chosen });
        Ok(())
    }

    fn load(&self, model: ModelChoice) {
        let inner = Arc::clone(&self.inner);
        thread::spawn(move || {
            for step in 0..20u8 {
                inner.change(|state| {
                    let part = Some(f32::from(step) / 20.0);
                    state.loading =
                        Some(Activity { what: format!("Loading {}", model.name), part });
                });
                thread::sleep(Duration::from_millis(100));
            }
            inner.change(|state| (state.loading, state.model) = (None, model));
        });
    }

    fn record(&self, on: bool) {
        let recording = on.then(|| Recording { file: "laterna.mp4".to_owned(), seconds: 0.0 });
        self.inner.change(|state| state.recording = recording);
    }

    fn snapshot(&self) {
        let number = self.inner.snapshots.fetch_add(1, Ordering::AcqRel) + 1;
        self.notice(Level::Info, format!("saved laterna-{number}.png"));
    }

    pub fn notice(&self, level: Level, text: String) {
        let at_s = self.clock.now().as_secs_f64();
        self.inner.change(|state| {
            let number = state.notices.last().map_or(0, |notice| notice.number + 1);
            state.notices.push(Notice { number, at_s, level, text });
            let extra = state.notices.len().saturating_sub(MOST_NOTICES);
            state.notices.drain(..extra);
        });
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.version += 1;
    }
}

impl App for Fake {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn state(&self) -> State {
        self.inner.state().clone()
    }

    fn statistics(&self) -> Snapshot {
        self.pipeline.snapshot()
    }

    fn command(&self, command: Command) -> Result<(), Refused> {
        match command {
            Command::Set(change) => self.set(&change)?,
            Command::NextPrompt => self.neighbour(true)?,
            Command::PreviousPrompt => self.neighbour(false)?,
            Command::ChoosePrompt(index) => self.prompt(index)?,
            Command::Source(spec) => self.choose_source(&spec)?,
            Command::Model(model) => self.load(model),
            Command::Reset | Command::Look => {}
            Command::Snapshot => self.snapshot(),
            Command::Record(on) => self.record(on),
            Command::Quit => self.inner.has_quit.store(true, Ordering::Release),
        }
        Ok(())
    }

    fn attach(&self, name: &str, rate: Rate, sink: Box<dyn Sink>) -> Result<Attachment, Refused> {
        let id = self
            .pipeline
            .add_sink(name, rate, sink)
            .map_err(|error| Refused::Failed { why: error.to_string(), hint: None })?;
        let pipeline = Arc::clone(&self.pipeline);
        Ok(Attachment::new(id.number(), move || pipeline.remove_sink(id)))
    }

    fn wait_for_demand(&self, _: Duration) -> Demand {
        Demand::Now
    }

    fn push(&self, image: &mut Image, captured: Duration) {
        let picture = std::mem::take(image);
        if let Some((replaced, _)) = self.inner.pictures.put((picture, captured)) {
            *image = replaced;
        }
    }

    fn frame(&self) -> Option<Arc<Frame>> {
        self.last.lock().unwrap().clone()
    }

    fn encoder(&self) -> Box<dyn EncodeJpeg> {
        Box::new(Encoder)
    }
}

struct Encoder;

impl EncodeJpeg for Encoder {
    fn encode(&mut self, image: &Image, quality: u8, out: &mut Vec<u8>) -> Result<(), String> {
        out.clear();
        let Size { width, height } = image.size();
        image::codecs::jpeg::JpegEncoder::new_with_quality(out, quality)
            .encode(image.rgb(), width as u32, height as u32, image::ExtendedColorType::Rgb8)
            .map_err(|error| error.to_string())
    }
}

struct Keep(Arc<Mutex<Option<Arc<Frame>>>>);

impl Sink for Keep {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        *self.0.lock().unwrap() = Some(Arc::clone(shown.frame));
        Ok(())
    }
}

/// The same numbers for the same text: a hue, and colours far apart for texts
/// that are not the same.
fn colour(text: &str) -> [f32; 3] {
    let hash = text
        .bytes()
        .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hue = (hash >> 8) as f32 / (1 << 24) as f32 * std::f32::consts::TAU;
    [0.0, 2.1, 4.2].map(|turn| (hue + turn).sin() * 0.9)
}

fn settings(controls: &Controls) -> Settings<Paint> {
    let total: f32 = controls.prompts.iter().map(|prompt| prompt.weight).sum();
    let colour = controls.prompts.iter().fold([0.0; 3], |mut mix, prompt| {
        let share = prompt.weight / total;
        mix.iter_mut().zip(colour(&prompt.text)).for_each(|(mix, value)| *mix += share * value);
        mix
    });
    let mut settings = Settings::new(Paint { strength: controls.strength, colour });
    settings.smoothing = controls.smoothing;
    settings.camera = controls.camera;
    settings.view.fit = match controls.fit {
        laterna_control::Fit::Crop => Fit::Crop,
        laterna_control::Fit::Letterbox => Fit::Letterbox,
    };
    settings
}

fn offer(name: &str, here: bool) -> ModelOffer {
    ModelOffer { name: name.to_owned(), here }
}

fn state(controls: Controls) -> State {
    let source = |spec: &str, label: &str, live| SourceChoice {
        spec: spec.to_owned(),
        label: label.to_owned(),
        live,
    };
    State {
        version: 1,
        working_size: Some(controls.size),
        controls,
        gallery: &gallery::STYLES,
        source: source("synthetic", "Test picture", true),
        sources: vec![
            source("synthetic", "Test picture", true),
            source("camera:0", "Studio camera", false),
            source("browser", "This page", false),
        ],
        model: ModelChoice { name: "starter".to_owned(), loras: vec![] },
        models: vec![offer("starter", true), offer("sdxs-512", false)],
        loading: None,
        recording: None,
        notices: vec![],
    }
}

fn stage(size: laterna_control::Size) -> laterna_pipeline::port::BuildStage<Paint> {
    Box::new(move || Ok(Box::new(Painter(Size::new(size.width, size.height)))))
}

struct Painter(Size);

impl Stage<Paint> for Painter {
    fn size(&self) -> Size {
        self.0
    }

    fn run(&mut self, input: &Input<'_, Paint>, output: &mut Tensor) -> Result<Motion, PortError> {
        let Paint { strength, colour } = *input.settings;
        let (picture, output) = (input.picture.as_f32()?, output.as_f32_mut()?);
        for (channel, planes) in output.chunks_exact_mut(self.0.area()).enumerate() {
            let from = &picture[channel * self.0.area()..][..self.0.area()];
            for (out, value) in planes.iter_mut().zip(from) {
                let painted = (colour[channel] + 0.35 * value).clamp(-1.0, 1.0);
                *out = value + strength * (painted - value);
            }
        }
        Ok(Motion::Settled)
    }
}

fn source(inner: Arc<Inner>, clock: SystemClock, period: Duration) -> OpenSource {
    Box::new(move || {
        let inner = Arc::clone(&inner);
        Ok(Box::new(Camera { inner, clock, period, next: clock.now(), number: 0 }))
    })
}

/// The built-in picture, or what the browser sends.
struct Camera {
    inner: Arc<Inner>,
    clock: SystemClock,
    period: Duration,
    next: Duration,
    number: usize,
}

impl Source for Camera {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        if self.inner.from_browser.load(Ordering::Acquire) {
            let deadline = self.clock.now() + Duration::from_millis(30);
            return Ok(match self.inner.pictures.take(&self.clock, Some(deadline)) {
                Taken::Value((picture, captured)) => {
                    *image = picture;
                    Read::Picture { captured }
                }
                Taken::Late | Taken::Closed => Read::Nothing,
            });
        }
        thread::sleep(self.next.saturating_sub(self.clock.now()));
        self.next = self.clock.now().max(self.next) + self.period;
        self.number += 1;
        draw(image, self.number);
        Ok(Read::Picture { captured: self.clock.now() })
    }
}

/// A lamp that goes around before a wall in soft light.
fn draw(image: &mut Image, number: usize) {
    image.reset(CAMERA);
    let angle = number as f32 * 0.05;
    let lamp = (320.0 + 170.0 * angle.cos(), 240.0 + 110.0 * (2.0 * angle).sin());
    for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((i % CAMERA.width) as f32, (i / CAMERA.width) as f32);
        let distance = ((x - lamp.0).powi(2) + (y - lamp.1).powi(2)).sqrt();
        let glow = 190.0 / (1.0 + (distance / 70.0).powi(2));
        let wall = 30.0 + 50.0 * (y / 480.0) + 14.0 * ((x / 640.0 * 9.0).sin());
        *pixel = [wall + glow, wall * 0.95 + glow * 0.9, wall * 1.1 + glow * 0.7]
            .map(|value| value.clamp(0.0, 255.0) as u8);
    }
}
