//! A device that stands in for Core ML: it keeps packages as they are, and the
//! graph's interpreter computes what they hold. The command's tests of its selftest
//! include this file too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use laterna_coreml::backend::{CoreMlBackend, CoreMlOptions, Event, function};
use laterna_coreml::emit::{self, Entry, Target, WeightFormat};
use laterna_coreml::run::{
    Device, Interface, Opened, Options, Placed, Placement, Predictor, Prober, RunError, Unit,
};
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, MemoryWeights, Op, OpFacts, Program, Support,
    WeightSource, reference,
};
use laterna_tensor::{Surface, Tensor, TensorData};

/// The device. It must be told what a package holds before it is opened.
#[derive(Default)]
pub struct StandIn {
    pub holds: Mutex<Option<Arc<Held>>>,
    pub compiled: AtomicUsize,
    pub opened: AtomicUsize,
    /// Refuses to compile packages.
    pub refuses: bool,
    /// Predictions fail.
    pub fails: bool,
    /// Those that read a picture where it is do.
    pub fails_on_surfaces: bool,
    /// What is computed is too large by this part.
    pub error: f32,
    /// Of macOS 14.
    pub old: bool,
    /// Predictions wait until two are under way, and fail if a second never comes.
    pub pairs: Option<Arc<Pairs>>,
}

/// Where predictions meet.
#[derive(Default)]
pub struct Pairs {
    arrived: Mutex<usize>,
    changed: Condvar,
}

impl Pairs {
    /// Longer than a prediction takes to begin on the busiest machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn meet(&self) -> Result<(), RunError> {
        let mut arrived = self.arrived.lock().unwrap();
        *arrived += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(arrived, Self::PATIENCE, |count| *count < 2);
        match waited.unwrap().1.timed_out() {
            true => Err(refusal("no other prediction was under way")),
            false => Ok(()),
        }
    }
}

/// What a package holds: the graph as it is written.
pub struct Held {
    graph: Graph,
    weights: MemoryWeights,
    /// With pictures as arrays, and as pixel buffers.
    interfaces: [emit::Interface; 2],
    fails: bool,
    fails_on_surfaces: bool,
    factor: f32,
    pairs: Option<Arc<Pairs>>,
}

impl StandIn {
    /// What is opened next. Weights are exact unless the format is about that.
    pub fn told(&self, entry: &Entry<'_>, weights: &dyn WeightSource, written: &emit::Options) {
        let mut copied = MemoryWeights::new();
        for (name, _) in entry.graph.weights() {
            copied.insert(&**name, &Tensor::from_raw(&weights.read(name).unwrap()));
        }
        let prepared = emit::prepare(entry.graph, weights).unwrap();
        let interface = |images| emit::interface(&Entry { images, ..*entry }, &prepared);
        // What Core ML cannot take is not opened.
        let (Ok(arrays), Ok(buffers)) = (interface(&[]), interface(entry.images)) else { return };
        let interfaces = [arrays, buffers];
        let graph = match written.weights {
            WeightFormat::Fp16 => prepared,
            _ => emit::as_stored(entry.graph, weights, written).unwrap(),
        };
        let (fails, fails_on_surfaces) = (self.fails, self.fails_on_surfaces);
        let factor = 1.0 + self.error;
        let pairs = self.pairs.clone();
        let held =
            Held { graph, weights: copied, interfaces, fails, fails_on_surfaces, factor, pairs };
        *self.holds.lock().unwrap() = Some(Arc::new(held));
    }
}

fn refusal(reason: &str) -> RunError {
    RunError::CoreMl { action: "standing in", reason: reason.to_owned() }
}

impl Device for StandIn {
    fn build(&self) -> String {
        "1A".to_owned()
    }

    fn target(&self) -> Target {
        if self.old { Target::MacOs14 } else { Target::MacOs15 }
    }

