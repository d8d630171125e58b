//! The backend: a graph becomes a package in a cache, which the device compiles,
//! loads and runs.
//!
//! Devices crash on, or refuse, one way to write attention and take another, so
//! the forms are tried in turn; what a trial showed is remembered.
#![forbid(unsafe_code)]

mod error;
mod forms;
mod key;
mod ports;
mod program;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use laterna_graph::backend::{check_support, check_weights};
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Op, OpFacts, Program, Support, WeightSource,
};
use laterna_tensor::DType;

use crate::emit::{self, Attention, Entry, GroupNorm, Outputs, Package, WeightFormat};
use crate::run::{self, Cache, ComputeUnits, Device, Interface, Loader, Opened, Prober, Stage};
use error::{refused, unwritten};
pub use forms::Form;
use key::Key;
use ports::Ports;
use program::CoreMlProgram;

/// The name that users give, and that errors begin with.
pub const NAME: &str = "coreml";

/// Core ML takes no tensor of more dimensions.
const MAX_RANK: usize = 5;

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct CoreMlOptions {
    /// The devices that Core ML may use.
    pub units: ComputeUnits,
    /// The folder of compiled models; made when it is needed.
    pub cache: PathBuf,
    /// How weights are stored.
    pub weights: WeightFormat,
    /// How group normalisation is written.
    pub group_norm: GroupNorm,
    /// How attention is written; what fits the devices if not given.
    pub attention: Option<Attention>,
    /// Asks Core ML where each operation runs, for the summary's kernels: seconds.
    pub placement: bool,
}

impl CoreMlOptions {
    /// Half precision on the processor and the GPU.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            units: ComputeUnits::default(),
            cache: cache.into(),
            weights: WeightFormat::Fp16,
            group_norm: GroupNorm::LayerNorm,
            attention: None,
            placement: false,
        }
    }
}

/// What happens while a graph is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stage begins.
    Stage(Stage),
    /// A way to write the graph is not taken; the next one is tried.
    FellBack {
        /// The form that was tried.
        from: Form,
        /// The device's words.
        reason: String,
    },
}

/// Hears what happens.
pub type Listener = Box<dyn Fn(Event) + Send + Sync>;

/// Core ML as a device that runs graphs, in half precision.
pub struct CoreMlBackend {
    device: Arc<dyn Device>,
    options: CoreMlOptions,
    cache: Cache,
    prober: Option<Box<Prober>>,
    listener: Listener,
}

impl CoreMlBackend {
    /// A backend on a device. Without a `prober` models are first loaded in this
    /// process, which a crash then ends.
    pub fn new(
        device: Arc<dyn Device>,
        options: CoreMlOptions,
        prober: Option<Box<Prober>>,
        listener: Listener,
    ) -> Self {
        let cache = Cache::new(&options.cache, &device.build());
        Self { device, options, cache, prober, listener }
    }
}

impl Backend for CoreMlBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, _: &Op, facts: OpFacts<'_>) -> Support {
        let types = facts.inputs.iter().chain([&facts.output]);
        for ty in types {
            if !matches!(ty.dtype, DType::F32 | DType::F16 | DType::I64) {
                return Support::No(format!("Core ML computes with no {}", ty.dtype));
            }
            if ty.shape.rank() > MAX_RANK {
                return Support::No(format!("{} has more than {MAX_RANK} dimensions", ty.shape));
            }
        }
        Support::Yes
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError> {
        check_weights(graph, weights)?;
        let prepared = emit::prepare_observed(graph, weights, options)?;
        check_support(self, &prepared, prepared.nodes())?;
        let mut pictures = options.pictures.to_vec();
        pictures.retain(|name| emit::is_picture(graph, name));
        let source = Source { graph, prepared: &prepared, weights, pictures: &pictures };
        let interface = source.interface(&[])?;
        if interface.outputs.is_empty() {
            let ports = Ports::new(&prepared, weights, &interface)?;
            return Ok(Arc::new(CoreMlProgram::without_model(ports)));
        }
        if interface.inputs.is_empty() {
            return Err(refused(&"nothing that is computed depends on an input", None));
        }
        let loaded = self.load(&source)?;
        let ports = Ports::new(&prepared, weights, &loaded.interface)?;
        let summary = self.summarize(&source, &ports, &loaded)?;
        Ok(Arc::new(CoreMlProgram::new(ports, loaded.model, summary)))
    }
}

