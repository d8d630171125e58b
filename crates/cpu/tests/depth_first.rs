//! Convolutions in a row over a large picture are one kernel, which computes what
//! the direct kernels do one by one.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::sync::Arc;

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{
    Backend, BuildError, Builder, CompileOptions, Graph, MemoryWeights, Program, Rate, TensorType,
};
use laterna_kernels::{Convolutions, Precision};
use laterna_quality::max_relative_error;
use laterna_tensor::Tensor;

/// Large enough that a picture does not wait in cache for the next layer.
const SIZE: [usize; 2] = [212, 213];
const CHANNELS: usize = 48;

/// A block of an autoencoder, whose first picture is also read from outside of it
/// if it is `shared`.
fn network(shared: bool) -> Result<Graph, BuildError> {
    let mut b = Builder::new("network");
    let [height, width] = SIZE;
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 3, height, width]));
    let conv =
        |b: &mut Builder, name: &str, x, outputs| b.conv2d(name, x, outputs, 3, Conv2d::same(1));
    let first = conv(&mut b, "first", x, CHANNELS)?;
    let h = conv(&mut b, "second", first, CHANNELS)?;
    let h = b.activation("relu1", h, Activation::Relu)?;
    let h = conv(&mut b, "third", h, CHANNELS)?;
    let h = b.add("residual", h, first)?;
    let h = b.activation("relu2", h, Activation::Relu)?;
    let mut y = conv(&mut b, "last", h, 3)?;
    if shared {
        let other = b.conv2d("other", first, 3, 1, Conv2d::same(0))?;
        y = b.add("both", y, other)?;
    }
    Ok(b.finish(&[("y", y)]))
}

fn weights(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (name, ty) in graph.weights() {
        let data = (0..ty.shape.elements()).map(|i| (i as f32 * 0.37).sin() * 0.08).collect();
        weights.insert(&**name, &Tensor::from_f32(ty.shape, data).unwrap());
    }
    weights
}

fn compile(graph: &Graph, convolutions: Convolutions, precision: Precision) -> Arc<dyn Program> {
    let (threads, convolutions) = (Some(2), Some(convolutions));
    let options = CpuOptions { threads, convolutions, precision, ..CpuOptions::default() };
    let backend = CpuBackend::new(options).unwrap();
    backend.compile(graph, &weights(graph), &CompileOptions::default()).unwrap()
}

fn run(program: &dyn Program) -> Vec<f32> {
    let [height, width] = SIZE;
    let colours = (0..3 * height * width).map(|i| (i as f32 * 0.011).sin()).collect();
    let x = Tensor::from_f32([1, 3, height, width], colours).unwrap();
    let mut y = Tensor::zeros([1, 3, height, width]);
    program.spawn().unwrap().run(&[x.view()], &mut [y.view_mut()]).unwrap();
    y.as_f32().unwrap().to_vec()
}

fn kernels(program: &dyn Program) -> Vec<&str> {
    program.summary().nodes.iter().map(|node| &*node.kernel).collect()
}

/// The programs with and without a kernel of this name, which agree.
fn checked(graph: &Graph, kernel: &str) -> [Arc<dyn Program>; 2] {
    let program = compile(graph, Convolutions::Winograd4, Precision::F32);
    let found = kernels(&*program);
    assert!(found.iter().any(|name| name.ends_with(kernel)), "{found:?}");
    let direct = compile(graph, Convolutions::Direct, Precision::F32);
    let error = max_relative_error(&run(&*program), &run(&*direct)).unwrap();
    assert!(error < 1e-4, "{error}");
    [program, direct]
}

#[test]
fn a_block_over_a_large_picture_is_one_kernel() {
    let graph = network(false).unwrap();
    let [program, direct] = checked(&graph, "x4 depth-first");
    let (less, more) = (program.summary().arena_bytes, direct.summary().arena_bytes);
    assert!(less < more / 2, "{less} of {more} bytes: what is between has no place");
    let [rounded, direct] = [Convolutions::Winograd4, Convolutions::Direct]
        .map(|way| run(&*compile(&graph, way, Precision::Bf16)));
    let error = max_relative_error(&rounded, &direct).unwrap();
    assert!(error < 5e-2, "{error}");
}

#[test]
fn what_others_read_is_kept() {
    checked(&network(true).unwrap(), "x3 depth-first");
}
