//! The session itself: starts the pipeline, does what is asked, and keeps the
//! state true.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use laterna_control::{
    Change, Command, Controls, Fit, Invalid, Level, ModelChoice, Prompt, Size, SourceChoice, State,
    gallery,
};
use laterna_pipeline::event::Event;
use laterna_pipeline::frame::Frame;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{BuildStage, Clock, PortError, Sink};
use laterna_pipeline::prepare::View;
use laterna_pipeline::settings::{Live, Settings};
use laterna_pipeline::similar::Similarity;
use laterna_pipeline::stats::Snapshot;
use laterna_pipeline::{Parts, Pipeline, SinkId, prepare};

use crate::hub::{Hub, OnNotice, Work};
use crate::log::SessionLog;
use crate::monitor::{Monitor, Target};
use crate::ports::Ports;
use crate::switch::{self, Wanted};

/// The name of the recording's sink.
const RECORDING: &str = "recording";

/// A recording shows a still picture again so often, so that one that is cut off
/// has lost no more.
pub const RECORDING_RATE: Rate = Rate::AtLeast { fps: 1.0 };

/// What a session begins with.
pub struct Start {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Sources, models and files.
    pub ports: Arc<dyn Ports>,
    /// The controls.
    pub controls: Controls,
    /// The model.
    pub model: ModelChoice,
    /// The source.
    pub source: String,
    /// Where changes of the controls are logged.
    pub log: Option<Box<dyn Write + Send>>,
    /// Told each notice as it comes; it must not wait.
    pub on_notice: OnNotice,
}

/// What is asked of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The controls in force.
    pub controls: Controls,
    /// How often it was to forget earlier frames.
    pub resets: u64,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A value is out of its range.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such prompt in the gallery.
    #[error("there is no prompt {0} in the gallery")]
    NoPrompt(usize),
    /// There is no picture yet.
    #[error("there is no picture yet")]
    NoPicture,
    /// Something outside failed.
    #[error("{0}")]
    Failed(PortError),
}

/// A running session. Clones are handles of the same one.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

pub struct Inner {
    clock: Arc<dyn Clock>,
    ports: Arc<dyn Ports>,
    hub: Arc<Hub>,
    wanted: Arc<Live<Wanted>>,
    settings: Arc<Live<Settings<Asked>>>,
    pub target: Arc<Target>,
    log: Mutex<Option<SessionLog>>,
    recording: Mutex<Option<SinkId>>,
    /// Held while controls change, so that changes come one after the other.
    changing: Mutex<()>,
    /// Held while sources and models are looked for, which may take a while.
    looking: Mutex<()>,
    pipeline: OnceLock<Pipeline<Asked>>,
}

impl Session {
    /// Starts the threads. Source and model are opened on them; what goes wrong
    /// there is a notice.
    ///
    /// # Errors
    /// If a control is out of its range, the log cannot be written, or the system
    /// starts no more threads.
    pub fn start(start: Start) -> Result<Self, io::Error> {
        let Start { clock, ports, controls, model, source, log, on_notice } = start;
        controls.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let log = log.map(|output| SessionLog::begin(output, &controls)).transpose()?;
        let choice = SourceChoice { spec: source.clone(), label: source.clone(), live: false };
        let hub = Hub::new(Arc::clone(&clock), controls.clone(), model.clone(), choice, on_notice);
        let inner = Arc::new(Inner {
            hub: Arc::new(hub),
            wanted: Arc::new(Live::new(Wanted { spec: source, request: 0 })),
            settings: Arc::new(Live::new(settings_of(Asked {
                controls: controls.clone(),
                resets: 0,
            }))),
            target: Arc::default(),
            log: Mutex::new(log),
            recording: Mutex::new(None),
            changing: Mutex::new(()),
            looking: Mutex::new(()),
            pipeline: OnceLock::new(),
            clock,
            ports,
        });
        inner.look();
        inner.target.set(controls.target_fps, controls.size);
        inner.launch(Work { model, size: controls.size })?;
        Ok(Self { inner })
    }

    /// What a page shows beside the picture.
    pub fn state(&self) -> State {
        self.inner.hub.state()
    }

    /// Counts and durations.
    pub fn statistics(&self) -> Snapshot {
        self.inner.pipeline().map(Pipeline::snapshot).unwrap_or_default()
    }

    /// The newest painting with its camera picture.
    pub fn newest(&self) -> Option<Arc<Frame>> {
        self.inner.hub.newest()
    }

