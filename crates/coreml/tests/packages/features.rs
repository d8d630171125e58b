//! What single operations do not show: large numbers, pictures, several
//! functions.

use std::collections::BTreeMap;

use laterna_coreml::emit::{self, Attention, Entry, GroupNorm, Options, Target};
use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{Builder, Graph, MemoryWeights, Rate, TensorType, reference};
use laterna_tensor::Tensor;

use crate::checker::{Checker, TOLERANCE, write};

fn wave(shape: &[usize], scale: f32) -> Tensor {
    let count = shape.iter().product();
    let number = |i: usize| ((i * i % 1009) as f32 * 0.37).sin() * scale;
    Tensor::from_f32(laterna_tensor::Shape::new(shape), (0..count).map(number).collect()).unwrap()
}

fn weights(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (name, ty) in graph.weights() {
        weights.insert(&**name, &wave(&ty.shape, 0.2));
    }
    weights
}

fn named<const N: usize>(inputs: [(&str, &Tensor); N]) -> BTreeMap<String, Tensor> {
    inputs.into_iter().map(|(name, x)| (name.to_owned(), x.clone())).collect()
}

fn close(expected: &Tensor, found: &Tensor, tolerance: f32) {
    laterna_conformance::compare(expected, found, tolerance).unwrap();
}

/// Groups of numbers near half precision's largest, of both signs or all far
/// from 0, and of numbers whose squares vanish; every result rounded to half
/// precision. A mean of squares written as such would be infinite here.
#[test]
fn normalisation_in_steps_takes_any_numbers() {
    let Some(mut checker) = Checker::find() else { return };
    let mut b = Builder::new("norm");
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 8, 16, 16]));
    let y = b.group_norm("norm", x, 4, 1e-5).unwrap();
    let graph = b.finish(&[("y", y)]);
    let mut weights = MemoryWeights::new();
    weights.insert("norm.weight", &Tensor::from_f32([8], vec![1.0; 8]).unwrap());
    weights.insert("norm.bias", &Tensor::zeros([8]));
    let mut x = wave(&[1, 8, 16, 16], 1.0);
    for (index, value) in x.as_f32_mut().unwrap().iter_mut().enumerate() {
        *value = match index / 512 {
            0 => *value * 65_000.0,
            1 => 60_000.0 + *value * 5_000.0,
            2 => *value * 1e-3,
            _ => 0.0,
        };
    }
    let expected = reference::run(&graph, &weights, std::slice::from_ref(&x)).unwrap();
    let options = Options { group_norm: GroupNorm::Steps, ..Options::new(Target::MacOs14) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("norm.mlpackage");
    let entries = [Entry::new("main", &graph)];
    write(&path, &entries, &weights, &options).unwrap();
    let found = checker.run(&path, &["--round-fp16"], &named([("x", &x)])).unwrap();
    // Inputs of the second group are themselves rounded to multiples of 32, of
    // a deviation of 3,500.
    close(&expected[0], &found["y"], 1e-2);
}

/// `relu(conv(picture))` with as many channels, called alike inside and out.
fn painter(side: usize) -> Graph {
    let mut b = Builder::new("painter");
    let x = b.input("image", Rate::Frame, TensorType::f32([1, 3, side, side]));
    let y = b.conv2d("conv", x, 48, 3, Conv2d::same(1)).unwrap();
    let y = b.activation("silu", y, Activation::Silu).unwrap();
    let y = b.conv2d("out", y, 3, 3, Conv2d::same(1)).unwrap();
    b.finish(&[("image", y)])
}

/// Bytes in, bytes out: 0 to 255 outside, -1 to 1 inside.
#[test]
fn pictures_go_in_and_out() {
    let Some(mut checker) = Checker::find() else { return };
    let graph = painter(8);
    let weights = weights(&graph);
    let bytes = wave(&[1, 3, 8, 8], 127.0);
    let bytes: Vec<f32> = bytes.as_f32().unwrap().iter().map(|v| (v + 127.5).round()).collect();
    let inside = bytes.iter().map(|v| v / 127.5 - 1.0).collect();
    let inside = Tensor::from_f32([1, 3, 8, 8], inside).unwrap();
    let painted = reference::run(&graph, &weights, &[inside]).unwrap().remove(0);
    let expected = painted.as_f32().unwrap().iter().map(|v| (v * 127.5 + 127.5).clamp(0.0, 255.0));
    let expected = Tensor::from_f32([1, 3, 8, 8], expected.collect()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("painter.mlpackage");
    let entries = [Entry { images: &["image"], ..Entry::new("main", &graph) }];
    let summary = write(&path, &entries, &weights, &Options::new(Target::MacOs14)).unwrap();
    let function = &summary.functions[0];
    assert!(function.inputs[0].image && function.outputs[0].image);
    assert_eq!(&*function.outputs[0].value.name, "image_out", "names are unique in a function");
    let given = Tensor::from_f32([1, 3, 8, 8], bytes).unwrap();
    let found = checker.run(&path, &[], &named([("image", &given)])).unwrap();
    close(&expected, &found["image_out"], TOLERANCE);
}

#[test]
fn functions_of_several_sizes_share_their_weights() {
    let Some(mut checker) = Checker::find() else { return };
    let graphs = [painter(8), painter(16)];
    let weights = weights(&graphs[0]);
    let options = Options::new(Target::MacOs15);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("painter.mlpackage");
    let written = |entries: &[Entry<'_>]| write(&path, entries, &weights, &options).unwrap();
    let alone = written(&[Entry::new("size_8", &graphs[0])]);
    let both = written(&[Entry::new("size_8", &graphs[0]), Entry::new("size_16", &graphs[1])]);
    assert_eq!(both.weight_bytes, alone.weight_bytes);
    for (name, graph, side) in [("size_8", &graphs[0], 8), ("size_16", &graphs[1], 16)] {
        let x = wave(&[1, 3, side, side], 1.0);
        let expected = reference::run(graph, &weights, std::slice::from_ref(&x)).unwrap();
        let arguments = ["--function", name];
        let found = checker.run(&path, &arguments, &named([("image", &x)])).unwrap();
        close(&expected[0], &found["image_out"], TOLERANCE);
    }
}

/// More queries than are taken at once, with a mask over both chunks.
#[test]
fn queries_are_taken_in_chunks() {
    let Some(mut checker) = Checker::find() else { return };
    let mut b = Builder::new("attention");
    let shape = [1, emit::QUERY_CHUNK + 9, 8];
    let [q, k, v] = ["q", "k", "v"].map(|name| b.input(name, Rate::Frame, TensorType::f32(shape)));
    let y = b.attention("attention", [q, k, v], 2, true).unwrap();
    let graph = b.finish(&[("y", y)]);
    let inputs = [1.0, 2.0, 3.0].map(|scale| wave(&shape, scale));
    let expected = reference::run(&graph, &MemoryWeights::new(), &inputs).unwrap();
    let options = Options { attention: Attention::SplitEinsum, ..Options::new(Target::MacOs14) };
    let found = checker.execute(&graph, &MemoryWeights::new(), &inputs, &options).unwrap();
    close(&expected[0], &found[0], TOLERANCE);
}
