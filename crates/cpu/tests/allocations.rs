//! An instance allocates nothing: runs are counted by an allocator of our own.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{
    Backend, BuildError, Builder, CompileOptions, Graph, MemoryWeights, Rate, TensorType,
};
use laterna_tensor::Tensor;
use laterna_testing::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A resnet block and a transformer block with every kind of kernel that a UNet has.
fn network() -> Result<Graph, BuildError> {
    let mut b = Builder::new("network");
    let x = b.input("x", Rate::Frame, TensorType::f32([2, 8, 9, 7]));
    let t = b.input("t", Rate::Frame, TensorType::f32([2, 16]));
    let text = b.input("text", Rate::Frame, TensorType::f32([2, 5, 12]));

    let norm = b.group_norm("norm1", x, 4, 1e-5)?;
    let norm = b.activation("silu1", norm, Activation::Silu)?;
    let h = b.conv2d("conv1", norm, 8, 3, Conv2d::same(1))?;
    let t = b.activation("silu_t", t, Activation::Silu)?;
    let t = b.linear("time", t, 8, true)?;
    let t = b.reshape("time", t, [2, 8, 1, 1])?;
    let h = b.add("add_t", h, t)?;
    let x = b.add("residual", x, h)?;

    let tokens = b.to_tokens("tokens", x)?;
    let norm = b.layer_norm("norm2", tokens, 1e-5)?;
    let q = b.linear("q", norm, 8, false)?;
    let k = b.linear("k", text, 8, false)?;
    let v = b.linear("v", text, 8, false)?;
    let mixed = b.attention("attn", [q, k, v], 2, false)?;
    let mixed = b.linear("out", mixed, 8, true)?;
    let tokens = b.add("residual2", tokens, mixed)?;
    let wide = b.linear("ff1", tokens, 64, true)?;
    let gated = b.geglu("geglu", wide)?;
    let tokens = {
        let narrow = b.linear("ff2", gated, 8, true)?;
        b.add("residual3", tokens, narrow)?
    };
    let x = b.from_tokens("picture", tokens, 9, 7)?;
    let up = b.upsample_nearest("up", x, 2)?;
    let joined = b.concat("skip", &[up, up], 1)?;
    let conv = Conv2d { stride: [2, 2], ..Conv2d::same(1) };
    let y = b.conv2d("down", joined, 8, 3, conv)?;
    let y = b.affine("scale", y, 0.5, 0.5)?;
    let y = b.node("clamp", laterna_graph::Op::Clamp { min: -1.0, max: 1.0 }, &[y])?;
    Ok(b.finish(&[("y", y)]))
}

fn weights(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (name, ty) in graph.weights() {
        let data = (0..ty.shape.elements()).map(|i| (i as f32 * 0.37).sin() * 0.3).collect();
        weights.insert(&**name, &Tensor::from_f32(ty.shape, data).unwrap());
    }
    weights
}

/// No test harness: its own thread allocates now and then, and would be counted.
fn main() {
    a_run_allocates_nothing();
    println!("test a_run_allocates_nothing ... ok");
}

fn a_run_allocates_nothing() {
    let graph = network().unwrap();
    for threads in [1, 2] {
        let backend =
            CpuBackend::new(CpuOptions { threads: Some(threads), ..CpuOptions::default() })
                .unwrap();
        let options = CompileOptions::default();
        let program = backend.compile(&graph, &weights(&graph), &options).unwrap();
        let mut instance = program.spawn().unwrap();
        let inputs: Vec<Tensor> = program
            .inputs()
            .iter()
            .map(|port| {
                let data = (0..port.ty.shape.elements()).map(|i| (i as f32 * 0.7).cos()).collect();
                Tensor::from_f32(port.ty.shape, data).unwrap()
            })
            .collect();
        let mut output = Tensor::zeros(program.outputs()[0].ty.shape);
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();

        let mut run = || {
            let mut outputs = [output.view_mut()];
            let before = allocations();
            instance.run(&views, &mut outputs).unwrap();
            allocations() - before
        };
        run();
        let counts: Vec<usize> = (0..10).map(|_| run()).collect();
        assert_eq!(counts, [0; 10], "{threads} threads");
        let data = output.as_f32().unwrap();
        assert!(data.iter().any(|&v| v.abs() > 0.01 && v.abs() < 1.0), "a picture came out");
    }
}
