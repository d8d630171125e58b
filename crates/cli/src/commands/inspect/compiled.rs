//! What a backend makes of a network: the graph after each pass, where values
//! lie, which kernels run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use laterna_graph::passes::layout;
use laterna_graph::plan::{Needs, Place, Plan};
use laterna_graph::{CompileOptions, Graph, Node, Program, WeightSource, dump};

use crate::backends::BackendArgs;
use crate::console::{Console, print};
use crate::error::{Cause, During, Failure};
use crate::networks::Network;
use crate::table::{Align, gflop, mib, table};

/// Prints the graph after every pass, or before and after the one named.
///
/// # Errors
/// If it cannot be compiled, or there is no such pass.
pub fn passes(
    backend: &BackendArgs,
    network: &Network,
    weights: &dyn WeightSource,
    only: Option<&str>,
    console: &Console,
) -> Result<(), Failure> {
    let (_, stages) = compile(backend, network, weights, console)?;
    let Some(only) = only else {
        return stages.iter().try_for_each(|(name, graph)| print_stage("after", name, graph));
    };
    let pairs = || stages.windows(2).filter(|pair| pair[1].0 == only);
    if pairs().next().is_none() {
        let names: BTreeSet<_> = stages.iter().skip(1).map(|(name, _)| name.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        let why = format!("there is no such pass, only {}", names.join(", "));
        return Err(Failure::input(format_args!("cannot show the pass {only}"), why));
    }
    pairs().try_for_each(|pair| {
        print_stage("before", only, &pair[0].1)?;
        print_stage("after", only, &pair[1].1)
    })
}

fn print_stage(when: &str, name: &str, graph: &Graph) -> Result<(), Failure> {
    print(format_args!("# {when} {name}: {} nodes\n{}", graph.nodes().len(), dump(graph)))
}

/// Prints where every value lies. Scratch memory of kernels counts in the
/// arena but is no value.
///
/// # Errors
/// If it cannot be compiled.
pub fn plan(
    backend: &BackendArgs,
    network: &Network,
    weights: &dyn WeightSource,
    console: &Console,
) -> Result<(), Failure> {
    let (program, stages) = compile(backend, network, weights, console)?;
    let Some((_, graph)) = stages.last() else {
        return Err(Failure::input("cannot show the plan", "the backend runs no passes"));
    };
    let plan = Plan::new(graph, &Views).during("cannot plan the memory")?;
    let mut rows = Vec::new();
    for node in graph.nodes() {
        let ty = graph.ty(node.output);
        rows.push(vec![
            place(&plan.places[node.output.index()]),
            mib(ty.size_bytes() as u64),
            ty.to_string(),
            node.name.to_string(),
        ]);
    }
    let head = [
        ("offset", Align::Right),
        ("size", Align::Right),
        ("type", Align::Left),
        ("value", Align::Left),
    ];
    let summary = program.summary();
    let arena = mib(summary.arena_bytes as u64);
    let values = mib(plan.arena_bytes as u64);
    let floor = mib(plan.floor_bytes as u64);
    let packed = mib(summary.weight_bytes as u64);
    print(format_args!("{}\n", table(&head, &rows)))?;
    print(format_args!(
        "arena {arena} with kernels' scratch memory; values alone {values}, of which {floor} are \
         needed at one moment\npacked weights {packed}"
    ))
}

/// The views that every backend gets for free; kernels' scratch memory is the
/// backend's own secret.
struct Views;

impl Needs for Views {
    fn view_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
        layout::is_view(graph, node).then_some(0)
    }

    fn scratch_bytes(&self, _: &Graph, _: &Node) -> usize {
        0
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::Constant => "constant".to_owned(),
        Place::Input(index) => format!("input {index}"),
        Place::Output(index) => format!("output {index}"),
        Place::Arena(region) => region.offset.to_string(),
        Place::Nowhere => "unused".to_owned(),
    }
}

/// Prints the kernel of every node: of Core ML, which device each of its operations
/// gets.
///
/// # Errors
/// If it cannot be compiled.
pub fn kernels(
    backend: &BackendArgs,
    network: &Network,
    weights: &dyn WeightSource,
    console: &Console,
) -> Result<(), Failure> {
    let backend = BackendArgs { placement: true, ..backend.clone() };
    let (program, _) = compile(&backend, network, weights, console)?;
    let row = |node: &laterna_graph::NodeSummary| {
        let (kernel, shape) = (node.kernel.clone(), node.shape.to_string());
        vec![node.op.to_owned(), kernel, shape, gflop(node.flops), node.name.to_string()]
    };
    let rows: Vec<_> = program.summary().nodes.iter().map(row).collect();
    let head = [
        ("op", Align::Left),
        ("kernel", Align::Left),
        ("output", Align::Left),
        ("GFLOP", Align::Right),
        ("node", Align::Left),
    ];
    print(table(&head, &rows))
}

type Stages = Vec<(String, Graph)>;

fn compile(
    backend: &BackendArgs,
    network: &Network,
    weights: &dyn WeightSource,
    console: &Console,
) -> Result<(Arc<dyn Program>, Stages), Failure> {
    let stages = RefCell::new(Vec::new());
    let observer = |stage: &str, graph: &Graph| {
        stages.borrow_mut().push((stage.to_owned(), graph.clone()));
    };
    let options = CompileOptions { observer: Some(&observer), ..CompileOptions::default() };
    let program = backend
        .open(console)?
        .compile(&network.graph, weights, &options)
        .during(format_args!("cannot compile {}", network.name))?;
    Ok((program, stages.into_inner()))
}

impl Cause for laterna_graph::plan::PlanError {}
