//! A graph as text, one node a line, for people and snapshots.

use std::fmt::Write;

use crate::ValueId;
use crate::graph::{Constant, Graph, Layout, Node, Origin, Value};
use crate::op::{Conv2d, Epilogue, Op};

/// The whole graph: inputs, nodes in order, outputs.
pub fn dump(graph: &Graph) -> String {
    let mut text = format!("graph {}\n", graph.name());
    for &id in graph.inputs() {
        let value = graph.value(id);
        let Origin::Input(rate) = value.origin else { continue };
        let rate = format!("{rate:?}").to_lowercase();
        line(
            &mut text,
            format_args!(
                "  {} = input {rate} \"{}\" : {}",
                name(graph, id),
                value.name,
                facts(value)
            ),
        );
    }
    for node in graph.nodes() {
        line(&mut text, format_args!("  {}", dump_node(graph, node)));
    }
    for (label, id) in graph.outputs() {
        line(&mut text, format_args!("  output \"{label}\" = {}", name(graph, *id)));
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

fn dump_node(graph: &Graph, node: &Node) -> String {
    let inputs: Vec<_> = node.inputs.iter().map(|&id| name(graph, id)).collect();
    let attributes = attributes(&node.op);
    let separator = if attributes.is_empty() { "" } else { " " };
    format!(
        "{} = {}({}){separator}{attributes} : {}  # {}",
        name(graph, node.output),
        node.op.name(),
        inputs.join(", "),
        facts(graph.value(node.output)),
        node.name,
    )
}

fn name(graph: &Graph, id: ValueId) -> String {
    match &graph.value(id).origin {
        Origin::Constant(Constant::Weight(name)) => name.to_string(),
        Origin::Constant(Constant::Data(_)) => {
            format!("{}{}", graph.value(id).name, graph.shape(id))
        }
        Origin::Input(_) | Origin::Node(_) => format!("%{}", id.index()),
    }
}

fn facts(value: &Value) -> String {
    match value.layout {
        Layout::RowMajor => value.ty.to_string(),
        Layout::ChannelsLast => format!("{} channels-last", value.ty),
    }
}

fn attributes(op: &Op) -> String {
    match op {
        Op::Conv2d(conv) => conv2d(conv),
        Op::Linear(e) => epilogue(e).join(" "),
        Op::MatMul { transpose_b } => if *transpose_b { "b^T" } else { "" }.to_owned(),
        Op::Attention(a) => {
            let causal = if a.causal { " causal" } else { "" };
            format!("heads={} scale={}{causal}", a.heads, a.scale)
        }
        Op::GroupNorm(n) => {
            let activation = n.activation.map(|a| format!(" {}", a.name())).unwrap_or_default();
            format!("groups={} eps={}{activation}", n.groups, n.eps)
        }
        Op::LayerNorm { eps } => format!("eps={eps}"),
        Op::Affine { scale, offset } => format!("scale={scale} offset={offset}"),
        Op::Clamp { min, max } => format!("{min}..={max}"),
        Op::Concat { axis } => format!("axis={axis}"),
        Op::Slice { axis, start, end } => format!("axis={axis} {start}..{end}"),
        Op::Transpose(order) => format!("{:?}", order.axes()),
        Op::UpsampleNearest { factor } => format!("x{factor}"),
        Op::TimestepEmbedding(e) => format!(
            "dim={} flip={} shift={} period={}",
            e.dim, e.flip_sin_to_cos, e.freq_shift, e.max_period
        ),
        Op::Softmax
        | Op::CausalMask
        | Op::Activation(_)
        | Op::Binary(_)
        | Op::Reshape { .. }
        | Op::Embedding
        | Op::SelectToken
        | Op::Cast { .. }
        | Op::Relayout { .. } => String::new(),
    }
}

fn conv2d(conv: &Conv2d) -> String {
    let pad = conv.padding;
    let mut parts = vec![format!("pad={},{},{},{}", pad.top, pad.left, pad.bottom, pad.right)];
    if conv.stride != [1, 1] {
        parts.push(format!("stride={},{}", conv.stride[0], conv.stride[1]));
    }
    if conv.groups != 1 {
        parts.push(format!("groups={}", conv.groups));
    }
    if conv.upsample != 1 {
        parts.push(format!("upsample={}", conv.upsample));
    }
    parts.extend(epilogue(&conv.epilogue));
    parts.join(" ")
}

fn epilogue(epilogue: &Epilogue) -> Vec<String> {
    let mut parts = Vec::new();
    let mut flag = |present: bool, text: &str| {
        if present {
            parts.push(text.to_owned());
        }
    };
    flag(epilogue.bias, "+bias");
    flag(epilogue.batch_bias, "+batch_bias");
    flag(epilogue.geglu, "geglu");
    flag(epilogue.pre.is_some(), epilogue.pre.map_or("", |a| a.name()));
    flag(epilogue.residual, "+residual");
    flag(epilogue.post.is_some(), epilogue.post.map_or("", |a| a.name()));
    parts
}