    fn compile(&self, package: &Path) -> Result<PathBuf, RunError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        if self.refuses {
            return Err(refusal("no package is good enough"));
        }
        let compiled = package.with_extension("mlmodelc");
        copy(package, &compiled);
        Ok(compiled)
    }

    fn open(
        &self,
        model: &Path,
        interface: &Interface,
        _: &Options,
    ) -> Result<Box<dyn Opened>, RunError> {
        assert!(model.join("Manifest.json").is_file(), "{}", model.display());
        self.opened.fetch_add(1, Ordering::Relaxed);
        let held = self.holds.lock().unwrap().clone().expect("told before");
        assert!(held.interfaces.iter().any(|told| &Interface::from(told) == interface));
        Ok(Box::new(Resident(held)))
    }

    /// Every operation of the interpreter's graph on the GPU, but for the first.
    fn placement(&self, _: &Path, _: &Options) -> Result<Placement, RunError> {
        let placed = |(unit, result): (Unit, &str)| Placed {
            operation: "some".to_owned(),
            result: result.to_owned(),
            unit,
            cost: Some(0.25),
        };
        let results = [(Unit::Cpu, "first_linear"), (Unit::Gpu, "y"), (Unit::Gpu, "elsewhere")];
        Ok(Placement(results.into_iter().map(placed).collect()))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

struct Resident(Arc<Held>);

impl Opened for Resident {
    fn predictor(&self) -> Result<Box<dyn Predictor>, RunError> {
        let inputs = self.0.graph.inputs().iter().map(|&id| {
            let ty = self.0.graph.ty(id);
            match ty.dtype {
                laterna_tensor::DType::I64 => {
                    Tensor::from_i64(ty.shape, vec![0; ty.shape.elements()]).unwrap()
                }
                _ => Tensor::zeros(ty.shape),
            }
        });
        Ok(Box::new(Interpreted {
            held: self.0.clone(),
            inputs: inputs.collect(),
            outputs: Vec::new(),
            shared: None,
        }))
    }
}

struct Interpreted {
    held: Arc<Held>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// The input that is read where it is.
    shared: Option<usize>,
}

impl Interpreted {
    fn set(&mut self, input: usize, data: TensorData) -> Result<(), RunError> {
        let (position, _) = self.held.interfaces[0].inputs[input];
        let given = Tensor::new(self.inputs[position].shape(), data).unwrap();
        self.inputs[position] = given;
        Ok(())
    }

    fn output(&self, output: usize) -> &Tensor {
        &self.outputs[self.held.interfaces[0].outputs[output].0]
    }
}

impl Predictor for Interpreted {
    fn write_f32(&mut self, input: usize, values: &[f32]) -> Result<(), RunError> {
        self.shared = self.shared.filter(|&shared| shared != input);
        self.set(input, TensorData::F32(values.to_vec()))
    }

    /// Its memory is of numbers.
    fn share(&mut self, input: usize, picture: &Surface) -> Result<bool, RunError> {
        match picture.get::<Vec<f32>>() {
            Some(values) => {
                self.write_f32(input, values)?;
                self.shared = Some(input);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn write_i64(&mut self, input: usize, values: &[i64]) -> Result<(), RunError> {
        self.set(input, TensorData::I64(values.to_vec()))
    }

    fn predict(&mut self) -> Result<(), RunError> {
        if self.held.fails || self.held.fails_on_surfaces && self.shared.is_some() {
            return Err(refusal("the device is gone"));
        }
        self.held.pairs.as_ref().map_or(Ok(()), |pairs| pairs.meet())?;
        let Held { graph, weights, .. } = &*self.held;
        let outputs = reference::run(graph, weights, &self.inputs);
        self.outputs = outputs.map_err(|error| refusal(&error.to_string()))?;
        Ok(())
    }

    fn read_f32(&mut self, output: usize, values: &mut [f32]) -> Result<(), RunError> {
        let computed = self.output(output).as_f32().unwrap().iter();
        values.iter_mut().zip(computed).for_each(|(to, &from)| *to = from * self.held.factor);
        Ok(())
    }

    fn read_i64(&mut self, output: usize, values: &mut [i64]) -> Result<(), RunError> {
        values.copy_from_slice(self.output(output).as_i64().unwrap());
        Ok(())
    }
}

/// The backend on a device that is told each graph before the backend compiles it.
pub struct Tested {
    pub device: Arc<StandIn>,
    pub backend: CoreMlBackend,
    pub events: Arc<Mutex<Vec<Event>>>,
}

impl Tested {
    pub fn new(device: StandIn, options: CoreMlOptions, prober: Option<Box<Prober>>) -> Self {
        let device = Arc::new(device);
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        let listener = Box::new(move |event| heard.lock().unwrap().push(event));
        let backend = CoreMlBackend::new(device.clone(), options, prober, listener);
        Self { device, backend, events }
    }
}

impl Backend for Tested {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn supports(&self, op: &Op, facts: OpFacts<'_>) -> Support {
        self.backend.supports(op, facts)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError> {
        if graph.weights().all(|(name, _)| weights.info(name).is_some()) {
            let entry = function(graph, options.pictures);
            self.device.told(&entry, weights, &emit::Options::new(self.device.target()));
        }
        self.backend.compile(graph, weights, options)
    }
}
