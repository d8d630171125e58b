//! The backend's contract, on a device that stands in for Core ML: all but
//! Objective-C.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod standin;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use laterna_conformance::check;
use laterna_coreml::backend::{CoreMlOptions, Event, Form};
use laterna_coreml::emit::Attention;
use laterna_coreml::run::{ComputeUnits, Element, Interface, Options, Prober, Stage};
use laterna_graph::{
    Backend, Builder, CompileError, CompileOptions, Graph, MemoryWeights, Op, Program, Rate,
    RunError, TensorType,
};
use laterna_tensor::{Surface, Tensor};
use standin::{Pairs, StandIn, Tested};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn tested(folder: &TempDir) -> Tested {
    Tested::new(StandIn::default(), CoreMlOptions::new(folder.path()), None)
}

/// A trial by a script, whose first argument is the compiled model.
fn shell(script: &'static str) -> Box<Prober> {
    Box::new(move |model: &Path, _: &Interface, _: &Options| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(model);
        command
    })
}

fn wave(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (name, ty) in graph.weights() {
        let values = (0..ty.shape.elements()).map(|i| (i as f32).sin()).collect();
        weights.insert(&**name, &Tensor::from_f32(ty.shape, values).unwrap());
    }
    weights
}

/// Self-attention with a layer behind it.
fn attention() -> Graph {
    let mut b = Builder::new("attention");
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 3, 4]));
    let y = b.attention("attn", [x, x, x], 2, false).unwrap();
    let y = b.linear("out", y, 4, true).unwrap();
    b.finish(&[("y", y)])
}

fn compile(tested: &Tested, graph: &Graph) -> Result<Arc<dyn Program>, CompileError> {
    tested.compile(graph, &wave(graph), &CompileOptions::default())
}

fn run(program: &dyn Program, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let mut outputs: Vec<_> =
        program.outputs().iter().map(|port| Tensor::zeros(port.ty.shape)).collect();
    let inputs: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    program.spawn()?.run(&inputs, &mut views)?;
    Ok(outputs)
}

/// All that fails is what Core ML has no tensors for.
#[test]
fn every_case_passes() {
    let folder = folder();
    if let Err(failures) = check(&tested(&folder)) {
        let lost = failures.0.iter().filter(|failure| {
            let text = failure.to_string();
            !text.contains("more than 5 dimensions") && !text.contains("Core ML has no ")
        });
        let lost: Vec<_> = lost.map(ToString::to_string).collect();
        assert!(lost.is_empty(), "{} fail:\n{}", lost.len(), lost.join("\n"));
        assert!(failures.0.len() < 8, "{failures}");
    }
}

#[test]
fn a_graph_is_compiled_once() {
    let folder = folder();
    for round in 0..2 {
        let tested = tested(&folder);
        compile(&tested, &attention()).unwrap();
        assert_eq!(tested.device.compiled.load(Ordering::Relaxed), 1 - round);
        assert_eq!(tested.device.opened.load(Ordering::Relaxed), 1);
        let written = [Stage::Writing, Stage::Compiling, Stage::Loading].map(Event::Stage);
        assert_eq!(*tested.events.lock().unwrap(), written[2 * round..]);
    }
}

#[test]
fn other_weights_are_another_model() {
    let folder = folder();
    let (tested, graph) = (tested(&folder), attention());
    compile(&tested, &graph).unwrap();
    let mut weights = wave(&graph);
    weights.insert("out.bias", &Tensor::zeros([4]));
    tested.compile(&graph, &weights, &CompileOptions::default()).unwrap();
    assert_eq!(tested.device.compiled.load(Ordering::Relaxed), 2);
}

/// The trial aborts on attention as one operation, as MPSGraph has done.
#[test]
fn a_form_that_crashes_gives_way_to_the_next_for_good() {
    let folder = folder();
    let script = "echo >>\"$1/../../tried\"; \
                  grep -rq scaled_dot_product \"$1\" && kill -ABRT $$; true";
    let cache = folder.path().join("cache");
    for round in 0..2 {
        let options = CoreMlOptions::new(&cache);
        let tested = Tested::new(StandIn::default(), options, Some(shell(script)));
        let program = compile(&tested, &attention()).unwrap();
        let events = tested.events.lock().unwrap();
        let fell = events.iter().find(|event| matches!(event, Event::FellBack { .. }));
        let Some(Event::FellBack { from: Form { attention: Attention::Sdpa, .. }, reason }) = fell
        else {
            panic!("{events:?}");
        };
        assert!(reason.contains("signal: 6"), "{reason}");
        assert_eq!(program.summary().nodes[0].kernel, "matmul");
        let tries = std::fs::read(folder.path().join("tried")).unwrap();
        assert_eq!(tries, b"\n\n", "round {round}");
    }
}