    /// Adds a sink.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn add_sink(&self, name: &str, rate: Rate, sink: Box<dyn Sink>) -> io::Result<SinkId> {
        let pipeline = self.inner.pipeline();
        pipeline.map_or_else(not_running, |pipeline| pipeline.add_sink(name, rate, sink))
    }

    /// Ends a sink after the picture that it is showing.
    pub fn remove_sink(&self, id: SinkId) {
        if let Some(pipeline) = self.inner.pipeline() {
            pipeline.remove_sink(id);
        }
    }

    /// Does what is asked. What takes long, as loading a model, has only begun
    /// when this returns.
    ///
    /// # Errors
    /// Why it was not done; then nothing has changed.
    pub fn command(&self, command: Command) -> Result<(), Refused> {
        command.check()?;
        let inner = &self.inner;
        match command {
            Command::Set(change) => inner.set(&change),
            Command::NextPrompt => inner.step_prompt(true),
            Command::PreviousPrompt => inner.step_prompt(false),
            Command::ChoosePrompt(index) => inner.choose_prompt(index),
            Command::Source(spec) => {
                inner.want_source(spec);
                Ok(())
            }
            Command::Model(model) => {
                let size = inner.hub.controls().size;
                inner.load(Work { model, size });
                Ok(())
            }
            Command::Look => {
                inner.look();
                Ok(())
            }
            Command::Reset => {
                inner.settings.update(|settings| settings.stage.resets += 1);
                Ok(())
            }
            Command::Snapshot => inner.save().map(drop),
            Command::Record(true) => inner.begin_recording(),
            Command::Record(false) => {
                inner.end_recording();
                Ok(())
            }
            Command::Quit => {
                inner.hub.end();
                Ok(())
            }
        }
    }

    /// Tells the user something.
    pub fn notice(&self, level: Level, text: impl Into<String>) {
        self.inner.hub.notice(level, text);
    }

    /// Waits until [`Command::Quit`], up to `limit`, and says whether it came.
    pub fn wait_for_end(&self, limit: Duration) -> bool {
        self.inner.hub.wait_for_end(limit)
    }

    /// Ends the recording and all threads, and returns the last counts.
    pub fn stop(&self, patience: Duration) -> Snapshot {
        self.inner.end_recording();
        self.inner.pipeline().map(|pipeline| pipeline.stop(patience)).unwrap_or_default()
    }
}

fn not_running<T>() -> io::Result<T> {
    Err(io::Error::other("the session is not running"))
}

impl Inner {
    fn pipeline(&self) -> Option<&Pipeline<Asked>> {
        self.pipeline.get()
    }

    fn launch(self: &Arc<Self>, work: Work) -> io::Result<()> {
        let (ports, clock) = (Arc::clone(&self.ports), Arc::clone(&self.clock));
        let source = switch::opener(ports, clock, Arc::clone(&self.hub), Arc::clone(&self.wanted));
        let (hub, target, clock) =
            (Arc::clone(&self.hub), Arc::clone(&self.target), Arc::clone(&self.clock));
        let parts = Parts {
            clock: Arc::clone(&self.clock),
            source,
            stage: self.builder(work),
            settings: Arc::clone(&self.settings),
            report: Arc::new(move |event| tell(&hub, &target, &*clock, event)),
        };
        let started = Pipeline::start(parts)?;
        let pipeline = self.pipeline.get_or_init(|| started);
        let monitor = Monitor { session: Arc::downgrade(self) };
        pipeline.add_sink("monitor", Rate::Arrival, Box::new(monitor)).map(drop)
    }

    /// What builds the work, here and again after a panic.
    fn builder(&self, work: Work) -> BuildStage<Asked> {
        let (ports, hub) = (Arc::clone(&self.ports), Arc::clone(&self.hub));
        Box::new(move || {
            hub.loading(&work);
            let stage = ports.build(&work.model, work.size, &|activity| hub.progress(activity));
            hub.loaded(stage.is_ok().then(|| work.clone()));
            stage
        })
    }

    fn load(&self, work: Work) {
        if let Some(pipeline) = self.pipeline() {
            pipeline.load(self.builder(work));
        }
    }

    /// The model at work, at another size.
    pub fn resize(&self, size: Size) {
        let model = self.hub.running().map_or_else(|| self.hub.state().model, |work| work.model);
        self.load(Work { model, size });
    }

    fn set(&self, change: &Change) -> Result<(), Refused> {
        let _turn = lock(&self.changing);
        let before = self.hub.controls();
        let after = change.applied(&before)?;
        let change = Change::between(&before, &after);
        if change == Change::default() {
            return Ok(());
        }
        self.settings.update(|settings| {
            *settings = settings_of(Asked { controls: after.clone(), ..settings.stage });
        });
        self.hub.set_controls(after.clone());
        self.note(change);
        if (before.size, before.target_fps) != (after.size, after.target_fps) {
            self.target.set(after.target_fps, after.size);
            self.resize(after.size);
        }
        Ok(())
    }

