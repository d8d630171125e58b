//! The session's ports: sources by the names of the command line, models, and
//! the folder that recordings and snapshots go to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use laterna_control::{ModelChoice, ModelOffer, Size, SourceChoice};
use laterna_live::{Asked, Ports, Tell};
use laterna_media::sink::recorder::{Options, RecordError, Recorder};
use laterna_media::sink::snapshot;
use laterna_media::source::{self, Pace, Spec, push};
use laterna_pipeline::Image;
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{Clock, PortError, Sink, Source, Stage};
use laterna_web::Demand;

use super::stage::painter;
use crate::backends::BackendArgs;
use crate::console::Console;
use crate::model;

/// The first camera, or the synthetic scene if there is none.
pub const AUTO: &str = "auto";

/// Pictures that a page sends.
pub const BROWSER: &str = "browser";

/// The scene that is drawn here.
const SYNTHETIC: &str = "synthetic";

/// Where recordings and snapshots go, and what they are called.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// `laterna-20261125-002702.png`, in UTC.
    fn name(&self, extension: &str) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.join(format!("laterna-{}.{extension}", snapshot::stamp(now)))
    }
}

/// The ports of the live commands.
pub struct LivePorts {
    clock: Arc<dyn Clock>,
    backend: BackendArgs,
    console: Console,
    folder: Folder,
    /// The pictures of the synthetic scene carry their number.
    counter: bool,
    /// What the command line began with, to be offered again.
    first: String,
    /// Where pictures from a page go while they are wanted.
    pusher: Mutex<Option<push::Pusher>>,
}

impl LivePorts {
    /// Ports of a pipeline that runs by `clock`; `first` is the source that it
    /// begins with.
    pub fn new(
        clock: Arc<dyn Clock>,
        backend: BackendArgs,
        console: Console,
        folder: Folder,
        first: &str,
        counter: bool,
    ) -> Self {
        let pusher = Mutex::new(None);
        Self { clock, backend, console, folder, counter, first: first.to_owned(), pusher }
    }

    /// Waits until a page's picture is wanted, for at most `limit`.
    pub fn wait_for_demand(&self, limit: Duration) -> Demand {
        let pusher = self.pusher.lock().unwrap_or_else(PoisonError::into_inner);
        let demand = pusher.as_ref().filter(|pusher| pusher.is_read()).map(push::Pusher::demand);
        // Waiting, it must not keep others from the pusher.
        drop(pusher);
        match demand {
            None => Demand::None,
            Some(demand) if demand.wait(limit) => Demand::Now,
            Some(_) => Demand::Later,
        }
    }

    /// Takes a page's picture, if those are wanted.
    pub fn push(&self, image: &mut Image, captured: Duration) {
        let pusher = self.pusher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pusher) = &*pusher {
            pusher.push(image, captured);
        }
    }

    fn open_browser(&self) -> Box<dyn Source> {
        let (pusher, source) = push::pair(Arc::clone(&self.clock));
        *self.pusher.lock().unwrap_or_else(PoisonError::into_inner) = Some(pusher);
        Box::new(source)
    }

    fn open(&self, spec: &str) -> Result<(Box<dyn Source>, SourceChoice), PortError> {
        let mut parsed: Spec = spec.parse()?;
        parsed.want.repeat = true;
        parsed.want.counter = self.counter;
        let opened = source::open(&parsed, &self.clock, Pace::Live)?;
        let label = match spec {
            SYNTHETIC => "synthetic scene".to_owned(),
            _ => opened.info.name,
        };
        Ok((opened.source, SourceChoice { spec: spec.to_owned(), label, live: true }))
    }

    /// The first camera that works, or the scene.
    fn open_any(&self) -> Result<(Box<dyn Source>, SourceChoice), PortError> {
        let cameras = source::list().into_iter().filter(|device| device.spec.starts_with("camera"));
        let mut why = "there is none".to_owned();
        for camera in cameras {
            match self.open(&camera.spec) {
                Ok(opened) => return Ok(opened),
                Err(error) => why = error.to_string(),
            }
        }
        self.console
            .warn(format_args!("no camera can be used ({why}): painting a synthetic scene"));
        self.open(SYNTHETIC)
    }
}

impl Ports for LivePorts {
    fn open_source(&self, spec: &str) -> Result<(Box<dyn Source>, SourceChoice), PortError> {
        match spec {
            AUTO => self.open_any(),
            BROWSER => {
                let label = "this browser".to_owned();
                let choice = SourceChoice { spec: BROWSER.to_owned(), label, live: true };
                Ok((self.open_browser(), choice))
            }
            _ => self.open(spec),
        }
    }

    fn sources(&self) -> Vec<SourceChoice> {
        let choice = |spec: &str, label: &str| SourceChoice {
            spec: spec.to_owned(),
            label: label.to_owned(),
            live: false,
        };
        let devices = source::list();
        let mut choices: Vec<_> =
            devices.iter().map(|device| choice(&device.spec, &device.name)).collect();
        choices.push(choice(SYNTHETIC, "synthetic scene"));
        if self.first != AUTO && choices.iter().all(|choice| choice.spec != self.first) {
            choices.push(choice(&self.first, &self.first));
        }
        choices
    }

    fn build(
        &self,
        model: &ModelChoice,
        size: Size,
        tell: &Tell<'_>,
    ) -> Result<Box<dyn Stage<Asked>>, PortError> {
        let painter = painter(model, size, &self.backend, &self.console, tell);
        Ok(Box::new(painter.map_err(|failure| failure.to_string())?))
    }

    fn models(&self) -> Vec<ModelOffer> {
        model::offers()
    }

    fn record(&self) -> Result<(String, Box<dyn Sink>), PortError> {
        let path = self.folder.name("mp4");
        let recorder = recorder(&path, &self.clock, self.console)?;
        Ok((shown(&path), Box::new(recorder)))
    }

    fn save(&self, frame: &Frame) -> Result<String, PortError> {
        Ok(shown(&snapshot::save(&frame.painting, &self.folder.name("png"))?))
    }
}

/// A recorder that makes a new file, and warns if it cannot be ended well.
///
/// # Errors
/// If the file exists or cannot be made.
pub fn recorder(
    path: &Path,
    clock: &Arc<dyn Clock>,
    console: Console,
) -> Result<Recorder, RecordError> {
    let recorder = Recorder::create(path, Options::default(), Arc::clone(clock))?;
    Ok(recorder.on_end(move |end| {
        if let Err(error) = end {
            console.warn(error);
        }
    }))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
