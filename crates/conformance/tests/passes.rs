//! Passes must not change what a graph computes: every case and random graphs,
//! by every pass alone and by all of them in order.

use laterna_conformance::{Case, cases, compare, random_case};
use laterna_graph::op::{Binary, Op};
use laterna_graph::passes::{self, Pass, layout};
use laterna_graph::{CompileOptions, Graph, Layout, Node, ValueId, dump, reference};
use laterna_tensor::Tensor;

/// Passes change the order of some f32 roundings (a scaled weight, a bias added
/// to another), never a sum.
const TOLERANCE: f32 = 5e-6;

const RANDOM_GRAPHS: u64 = 300;

fn all_cases() -> impl Iterator<Item = Case> {
    cases().into_iter().chain((0..RANDOM_GRAPHS).map(random_case))
}

fn outputs(case: &Case, graph: &Graph) -> Vec<Tensor> {
    reference::run(graph, &case.weights, &case.inputs).expect("the reference runs every case")
}

/// Applies passes and compares with what the case's own graph computes.
fn assert_unchanged(case: &Case, expected: &[Tensor], passes: &[Pass]) -> Graph {
    let graph = passes::run(&case.graph, passes, &case.weights, &CompileOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    for (expected, found) in expected.iter().zip(outputs(case, &graph)) {
        if let Err(difference) = compare(expected, &found, TOLERANCE) {
            let names: Vec<_> = passes.iter().map(|pass| pass.name).collect();
            let graphs = format!("{}\n{}", dump(&case.graph), dump(&graph));
            panic!("{} after {names:?}: {difference}\n{graphs}", case.name);
        }
    }
    graph
}

#[test]
fn each_pass_keeps_every_result() {
    for case in all_cases() {
        let expected = outputs(&case, &case.graph);
        for pass in passes::STANDARD.iter().chain(&[layout::CHANNELS_LAST]) {
            assert_unchanged(&case, &expected, &[*pass]);
        }
    }
}

/// A pass that the random graphs never give work would go untested.
#[test]
fn random_graphs_give_every_pass_work() {
    let graphs: Vec<_> = (0..RANDOM_GRAPHS).map(random_case).collect();
    for pass in passes::STANDARD.iter().chain(&[layout::CHANNELS_LAST]) {
        let edits = |case: &&Case| {
            (pass.patch)(&case.graph, &case.weights).is_ok_and(|patch| !patch.is_empty())
        };
        let edited = graphs.iter().filter(edits).count();
        assert!(edited >= 10, "{} edits {edited} graphs", pass.name);
    }
}

#[test]
fn all_passes_in_order_keep_every_result() {
    for case in all_cases() {
        let expected = outputs(&case, &case.graph);
        let mut all = passes::STANDARD.to_vec();
        all.push(layout::CHANNELS_LAST);
        let graph = assert_unchanged(&case, &expected, &all);
        assert_layouts(&graph);
        let patch = (layout::CHANNELS_LAST.patch)(&graph, &case.weights).unwrap();
        assert!(patch.is_empty(), "{}: layouts do not settle\n{}", case.name, dump(&graph));
    }
}

/// What a channels-last device relies on, said apart from the pass that does it.
fn assert_layouts(graph: &Graph) {
    let ports = graph.inputs().iter().chain(graph.outputs().iter().map(|(_, id)| id));
    for &id in ports {
        assert_eq!(graph.value(id).layout, Layout::RowMajor, "a port\n{}", dump(graph));
    }
    for node in graph.nodes() {
        let found: Vec<_> = pictures(graph, node).map(|id| graph.value(id).layout).collect();
        if let Some(expected) = expected_layout(graph, node) {
            let name = &node.name;
            assert!(found.iter().all(|&layout| layout == expected), "{name}\n{}", dump(graph));
        }
    }
}

/// The values of a node that have one layout: weights have none, constants of one
/// number a channel have both.
fn pictures<'g>(graph: &'g Graph, node: &'g Node) -> impl Iterator<Item = ValueId> + 'g {
    let is_weight = |position: usize| position == 1 && matches!(node.op, Op::Conv2d(_));
    let inputs = node.inputs.iter().enumerate().filter(move |(at, _)| !is_weight(*at));
    let all = inputs.map(|(_, &id)| id).chain([node.output]);
    let has_both = |id| graph.constant(id).is_some() && graph.shape(id)[2..] == [1, 1];
    all.filter(move |&id| graph.shape(id).rank() == 4 && !has_both(id))
}

/// The layout that all pictures of a node have, unless they may differ.
fn expected_layout(graph: &Graph, node: &Node) -> Option<Layout> {
    match node.op {
        Op::Conv2d(_) | Op::UpsampleNearest { .. } => Some(Layout::ChannelsLast),
        Op::GroupNorm(_) if graph.shape(node.output).rank() == 4 => Some(Layout::ChannelsLast),
        Op::Transpose(_) | Op::Relayout { .. } => None,
        Op::Activation(_)
        | Op::Affine { .. }
        | Op::Clamp { .. }
        | Op::Cast { .. }
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div) => {
            Some(graph.value(node.output).layout)
        }
        _ => Some(Layout::RowMajor),
    }
}