    fn note(&self, change: Change) {
        let mut log = lock(&self.log);
        let written = log.as_mut().map(|log| log.note(self.clock.now(), change));
        if let Some(Err(error)) = written {
            *log = None;
            self.hub.notice(Level::Error, format!("the log ends here: {error}"));
        }
    }

    fn step_prompt(&self, forward: bool) -> Result<(), Refused> {
        let controls = self.hub.controls();
        self.choose_prompt(gallery::neighbour(&controls.prompts[0].text, forward))
    }

    fn choose_prompt(&self, index: usize) -> Result<(), Refused> {
        let style = gallery::STYLES.get(index).ok_or(Refused::NoPrompt(index))?;
        let prompts = Some(vec![Prompt::new(style.prompt)]);
        self.set(&Change { prompts, ..Change::default() })
    }

    /// Offers what there is now.
    fn look(&self) {
        let _turn = lock(&self.looking);
        self.hub.offer(self.ports.sources(), self.ports.models());
    }

    fn want_source(&self, spec: String) {
        self.wanted.update(|wanted| {
            *wanted = Wanted { spec, request: wanted.request + 1 };
        });
    }

    fn save(&self) -> Result<String, Refused> {
        let frame = self.hub.newest().ok_or(Refused::NoPicture)?;
        let file = self.ports.save(&frame).map_err(Refused::Failed)?;
        self.hub.notice(Level::Info, format!("saved {file}"));
        Ok(file)
    }

    fn begin_recording(&self) -> Result<(), Refused> {
        let mut recording = lock(&self.recording);
        if self.hub.state().recording.is_some() {
            return Ok(());
        }
        let (file, sink) = self.ports.record().map_err(Refused::Failed)?;
        let pipeline = self.pipeline().ok_or(Refused::NoPicture)?;
        let id = pipeline.add_sink(RECORDING, RECORDING_RATE, sink);
        *recording = Some(id.map_err(|error| Refused::Failed(error.into()))?);
        self.hub.recording(Some(file.clone()));
        self.hub.notice(Level::Info, format!("recording {file}"));
        Ok(())
    }

    fn end_recording(&self) {
        let (Some(id), Some(pipeline)) = (lock(&self.recording).take(), self.pipeline()) else {
            return;
        };
        pipeline.remove_sink(id);
        if let Some(recording) = self.hub.state().recording {
            self.hub.recording(None);
            self.hub.notice(Level::Info, format!("recorded {}", recording.file));
        }
    }

    pub fn saw(&self, frame: &Arc<Frame>) {
        if let Some(log) = &mut *lock(&self.log) {
            log.frame(frame.trail.captured);
        }
        self.hub.show(frame);
    }
}

/// What is asked, as the pipeline reads it.
pub fn settings_of(asked: Asked) -> Settings<Asked> {
    let controls = &asked.controls;
    let fit = match controls.fit {
        Fit::Crop => prepare::Fit::Crop,
        Fit::Letterbox => prepare::Fit::Letterbox,
    };
    let refresh = Duration::from_secs_f32(controls.refresh_s);
    Settings {
        view: View { fit, mirror: controls.mirror },
        similarity: Similarity { threshold: controls.skip, refresh, cut: controls.cut },
        smoothing: controls.smoothing,
        camera: controls.camera,
        stage: asked,
    }
}

/// Keeps the state true to what happens in the pipeline, and tells it.
fn tell(hub: &Hub, target: &Target, clock: &dyn Clock, event: Event) {
    match &event {
        Event::StageReady(size) => hub.stage_ready(Size { width: size.width, height: size.height }),
        Event::SourceLost(_) => hub.source_is_live(false),
        Event::SourceBack => hub.source_is_live(true),
        Event::LoadFailed(_) => {
            if let Some(work) = hub.running() {
                target.stay(work.size, clock.now());
            }
        }
        Event::SinkFailed { name, .. } if &**name == RECORDING => hub.recording(None),
        _ => {}
    }
    hub.notice(level(&event), event.to_string());
}

fn level(event: &Event) -> Level {
    match event {
        Event::SourceBack | Event::SourceEnded | Event::StageReady(_) | Event::StageBack => {
            Level::Info
        }
        Event::SourceLost(_)
        | Event::SourceNotes(_)
        | Event::StageFailed(_)
        | Event::StagePanicked(_) => Level::Warning,
        _ => Level::Error,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