#[test]
fn the_neural_engine_gets_its_own_form_first() {
    let folder = folder();
    let units = ComputeUnits::CpuAndNeuralEngine;
    let options = CoreMlOptions { units, ..CoreMlOptions::new(folder.path()) };
    let tested = Tested::new(StandIn::default(), options, None);
    let program = compile(&tested, &attention()).unwrap();
    assert_eq!(program.summary().nodes[0].kernel, "split-einsum");
}

#[test]
fn a_device_that_takes_no_form_says_so_with_a_hint() {
    let folder = folder();
    let options = CoreMlOptions::new(folder.path());
    let refuse = shell("echo 'too large' >&2; exit 3");
    let tested = Tested::new(StandIn::default(), options, Some(refuse));
    let error = compile(&tested, &attention()).map(drop).unwrap_err();
    let CompileError::Device { device: "coreml", reason, hint: Some(hint) } = &error else {
        panic!("{error:?}");
    };
    for form in ["sdpa", "matmul", "split-einsum"] {
        assert!(reason.contains(&format!("attention as {form}: ")), "{reason}");
    }
    assert!(reason.contains("too large") && hint.contains(".failed to try again"), "{error:?}");
}

#[test]
fn a_package_that_is_refused_leaves_no_file() {
    let folder = folder();
    let device = StandIn { refuses: true, ..StandIn::default() };
    let tested = Tested::new(device, CoreMlOptions::new(folder.path()), None);
    let error = compile(&tested, &attention()).map(drop).unwrap_err().to_string();
    assert!(error.contains("no package is good enough"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Core ML has no inputs that nothing reads, and what is not computed takes no way
/// through half precision.
#[test]
fn what_is_not_computed_is_copied() {
    let folder = folder();
    let mut b = Builder::new("mixed");
    let unread = b.input("unread", Rate::Frame, TensorType::f32([1, 2]));
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 2]));
    let fixed = b.constant("fixed", Tensor::from_f32([2], vec![0.1, 0.7]).unwrap());
    let y = b.add("y", x, x).unwrap();
    let graph = b.finish(&[("same", unread), ("y", y), ("fixed", fixed)]);
    let tested = tested(&folder);
    let program = compile(&tested, &graph).unwrap();
    let inputs = [vec![5.0, 1e9], vec![1.0, 2.0]].map(|v| Tensor::from_f32([1, 2], v).unwrap());
    let outputs = run(&*program, &inputs).unwrap();
    let values: Vec<_> = outputs.iter().map(|output| output.as_f32().unwrap()).collect();
    assert_eq!(values, [&[5.0, 1e9][..], &[2.0, 4.0], &[0.1, 0.7]]);
}

#[test]
fn a_graph_that_computes_nothing_needs_no_device() {
    let folder = folder();
    let mut b = Builder::new("copy");
    let x = b.input("x", Rate::Frame, TensorType::f32([2]));
    let graph = b.finish(&[("y", x)]);
    let tested = tested(&folder);
    let program = compile(&tested, &graph).unwrap();
    let x = Tensor::from_f32([2], vec![1.0, 2.0]).unwrap();
    assert_eq!(run(&*program, std::slice::from_ref(&x)).unwrap(), [x]);
    assert_eq!(tested.device.compiled.load(Ordering::Relaxed), 0);
}

#[test]
fn an_index_outside_its_table_is_named() {
    let folder = folder();
    let mut b = Builder::new("lookup");
    let ids = b.input("ids", Rate::Prompt, TensorType::i64([3]));
    let table = b.weight("tokens.weight", [5, 2]).unwrap();
    let y = b.node("tokens", Op::Embedding, &[ids, table]).unwrap();
    let graph = b.finish(&[("y", y)]);
    let program = compile(&tested(&folder), &graph).unwrap();
    let at = |ids: [i64; 3]| run(&*program, &[Tensor::from_i64([3], ids.to_vec()).unwrap()]);
    at([0, 4, 1]).unwrap();
    for bad in [5, -1, i64::MAX] {
        let RunError::Index { index, rows: 5, .. } = at([0, bad, 1]).unwrap_err() else {
            panic!("{bad}");
        };
        assert_eq!(index, bad);
    }
}

