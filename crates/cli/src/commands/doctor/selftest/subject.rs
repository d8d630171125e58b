//! What is checked: Core ML behind its trait, with a folder of compiled models that
//! is this test's own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use laterna_coreml::backend::{CoreMlBackend, CoreMlOptions, Event, function};
use laterna_coreml::emit::{self, Entry, Package, Target};
use laterna_coreml::run::{
    Cache, ComputeUnits, Device, Loader, Options, Placement, Predictor, Prober,
};
use laterna_diffusion::session::Size;
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Op, OpFacts, Program, Support, WeightSource,
};
use laterna_pipeline::Image;
use laterna_pipeline::port::Aim;

/// Is told what will be opened next.
pub type Told<'s> = &'s (dyn Fn(&Entry<'_>, &dyn WeightSource, &emit::Options) + Sync);

/// What is checked.
pub struct Subject<'s> {
    pub device: Arc<dyn Device>,
    /// The devices that are used unless a check is about others.
    pub units: ComputeUnits,
    /// Of compiled models; empty at first.
    pub folder: PathBuf,
    /// How models are tried in a child process.
    pub prober: &'s (dyn Fn() -> Option<Box<Prober>> + Sync),
    /// A device that stands in for Core ML cannot read a package; Core ML does not
    /// listen.
    pub told: Told<'s>,
    /// A camera's picture as a model gets it that reads surfaces, and as others do.
    pub camera: &'s (dyn Fn(Aim) -> Result<[Image; 2], String> + Sync),
    /// The picture of the whole frame; the model's own size if none.
    pub size: Option<Size>,
}

/// Why a check did not pass.
#[derive(Debug)]
pub enum Problem {
    /// This system lacks what it is about.
    Skipped(String),
    /// It is wrong, or something failed.
    Failed(String),
}

impl Problem {
    /// For `map_err`.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl<'s> Subject<'s> {
    /// The usual choices.
    pub fn options(&self) -> CoreMlOptions {
        CoreMlOptions { units: self.units, ..CoreMlOptions::new(&self.folder) }
    }

    /// How packages are written unless a check is about that.
    pub fn written(&self) -> emit::Options {
        emit::Options::new(self.device.target())
    }

    /// Skips a check of what macOS 15 brought on an older system.
    ///
    /// # Errors
    /// On an older system.
    pub fn needs_macos_15(&self) -> Result<(), Problem> {
        match self.device.target() >= Target::MacOs15 {
            true => Ok(()),
            false => Err(Problem::Skipped("needs macOS 15".to_owned())),
        }
    }

    /// The backend.
    pub fn backend(&self, options: CoreMlOptions) -> Checked<'s> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        let listener = Box::new(move |event| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        });
        let written = emit::Options {
            weights: options.weights,
            group_norm: options.group_norm,
            ..self.written()
        };
        let prober = (self.prober)();
        let inner = CoreMlBackend::new(self.device.clone(), options, prober, listener);
        Checked { inner, events, told: self.told, written }
    }

    /// A function of a package that no backend writes.
    ///
    /// # Errors
    /// If it cannot be written, compiled or loaded.
    pub fn predictor(
        &self,
        key: &str,
        package: &Package<'_>,
        weights: &dyn WeightSource,
        function: usize,
    ) -> Result<Box<dyn Predictor>, Problem> {
        let (entry, written) = (package.entries[function], self.written());
        let prepared = emit::prepare(entry.graph, weights).map_err(Problem::of)?;
        let interface = emit::interface(&entry, &prepared).map_err(Problem::of)?;
        (self.told)(&entry, weights, &written);
        let cache = Cache::new(&self.folder, &self.device.build());
        let prober = (self.prober)();
        let loader = Loader {
            device: &*self.device,
            cache: &cache,
            prober: prober.as_deref(),
            progress: &|_| (),
        };
        let several = package.entries.len() > 1;
        let options =
            Options { units: self.units, function: several.then(|| entry.name.to_owned()) };
        let mut write = |path: &std::path::Path| {
            emit::write(path, package, weights, &written, &mut |_| ()).map(drop)
        };
        let loaded = loader.load(key, &mut write, &(&interface).into(), &options);
        let (_, opened) = loaded.map_err(Problem::of)?;
        opened.predictor().map_err(Problem::of)
    }

    /// Where the operations of a model in the folder run.
    ///
    /// # Errors
    /// If the folder is empty, or Core ML does not tell.
    pub fn placement(&self) -> Result<Placement, Problem> {
        let found = std::fs::read_dir(&self.folder).map_err(Problem::of)?.flatten();
        let mut models = found.map(|entry| entry.path());
        let model = models.find(|path| path.extension().is_some_and(|kind| kind == "mlmodelc"));
        let model = model.ok_or_else(|| Problem::of("no model was compiled"))?;
        let options = Options { units: self.units, ..Options::default() };
        self.device.placement(&model, &options).map_err(Problem::of)
    }
}

/// The backend of a check, which says what it does.
pub struct Checked<'s> {
    inner: CoreMlBackend,
    events: Arc<Mutex<Vec<Event>>>,
    told: Told<'s>,
    written: emit::Options,
}

impl Checked<'_> {
    /// What happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Backend for Checked<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn supports(&self, op: &Op, facts: OpFacts<'_>) -> Support {
        self.inner.supports(op, facts)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError> {
        let entry = function(graph, options.pictures);
        (self.told)(&entry, weights, &self.written);
        self.inner.compile(graph, weights, options)
    }
}
