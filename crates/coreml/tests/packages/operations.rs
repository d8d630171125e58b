//! Every operation of the graph, and random graphs of them.

use laterna_conformance::{Case, cases, random_case};
use laterna_coreml::emit::{Attention, GroupNorm, Options, Target};

use crate::checker::{Checker, TOLERANCE, differences};
use crate::formats;

/// Every way to write a graph.
pub fn forms() -> [Options; 4] {
    let [old, new] = [Options::new(Target::MacOs14), Options::new(Target::MacOs15)];
    [
        old,
        new,
        Options { group_norm: GroupNorm::Steps, ..old },
        Options { attention: Attention::SplitEinsum, group_norm: GroupNorm::Steps, ..new },
    ]
}

/// Each format comes up about thirty times.
const RANDOM_GRAPHS: u64 = 500;

/// Core ML's own limit.
const MAX_RANK: usize = 5;

fn check(checker: &mut Checker, case: &Case, options: &Options) -> Result<(), String> {
    if case.graph.nodes().iter().any(|node| case.graph.shape(node.output).rank() > MAX_RANK) {
        let refused = checker.execute(&case.graph, &case.weights, &case.inputs, options);
        let why = refused.expect_err("Core ML takes no such tensor");
        return why.contains("more than 5 dimensions").then_some(()).ok_or(why);
    }
    let expected = formats::expected(&case.graph, &case.weights, options, &case.inputs);
    let found = checker.execute(&case.graph, &case.weights, &case.inputs, options)?;
    differences(&case.graph, &expected, &found, TOLERANCE)
}

fn check_all(all: impl Iterator<Item = (Case, Options)>) {
    let Some(mut checker) = Checker::find() else { return };
    let failed = all.filter_map(|(case, options)| {
        let problem = check(&mut checker, &case, &options).err()?;
        Some(format!("{} ({options:?}):\n{problem}", case.name))
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
}

/// Each case in one of the forms, by turns; what has forms of its own in each.
#[test]
fn every_operation_has_a_form() {
    let all = cases().into_iter().enumerate().map(|(i, case)| (case, forms()[i % 4]));
    check_all(all);
}

/// Each in another format, on one system or the other, with forms by turns; every
/// layer in its format.
#[test]
fn random_graphs_are_legal_packages() {
    let formats = formats::all();
    let written = |seed: u64| {
        let turn = seed as usize / formats.len();
        let writings = formats::writings(formats[seed as usize % formats.len()], turn, 0);
        writings[turn % writings.len()]
    };
    check_all((0..RANDOM_GRAPHS).map(|seed| (random_case(seed), written(seed))));
}