/// What is compiled: the graph as it was built and as it is written.
struct Source<'s> {
    graph: &'s Graph,
    prepared: &'s Graph,
    weights: &'s dyn WeightSource,
    /// Names of inputs and outputs that may be pixel buffers.
    pictures: &'s [&'s str],
}

impl<'s> Source<'s> {
    fn interface(&self, images: &'s [&'s str]) -> Result<emit::Interface, CompileError> {
        let interface = emit::interface(&function(self.graph, images), self.prepared);
        interface.map_err(|error| unwritten(self.prepared, error))
    }

    /// The names that are pixel buffers in a form.
    fn images(&self, form: Form) -> &'s [&'s str] {
        if form.pictures { self.pictures } else { &[] }
    }
}

/// A model, where it lies and how it was written.
struct Loaded {
    model: Box<dyn Opened>,
    interface: emit::Interface,
    entry: run::Entry,
    written: emit::Options,
    form: Form,
}

/// The only function of a graph's package, with the names of what is a pixel buffer.
pub fn function<'a>(graph: &'a Graph, images: &'a [&'a str]) -> Entry<'a> {
    Entry { outputs: Outputs::Computed, images, ..Entry::new("main", graph) }
}

impl CoreMlBackend {
    /// Loads the graph in the first form that the device takes.
    fn load(&self, source: &Source<'_>) -> Result<Loaded, CompileError> {
        let target = self.device.target();
        let attentions = match self.options.attention {
            Some(chosen) => vec![chosen],
            None => forms::attentions(source.prepared, target, self.options.units),
        };
        let key = Key::of(source.graph, source.weights)?;
        let (mut reasons, mut hint) = (Vec::new(), None);
        for form in forms::in_turn(&attentions, !source.pictures.is_empty()) {
            let (weights, group_norm) = (self.options.weights, self.options.group_norm);
            let usual = emit::Options::new(target);
            let written = emit::Options { attention: form.attention, weights, group_norm, ..usual };
            let interface = source.interface(source.images(form))?;
            match self.load_written(source, &key, &written, form, &(&interface).into()) {
                Ok((entry, model)) => return Ok(Loaded { model, interface, entry, written, form }),
                Err(run::RunError::Emit(error)) => {
                    return Err(unwritten(source.prepared, error));
                }
                Err(error) if error.is_refusal() => {
                    let reason = error.to_string();
                    (self.listener)(Event::FellBack { from: form, reason: reason.clone() });
                    reasons.push(format!("{form}: {reason}"));
                    hint = error.hint();
                }
                Err(error) => return Err(refused(&error, error.hint())),
            }
        }
        Err(refused(&reasons.join("; "), hint))
    }

    fn load_written(
        &self,
        source: &Source<'_>,
        key: &Key,
        written: &emit::Options,
        form: Form,
        interface: &Interface,
    ) -> Result<(run::Entry, Box<dyn Opened>), run::RunError> {
        let loader = Loader {
            device: &*self.device,
            cache: &self.cache,
            prober: self.prober.as_deref(),
            progress: &|stage| (self.listener)(Event::Stage(stage)),
        };
        let entries = [function(source.graph, source.images(form))];
        let package = Package { description: source.graph.name(), entries: &entries };
        let mut write = |path: &std::path::Path| {
            emit::write(path, &package, source.weights, written, &mut |_| ()).map(drop)
        };
        let key = key.with(written, entries[0].images);
        loader.load(&key, &mut write, interface, &self.run_options())
    }

    fn run_options(&self) -> run::Options {
        run::Options { units: self.options.units, ..run::Options::default() }
    }
}
