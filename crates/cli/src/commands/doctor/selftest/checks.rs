//! The checks, in the order of docs/coreml.md, whose list is theirs.

use std::thread;
use std::time::{Duration, Instant};

use laterna_coreml::backend::{CoreMlOptions, Event};
use laterna_coreml::emit::{self, Attention, Entry, GroupNorm, Package, WeightFormat};
use laterna_coreml::run::{ComputeUnits, Stage};
use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_graph::{Backend, BuildError, Builder, CompileOptions, ValueId, reference};
use laterna_pipeline::port::Aim;
use laterna_pipeline::prepare::{Fit, Prepare};
use laterna_pipeline::{self as pipeline, Image};
use laterna_quality::{max_relative_error, psnr};
use laterna_tensor::{Picture, Tensor};

use super::graphs::{self, Case};
use super::subject::{Problem, Subject};
use crate::commands::bench::frame::Bench;
use crate::console::Console;
use crate::model::{ModelArgs, STARTER};

/// One thing that a Mac must prove.
pub struct Check {
    pub name: &'static str,
    pub run: fn(&Subject<'_>) -> Outcome,
}

/// What is to be told of a check that passed, or why it did not.
pub type Outcome = Result<String, Problem>;

/// Largest error of half precision, relative to the largest magnitude of the
/// interpreter's result: each product's operands are within 2^-11. What packages are
/// held to without a Mac.
const TOLERANCE: f64 = 5e-3;

/// Half precision's part in a picture of 8 bits is far below a level.
const FRAME_PSNR_DB: f64 = 40.0;

/// Every check.
pub const CHECKS: &[Check] = &[
    check("a model is compiled, tried in a child process and loaded", |s| s.first_model()),
    check("a compiled model is found again", |s| s.found_again()),
    check("convolutions", |s| s.computes(graphs::convolutions)),
    check("linear layers and products", |s| s.computes(graphs::products)),
    check("normalisations", |s| s.computes(graphs::norms)),
    check("normalisation in steps", |s| {
        let steps = CoreMlOptions { group_norm: GroupNorm::Steps, ..s.options() };
        s.computes_with(steps, graphs::norms)
    }),
    check("activations", |s| s.computes(graphs::activations)),
    check("arithmetic", |s| s.computes(graphs::arithmetic)),
    check("moved numbers", |s| s.computes(graphs::movement)),
    check("enlargements", |s| s.computes(graphs::enlargements)),
    check("lookups by integers", |s| s.computes(graphs::lookups)),
    check("timesteps", |s| s.computes(graphs::timesteps)),
    check("attention as one operation", |s| {
        s.needs_macos_15()?;
        s.attends(Attention::Sdpa, graphs::attention)
    }),
    check("attention as products", |s| s.attends(Attention::MatMul, graphs::attention)),
    check("attention for the Neural Engine", |s| {
        s.attends(Attention::SplitEinsum, graphs::attention)
    }),
    check("causal attention", |s| s.computes(graphs::causal_attention)),
    check("attention of many queries", |s| s.computes(graphs::long_attention)),
    check("weights: int8", |s| s.stores(WeightFormat::Int8 { symmetric: true })),
    check("weights: int8 with offsets", |s| s.stores(WeightFormat::Int8 { symmetric: false })),
    check("weights: palette of 8 bits", |s| s.stores(palette(8))),
    check("weights: palette of 6 bits", |s| s.stores(palette(6))),
    check("weights: palette of 4 bits", |s| s.stores(palette(4))),
    check("weights: palette of 3 bits", |s| {
        s.needs_macos_15()?;
        s.stores(palette(3))
    }),
    check("weights: palette of 2 bits", |s| s.stores(palette(2))),
    check("weights: palette of 1 bit", |s| s.stores(palette(1))),
    check("weights: palettes for groups", |s| {
        s.needs_macos_15()?;
        s.stores(WeightFormat::Palette { bits: 4, group: Some(8) })
    }),
    check("weights: int4", |s| {
        s.needs_macos_15()?;
        s.stores(WeightFormat::Int4 { block: 32 })
    }),
    check("weights: sparse", |s| s.stores(WeightFormat::Sparse { density: 0.5 })),
    check("compute units: cpu", |s| s.runs_on(ComputeUnits::Cpu)),
    check("compute units: cpu-gpu", |s| s.runs_on(ComputeUnits::CpuAndGpu)),
    check("compute units: cpu-ne", |s| s.runs_on(ComputeUnits::CpuAndNeuralEngine)),
    check("compute units: all", |s| s.runs_on(ComputeUnits::All)),
    check("where operations run", |s| s.tells_placement()),
    check("pictures in and out", |s| s.paints()),
    check("a camera's picture, cropped and scaled", |s| s.scales()),
    check("a picture is read where it is", |s| s.reads_in_place()),
    check("several functions in a package", |s| s.chooses_functions()),
    check("two instances on two threads", |s| s.shares_a_model()),
    check("the starter's frame", |s| s.paints_a_frame()),
];

const fn check(name: &'static str, run: fn(&Subject<'_>) -> Outcome) -> Check {
    Check { name, run }
}

