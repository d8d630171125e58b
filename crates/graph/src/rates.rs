//! How often each value changes, and the split that follows from it: a prompt
//! program that runs when the prompt changes and a frame program that runs with
//! every frame.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::{Graph, Origin, Rate, Value};
use crate::patch::sweep;
use crate::{Op, PatchError, ValueId};

/// The rate of every value: of a computed one, the fastest of its inputs.
pub fn rates(graph: &Graph) -> Vec<Rate> {
    let fixed = |value: &Value| match value.origin {
        Origin::Input(rate) => rate,
        Origin::Constant(_) | Origin::Node(_) => Rate::Model,
    };
    let mut rates: Vec<Rate> = graph.values().iter().map(fixed).collect();
    for node in graph.nodes() {
        let fastest = node.inputs.iter().map(|id| rates[id.index()]).max();
        rates[node.output.index()] = fastest.unwrap_or(Rate::Model);
    }
    rates
}

/// A graph split by rate.
#[derive(Clone, Debug)]
pub struct Split {
    /// Everything that changes with the prompt alone. Its outputs carry the
    /// names of `frame`'s extra inputs.
    pub prompt: Graph,
    /// The rest: the frame inputs, then what the prompt program computed.
    pub frame: Graph,
}

/// Splits off what depends on prompt inputs but on no frame input.
///
/// What never changes stays where it is read: folding is another pass's work,
/// so run that first.
///
/// # Errors
/// If the graph is not well formed.
pub fn split(graph: &Graph) -> Result<Split, PatchError> {
    let rates = rates(graph);
    let crossing = crossing_values(graph, &rates);
    let names: HashMap<ValueId, _> =
        crossing.iter().map(|&id| (id, graph.value(id).name.clone())).collect();
    let names = make_unique(&crossing, names);

    let mut prompt = graph.clone();
    prompt.name = format!("{}.prompt", graph.name());
    prompt.inputs.retain(|id| rates[id.index()] == Rate::Prompt);
    prompt.outputs = crossing.iter().map(|id| (names[id].clone(), *id)).collect();

    let mut frame = graph.clone();
    frame.name = format!("{}.frame", graph.name());
    frame.inputs.retain(|id| rates[id.index()] == Rate::Frame);
    for &id in &crossing {
        let value = &mut frame.values[id.index()];
        value.origin = Origin::Input(Rate::Prompt);
        value.name = names[&id].clone();
        frame.inputs.push(id);
    }
    Ok(Split { prompt: sweep(&prompt)?, frame: sweep(&frame)? })
}

/// Values that change with the prompt and are read where frames are computed,
/// pushed back over operations that cost nothing: what the frame program takes
/// is the projected keys and values, not views of them.
fn crossing_values(graph: &Graph, rates: &[Rate]) -> Vec<ValueId> {
    let rate = |id: ValueId| rates[id.index()];
    let frame_nodes = graph.nodes().iter().filter(|node| rate(node.output) == Rate::Frame);
    let read = frame_nodes.flat_map(|node| &node.inputs).copied();
    let returned = graph.outputs().iter().map(|&(_, id)| id);
    let mut crossing = Vec::new();
    for id in read.chain(returned).filter(|&id| rate(id) == Rate::Prompt) {
        let id = behind_views(graph, id);
        if !crossing.contains(&id) {
            crossing.push(id);
        }
    }
    crossing
}

fn behind_views(graph: &Graph, mut id: ValueId) -> ValueId {
    while let Some(node) = graph.producer(id)
        && matches!(node.op, Op::Reshape { .. } | Op::Transpose(_))
    {
        id = node.inputs[0];
    }
    id
}

fn make_unique(
    crossing: &[ValueId],
    mut names: HashMap<ValueId, Arc<str>>,
) -> HashMap<ValueId, Arc<str>> {
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    for id in crossing {
        let name = names[id].clone();
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            names.insert(*id, format!("{name}#{count}").into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, TensorType};

    #[test]
    fn keys_and_values_are_computed_once_a_prompt() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 6, 8]));
        let text = b.input("text", Rate::Prompt, TensorType::f32([1, 3, 4]));
        let q = b.linear("q", x, 8, false).unwrap();
        let k = b.linear("k", text, 8, false).unwrap();
        let v = b.linear("v", text, 8, false).unwrap();
        let y = b.attention("attn", [q, k, v], 2, false).unwrap();
        let graph = b.finish(&[("y", y)]);

        let split = split(&graph).unwrap();
        let outputs: Vec<_> = split.prompt.outputs().iter().map(|(name, _)| &**name).collect();
        assert_eq!(outputs, ["k", "v"]);
        assert_eq!(split.prompt.nodes().len(), 2);
        let inputs: Vec<_> =
            split.frame.inputs().iter().map(|&id| &*split.frame.value(id).name).collect();
        assert_eq!(inputs, ["x", "k", "v"]);
        assert!(split.frame.nodes().iter().all(|node| &*node.name != "k"));
    }
}