#[test]
fn wrong_weights_and_views_are_named() {
    let folder = folder();
    let (tested, graph) = (tested(&folder), attention());
    let mut weights = wave(&graph);
    weights.insert("out.bias", &Tensor::zeros([5]));
    let error = tested.backend.compile(&graph, &weights, &CompileOptions::default());
    assert!(matches!(error.map(drop), Err(CompileError::WeightShape { .. })));
    let none = tested.backend.compile(&graph, &MemoryWeights::new(), &CompileOptions::default());
    assert!(matches!(none.map(drop), Err(CompileError::Weight(_))));
    let program = compile(&tested, &graph).unwrap();
    assert!(matches!(run(&*program, &[]), Err(RunError::Count { .. })));
    assert!(matches!(run(&*program, &[Tensor::zeros([1])]), Err(RunError::Type { .. })));
}

#[test]
fn a_weight_beyond_half_precision_is_refused_by_name() {
    let folder = folder();
    let (tested, graph) = (tested(&folder), attention());
    let mut weights = wave(&graph);
    weights.insert("out.bias", &Tensor::from_f32([4], vec![1e9; 4]).unwrap());
    let error = tested.compile(&graph, &weights, &CompileOptions::default()).map(drop);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("does not fit half precision"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_device_that_fails_in_a_run_is_quoted() {
    let folder = folder();
    let device = StandIn { fails: true, ..StandIn::default() };
    let tested = Tested::new(device, CoreMlOptions::new(folder.path()), None);
    let program = compile(&tested, &attention()).unwrap();
    let error = run(&*program, &[Tensor::zeros([1, 3, 4])]).unwrap_err();
    assert_eq!(error.to_string(), "coreml: standing in: the device is gone");
}

#[test]
fn two_predictions_of_one_model_are_under_way_at_once() {
    let folder = folder();
    let device = StandIn { pairs: Some(Arc::new(Pairs::default())), ..StandIn::default() };
    let tested = Tested::new(device, CoreMlOptions::new(folder.path()), None);
    let program = compile(&tested, &attention()).unwrap();
    let predict = || run(&*program, &[Tensor::zeros([1, 3, 4])]).map(drop);
    let results = std::thread::scope(|scope| {
        [scope.spawn(predict), scope.spawn(predict)].map(|thread| thread.join().unwrap())
    });
    assert_eq!(results, [Ok(()), Ok(())]);
    assert_eq!(tested.device.opened.load(Ordering::Relaxed), 1);
}

/// Twice a picture, and what is no picture.
fn painter() -> Graph {
    let mut b = Builder::new("painter");
    let image = b.input("image", Rate::Frame, TensorType::f32([1, 3, 1, 2]));
    let noise = b.input("noise", Rate::Frame, TensorType::f32([1, 3, 1, 2]));
    let twice = b.add("twice", image, image).unwrap();
    let y = b.add("y", twice, noise).unwrap();
    b.finish(&[("y", y)])
}

const PICTURES: CompileOptions<'_> =
    CompileOptions { observer: None, pictures: &["image", "elsewhere"] };

/// The painter's result for a picture of ones, which is in that memory too.
fn painted(program: &dyn Program, surface: Option<Surface>) -> f32 {
    let mut image = Tensor::from_f32([1, 3, 1, 2], vec![1.0; 6]).unwrap();
    surface.into_iter().for_each(|surface| image.set_surface(surface));
    let noise = Tensor::zeros([1, 3, 1, 2]);
    run(program, &[image, noise]).unwrap()[0].as_f32().unwrap()[0]
}

#[test]
fn a_picture_is_read_where_its_surface_is() {
    let (folder, graph) = (folder(), painter());
    let tested = tested(&folder);
    let program = tested.compile(&graph, &MemoryWeights::new(), &PICTURES).unwrap();
    assert!(program.reads_surface(0) && !program.reads_surface(1));
    let surface = || Surface::new(vec![5.0_f32; 6]);
    assert_eq!(painted(&*program, Some(surface())), 10.0);
    // Memory of another device, and none.
    assert_eq!(painted(&*program, Some(Surface::new("elsewhere"))), 2.0);
    assert_eq!(painted(&*program, None), 2.0);
    // As arrays it is another model, which reads no surface.
    let program = tested.compile(&graph, &MemoryWeights::new(), &CompileOptions::default());
    let program = program.unwrap();
    assert!(!program.reads_surface(0));
    assert_eq!(painted(&*program, Some(surface())), 2.0);
    assert_eq!(tested.device.compiled.load(Ordering::Relaxed), 2);
}

#[test]
fn a_surface_that_fails_gives_way_to_its_numbers() {
    let folder = folder();
    let device = StandIn { fails_on_surfaces: true, ..StandIn::default() };
    let tested = Tested::new(device, CoreMlOptions::new(folder.path()), None);
    let program = tested.compile(&painter(), &MemoryWeights::new(), &PICTURES).unwrap();
    assert_eq!(painted(&*program, Some(Surface::new(vec![5.0_f32; 6]))), 2.0);
    let device = StandIn { fails: true, ..StandIn::default() };
    let tested = Tested::new(device, CoreMlOptions::new(folder.path()), None);
    let program = tested.compile(&painter(), &MemoryWeights::new(), &PICTURES).unwrap();
    let mut image = Tensor::zeros([1, 3, 1, 2]);
    image.set_surface(Surface::new(vec![5.0_f32; 6]));
    let error = run(&*program, &[image, Tensor::zeros([1, 3, 1, 2])]).unwrap_err();
    assert_eq!(error.to_string(), "coreml: standing in: the device is gone");
}

#[test]
fn a_device_that_takes_no_pictures_is_given_arrays() {
    let folder = folder();
    let probe = |_: &Path, interface: &Interface, _: &Options| {
        let takes = interface.inputs.iter().all(|input| input.element != Element::Bgra);
        let mut command = Command::new("sh");
        command.args(["-c", if takes { "true" } else { "exit 3" }]);
        command
    };
    let options = CoreMlOptions::new(folder.path());
    let tested = Tested::new(StandIn::default(), options, Some(Box::new(probe)));
    let program = tested.compile(&painter(), &MemoryWeights::new(), &PICTURES).unwrap();
    assert!(!program.reads_surface(0));
    assert_eq!(painted(&*program, None), 2.0);
    let events = tested.events.lock().unwrap();
    let fell = events.iter().find_map(|event| match event {
        Event::FellBack { from, .. } => Some(from.to_string()),
        Event::Stage(_) => None,
    });
    assert_eq!(fell.as_deref(), Some("attention as sdpa, pictures as pixel buffers"));
}

/// Nobody knows a single operation's time: none is made up.
#[test]
fn the_whole_time_is_the_predictions() {
    let folder = folder();
    let program = compile(&tested(&folder), &attention()).unwrap();
    let nodes = &program.summary().nodes;
    let ops: Vec<_> = nodes.iter().map(|node| node.op).collect();
    assert_eq!(ops, ["attention", "linear", "predict"]);
    assert_eq!(nodes[2].kernel, "Core ML on cpu-gpu");
    assert!(program.summary().flops() > 0 && program.summary().weight_bytes > 0);
    let (x, mut y) = (Tensor::zeros([1, 3, 4]), Tensor::zeros([1, 3, 4]));
    let mut times = [Duration::ZERO; 3];
    let mut instance = program.spawn().unwrap();
    instance.run_timed(&[x.view()], &mut [y.view_mut()], &mut times).unwrap();
    assert!(times[0].is_zero() && times[1].is_zero() && !times[2].is_zero());
}

#[test]
fn the_placement_is_told_by_node() {
    let folder = folder();
    let mut b = Builder::new("two");
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 2]));
    let h = b.linear("first", x, 3, true).unwrap();
    let y = b.linear("second", h, 2, true).unwrap();
    let graph = b.finish(&[("y", y)]);
    let options = CoreMlOptions { placement: true, ..CoreMlOptions::new(folder.path()) };
    let tested = Tested::new(StandIn::default(), options, None);
    let program = compile(&tested, &graph).unwrap();
    let kernels: Vec<_> = program.summary().nodes.iter().map(|node| &*node.kernel).collect();
    let quarter = "25.0 % of the cost";
    let expected = [format!("CPU 1, {quarter}"), format!("GPU 1, {quarter}")];
    assert_eq!(kernels[..2], expected);
}