fn palette(bits: u8) -> WeightFormat {
    WeightFormat::Palette { bits, group: None }
}

type Build = fn(&mut Builder) -> Result<ValueId, BuildError>;

impl Subject<'_> {
    fn first_model(&self) -> Outcome {
        let case = Case::of(graphs::layers).map_err(Problem::of)?;
        let backend = self.backend(self.options());
        let start = Instant::now();
        compute(&backend, &case)?;
        let events = backend.events();
        let tried = events.contains(&Event::Stage(Stage::Trying));
        if !events.contains(&Event::Stage(Stage::Compiling)) || !tried {
            return Err(Problem::Failed(format!("the stages were {events:?}")));
        }
        Ok(format!("{:.2} s to the first result", start.elapsed().as_secs_f64()))
    }

    fn found_again(&self) -> Outcome {
        let case = Case::of(graphs::layers).map_err(Problem::of)?;
        compute(&self.backend(self.options()), &case)?;
        let backend = self.backend(self.options());
        let start = Instant::now();
        compute(&backend, &case)?;
        let events = backend.events();
        if events != [Event::Stage(Stage::Loading)] {
            return Err(Problem::Failed(format!("the stages were {events:?}")));
        }
        Ok(format!("{:.2} s to the first result", start.elapsed().as_secs_f64()))
    }

    fn computes(&self, build: Build) -> Outcome {
        self.computes_with(self.options(), build)
    }

    /// A graph's result is the interpreter's on the weights that the package stores.
    fn computes_with(&self, options: CoreMlOptions, build: Build) -> Outcome {
        let case = Case::of(build).map_err(Problem::of)?;
        let written = emit::Options { weights: options.weights, ..self.written() };
        let stored = emit::as_stored(&case.graph, &case.weights, &written).map_err(Problem::of)?;
        let expected = reference::run(&stored, &case.weights, &case.inputs).map_err(Problem::of)?;
        let backend = self.backend(options);
        let found = compute(&backend, &case)?;
        let fell_back = backend.events().into_iter().find_map(|event| match event {
            Event::FellBack { from, reason } => Some(format!("{from} was refused: {reason}")),
            Event::Stage(_) => None,
        });
        let error = close(&found, &expected[0])?;
        Ok([Some(error), fell_back].into_iter().flatten().collect::<Vec<_>>().join("; "))
    }

    /// Without falling back to another form.
    fn attends(&self, attention: Attention, build: Build) -> Outcome {
        let options = CoreMlOptions { attention: Some(attention), ..self.options() };
        self.computes_with(options, build)
    }

    fn stores(&self, weights: WeightFormat) -> Outcome {
        self.computes_with(CoreMlOptions { weights, ..self.options() }, graphs::layers)
    }

    fn runs_on(&self, units: ComputeUnits) -> Outcome {
        let options = CoreMlOptions { units, ..self.options() };
        let told = self.computes_with(options.clone(), graphs::attention)?;
        let case = Case::of(graphs::attention).map_err(Problem::of)?;
        let backend = self.backend(options);
        let none = CompileOptions::default();
        let program = backend.compile(&case.graph, &case.weights, &none).map_err(Problem::of)?;
        let time = prediction(&*program, &case)?;
        Ok(format!("{told}, {:.3} ms", time.as_secs_f64() * 1e3))
    }

    fn tells_placement(&self) -> Outcome {
        let case = Case::of(graphs::layers).map_err(Problem::of)?;
        compute(&self.backend(self.options()), &case)?;
        let placement = self.placement()?;
        if placement.0.is_empty() {
            return Err(Problem::of("no operation has a device"));
        }
        Ok(placement.to_string())
    }

    /// Within a level of 8 bits, and half of one that half precision takes.
    fn paints(&self) -> Outcome {
        let case = Case::of(graphs::painter).map_err(Problem::of)?;
        let entry = Entry { images: &["picture", "y"], ..Entry::new("main", &case.graph) };
        let package = Package { description: "selftest", entries: &[entry] };
        let mut predictor = self.predictor("pictures", &package, &case.weights, 0)?;
        let given = Picture::from_tensor(&case.inputs[0]).map_err(Problem::of)?.to_tensor();
        let expected = reference::run(&case.graph, &case.weights, std::slice::from_ref(&given));
        let expected = expected.map_err(Problem::of)?.remove(0);
        predictor.write_f32(0, values(&given)?).map_err(Problem::of)?;
        predictor.predict().map_err(Problem::of)?;
        let mut found = vec![0.0; given.shape().elements()];
        predictor.read_f32(0, &mut found).map_err(Problem::of)?;
        let differences = found.iter().zip(values(&expected)?).map(|(a, b)| (a - b).abs());
        let levels = differences.fold(0.0, f32::max) * 127.5;
        match levels <= 1.5 {
            true => Ok(format!("off by at most {levels:.2} levels of 255")),
            false => Err(Problem::Failed(format!("off by {levels:.2} levels of 255"))),
        }
    }

    /// A smooth picture, which two ways to scale make nearly the same of.
    fn scales(&self) -> Outcome {
        // Stretched it would be off by 6, with another matrix by 3.
        const LEVELS: f64 = 2.0;
        let mut told = Vec::new();
        for fit in [Fit::Crop, Fit::Letterbox] {
            let size = pipeline::Size::new(40, 24);
            let aim = Aim { size, fit, surface: true };
            let images = (self.camera)(aim).map_err(Problem::of)?;
            if images[0].size() != size || images[0].surface().is_none() {
                return Err(Problem::of("the picture is in no memory of a device"));
            }
            let [shared, usual] = images.each_ref().map(|image| planes(image, fit, size));
            let differences = shared.iter().zip(&usual).map(|(a, b)| f64::from((a - b).abs()));
            let mean = 127.5 * differences.sum::<f64>() / shared.len() as f64;
            told.push(format!("{fit:?}: {mean:.2} levels of 255 from the processor's"));
            if mean > LEVELS {
                return Err(Problem::Failed(told.join(", ")));
            }
        }
        Ok(told.join(", "))
    }

    /// Two pictures one after the other, whose elements are zeros, so that what comes of
    /// them was read from their surfaces, and then one without a surface.
    fn reads_in_place(&self) -> Outcome {
        let case = Case::of(graphs::painter).map_err(Problem::of)?;
        let pictures = CompileOptions { pictures: &["picture"], ..CompileOptions::default() };
        let backend = self.backend(self.options());
        let program = backend.compile(&case.graph, &case.weights, &pictures);
        let program = program.map_err(Problem::of)?;
        if !program.reads_surface(0) {
            return Err(Problem::of("it reads an array"));
        }
        let mut instance = program.spawn().map_err(Problem::of)?;
        let shape = program.inputs()[0].ty.shape;
        let size = pipeline::Size::new(shape[3], shape[2]);
        let mut told = Vec::new();
        for (fit, is_shared) in [(Fit::Crop, true), (Fit::Letterbox, true), (Fit::Crop, false)] {
            let aim = Aim { size, fit, surface: true };
            let [shared, _] = (self.camera)(aim).map_err(Problem::of)?;
            let numbers = Tensor::from_f32(shape, planes(&shared, fit, size));
            let numbers = numbers.map_err(Problem::of)?;
            let given = std::slice::from_ref(&numbers);
            let expected = reference::run(&case.graph, &case.weights, given);
            let expected = expected.map_err(Problem::of)?;
            let mut elsewhere = Tensor::zeros(shape);
            if let Some(surface) = shared.surface() {
                elsewhere.set_surface(surface.clone());
            }
            let picture = if is_shared { &elsewhere } else { &numbers };
            let mut found = Tensor::zeros(program.outputs()[0].ty.shape);
            let outputs = &mut [found.view_mut()];
            instance.run(&[picture.view()], outputs).map_err(Problem::of)?;
            told.push(close(&found, &expected[0])?);
        }
        Ok(told.join(", "))
    }

    fn chooses_functions(&self) -> Outcome {
        self.needs_macos_15()?;
        let cases = [graphs::layers as Build, graphs::arithmetic].map(Case::of);
        let [first, second] = cases;
        let (first, second) = (first.map_err(Problem::of)?, second.map_err(Problem::of)?);
        let entries = [Entry::new("first", &first.graph), Entry::new("second", &second.graph)];
        let package = Package { description: "selftest", entries: &entries };
        for (function, case) in [&first, &second].into_iter().enumerate() {
            let mut predictor = self.predictor("functions", &package, &first.weights, function)?;
            let expected =
                reference::run(&case.graph, &case.weights, &case.inputs).map_err(Problem::of)?;
            for (index, input) in case.inputs.iter().enumerate() {
                predictor.write_f32(index, values(input)?).map_err(Problem::of)?;
            }
            predictor.predict().map_err(Problem::of)?;
            let mut found = Tensor::zeros(expected[0].shape());
            let numbers = found.as_f32_mut().map_err(Problem::of)?;
            predictor.read_f32(0, numbers).map_err(Problem::of)?;
            close(&found, &expected[0])?;
        }
        Ok("both are right".to_owned())
    }

    fn shares_a_model(&self) -> Outcome {
        const RUNS: usize = 20;
        let case = Case::of(graphs::layers).map_err(Problem::of)?;
        let expected =
            reference::run(&case.graph, &case.weights, &case.inputs).map_err(Problem::of)?;
        let (backend, none) = (self.backend(self.options()), CompileOptions::default());
        let program = backend.compile(&case.graph, &case.weights, &none).map_err(Problem::of)?;
        thread::scope(|scope| {
            let threads = [0, 1].map(|_| {
                scope.spawn(|| {
                    for _ in 0..RUNS {
                        close(&run(&*program, &case)?, &expected[0])?;
                    }
                    Ok::<_, Problem>(())
                })
            });
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Problem::of("a thread panicked")))
            })
        })?;
        Ok(format!("{RUNS} right results on each"))
    }

    fn paints_a_frame(&self) -> Outcome {
        const FRAMES: usize = 10;
        let quiet = Console::new(true, false);
        let model = ModelArgs { model: STARTER.to_owned() }.open(&quiet).map_err(Problem::of)?;
        let usual = model.default_size().map_err(Problem::of)?;
        let size = self.size.unwrap_or(usual);
        let load = |backend: &dyn Backend| {
            let mut bench = Bench::load(&model, size, 0.5, backend, &quiet).map_err(Problem::of)?;
            for _ in 0..2 {
                bench.run().map_err(Problem::of)?;
            }
            Ok::<_, Problem>(bench)
        };
        let cpu = CpuBackend::new(CpuOptions::default()).map_err(Problem::of)?;
        let expected = load(&cpu)?;
        let mut bench = load(&self.backend(self.options()))?;
        bench.forget_times();
        for _ in 0..FRAMES {
            bench.run().map_err(Problem::of)?;
        }
        let quality = psnr(values(bench.output())?, values(expected.output())?, 2.0);
        let quality = quality.map_err(Problem::of)?;
        let mut times = bench.frames.clone();
        times.sort();
        let (median, sides) = (times[FRAMES / 2].as_secs_f64() * 1e3, size);
        let told = format!(
            "{}x{}: {quality:.1} dB against the CPU's, median {median:.2} ms",
            sides.width, sides.height
        );
        // NaN is as bad as a low number.
        if quality >= FRAME_PSNR_DB { Ok(told) } else { Err(Problem::Failed(told)) }
    }
}

