//! Constant folding: what depends on constants alone is computed now, among it
//! a fixed timestep's embedding through its linear layers.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_tensor::Tensor;

use super::{Pass, PassError};
use crate::graph::{Constant, Graph, Node, Origin, Rate};
use crate::rates::rates;
use crate::reference::evaluate;
use crate::{Op, Patch, ValueId, WeightError, WeightSource};

/// The pass.
pub const FOLD: Pass = Pass { name: "fold", patch };

/// How much larger than its inputs a folded result may be: enough for anything
/// made of numbers, too little for a picture made of one.
const GROWTH_BYTES: usize = 1 << 20;

fn patch<'g>(graph: &'g Graph, weights: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let foldable = foldable(graph);
    let frontier = frontier(graph, &foldable);
    let mut values = Constants { graph, weights, computed: HashMap::new() };
    for node in needed(graph, &frontier) {
        values.compute(node)?;
    }
    let mut patch = Patch::new(graph);
    for id in frontier {
        let new = patch.constant(&graph.value(id).name, (*values.get(id)?).clone());
        patch.replace(id, new).map_err(|source| PassError::Patch { pass: FOLD.name, source })?;
    }
    Ok(patch)
}

/// For each value, whether it is a constant or computed from such without growing.
fn foldable(graph: &Graph) -> Vec<bool> {
    let rates = rates(graph);
    let fixed = |id: ValueId| rates[id.index()] == Rate::Model;
    let mut foldable: Vec<bool> =
        graph.values().iter().map(|value| matches!(value.origin, Origin::Constant(_))).collect();
    for node in graph.nodes().iter().filter(|node| fixed(node.output)) {
        let known = node.inputs.iter().all(|id| foldable[id.index()]);
        // A layout is the device's, not the value's.
        let of_value = !matches!(node.op, Op::Relayout { .. });
        foldable[node.output.index()] = known && of_value && stays_small(graph, node);
    }
    foldable
}

fn stays_small(graph: &Graph, node: &Node) -> bool {
    let inputs: usize = node.inputs.iter().map(|&id| graph.ty(id).size_bytes()).sum();
    graph.ty(node.output).size_bytes() <= inputs + GROWTH_BYTES
}

/// The computed values that can be folded and are read where folding ends.
fn frontier(graph: &Graph, foldable: &[bool]) -> Vec<ValueId> {
    let mut read = vec![false; graph.values().len()];
    for node in graph.nodes().iter().filter(|node| !foldable[node.output.index()]) {
        node.inputs.iter().for_each(|id| read[id.index()] = true);
    }
    graph.outputs().iter().for_each(|(_, id)| read[id.index()] = true);
    let computed = graph.nodes().iter().map(|node| node.output);
    computed.filter(|id| foldable[id.index()] && read[id.index()]).collect()
}

/// The nodes behind these values, in order.
fn needed<'g>(graph: &'g Graph, ids: &[ValueId]) -> Vec<&'g Node> {
    let mut wanted = vec![false; graph.values().len()];
    ids.iter().for_each(|id| wanted[id.index()] = true);
    let mut nodes = Vec::new();
    for node in graph.nodes().iter().rev() {
        if wanted[node.output.index()] {
            node.inputs.iter().for_each(|id| wanted[id.index()] = true);
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// The values of constants and of what is computed from them. A weight is read
/// where it is used and not kept.
struct Constants<'a> {
    graph: &'a Graph,
    weights: &'a dyn WeightSource,
    computed: HashMap<ValueId, Arc<Tensor>>,
}

impl Constants<'_> {
    fn compute(&mut self, node: &Node) -> Result<(), PassError> {
        let inputs: Vec<_> =
            node.inputs.iter().map(|&id| self.get(id)).collect::<Result<_, _>>()?;
        let operands: Vec<_> = inputs.iter().map(|tensor| &**tensor).collect();
        let result = evaluate(&node.op, &operands, self.graph.ty(node.output))
            .map_err(|problem| problem.at(&node.name))?;
        self.computed.insert(node.output, Arc::new(result));
        Ok(())
    }

    fn get(&self, id: ValueId) -> Result<Arc<Tensor>, PassError> {
        match self.graph.constant(id) {
            Some(Constant::Data(tensor)) => Ok(tensor.clone()),
            Some(Constant::Weight(name)) => self.weight(id, name).map(Arc::new),
            None => Ok(self.computed[&id].clone()),
        }
    }

    /// A checkpoint is foreign: its tensors need not have the graph's shapes.
    fn weight(&self, id: ValueId, name: &str) -> Result<Tensor, PassError> {
        let raw = self.weights.read(name)?;
        let expected = self.graph.ty(id);
        let tensor = Tensor::from_raw(&raw);
        if tensor.shape() == expected.shape && tensor.dtype() == expected.dtype {
            return Ok(tensor);
        }
        let found = format!("is {}{}, the graph needs {expected}", raw.dtype, raw.shape);
        Err(WeightError { name: name.to_owned(), source: found.into() }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, TimestepEmbedding};
    use crate::passes::testing::{assert_untouched, numbers, rewritten};
    use crate::{Builder, MemoryWeights, TensorType};

    fn timestep(b: &mut Builder) -> ValueId {
        let t = b.constant("timestep", Tensor::from_f32([1], vec![999.0]).unwrap());
        let embedding = TimestepEmbedding {
            dim: 8,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            max_period: 10_000.0,
        };
        let t = b.timestep_embedding("sines", t, embedding).unwrap();
        b.linear("time", t, 6, true).unwrap()
    }

    #[test]
    fn a_fixed_timestep_is_folded_through_its_layers() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 4]));
        let t = timestep(&mut b);
        let t = b.activation("silu", t, Activation::Silu).unwrap();
        let bias = b.linear("block", t, 4, true).unwrap();
        let y = b.add("add", x, bias).unwrap();
        // The same operations, only earlier.
        let (after, text) = rewritten(&b.finish(&[("y", y), ("t", t)]), &[FOLD], 0.0);
        insta::assert_snapshot!(text);
        assert_untouched(&after, FOLD);
    }

    #[test]
    fn what_would_grow_stays() {
        let mut b = Builder::new("test");
        let c = b.constant("c", numbers(TensorType::f32([1, 1, 64, 64]), 1));
        let small = b.upsample_nearest("small", c, 8).unwrap();
        let large = b.upsample_nearest("large", c, 9).unwrap();
        let graph = b.finish(&[("small", small), ("large", large)]);
        let (after, _) = rewritten(&graph, &[FOLD], 0.0);
        let names: Vec<_> = after.nodes().iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["large"]);
        assert_untouched(&after, FOLD);
    }

    #[test]
    fn inputs_of_any_rate_stay() {
        for rate in [Rate::Prompt, Rate::Frame] {
            let mut b = Builder::new("test");
            let x = b.input("x", rate, TensorType::f32([2, 4]));
            let y = b.linear("y", x, 4, true).unwrap();
            assert_untouched(&b.finish(&[("y", y)]), FOLD);
        }
    }

    #[test]
    fn a_weight_of_another_shape_is_named() {
        let mut b = Builder::new("test");
        let y = timestep(&mut b);
        let graph = b.finish(&[("y", y)]);
        let mut weights = MemoryWeights::new();
        weights.insert("time.weight", &Tensor::zeros([6, 7]));
        let error = patch(&graph, &weights).unwrap_err().to_string();
        assert_eq!(error, "weight time.weight: is f32[6, 7], the graph needs f32[6, 8]");
    }
}