/// `[3, height, width]` in -1..=1.
fn planes(image: &Image, fit: Fit, size: pipeline::Size) -> Vec<f32> {
    let mut planes = vec![0.0; 3 * size.area()];
    Prepare::default().run(image, fit.into(), size, &mut planes);
    planes
}

fn compute(backend: &dyn Backend, case: &Case) -> Result<Tensor, Problem> {
    let none = CompileOptions::default();
    let program = backend.compile(&case.graph, &case.weights, &none).map_err(Problem::of)?;
    run(&*program, case)
}

fn run(program: &dyn laterna_graph::Program, case: &Case) -> Result<Tensor, Problem> {
    let mut output = Tensor::zeros(program.outputs()[0].ty.shape);
    let inputs: Vec<_> = case.inputs.iter().map(Tensor::view).collect();
    let mut instance = program.spawn().map_err(Problem::of)?;
    instance.run(&inputs, &mut [output.view_mut()]).map_err(Problem::of)?;
    Ok(output)
}

/// The shortest of some predictions.
fn prediction(program: &dyn laterna_graph::Program, case: &Case) -> Result<Duration, Problem> {
    const RUNS: usize = 20;
    let mut output = Tensor::zeros(program.outputs()[0].ty.shape);
    let inputs: Vec<_> = case.inputs.iter().map(Tensor::view).collect();
    let mut instance = program.spawn().map_err(Problem::of)?;
    let mut shortest = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        instance.run(&inputs, &mut [output.view_mut()]).map_err(Problem::of)?;
        shortest = shortest.min(start.elapsed());
    }
    Ok(shortest)
}

fn close(found: &Tensor, expected: &Tensor) -> Outcome {
    let error = max_relative_error(values(found)?, values(expected)?).map_err(Problem::of)?;
    let told = format!("relative error {error:.1e}");
    // NaN is as bad as a large number.
    if error <= TOLERANCE { Ok(told) } else { Err(Problem::Failed(told)) }
}

fn values(tensor: &Tensor) -> Result<&[f32], Problem> {
    tensor.as_f32().map_err(Problem::of)
}
