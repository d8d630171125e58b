//! The memory plan: where every value of a run lies, decided once.
//!
//! Constants and inputs are where they are, outputs are written where the caller
//! wants them, views share their source, and everything else gets a region of
//! one arena. Regions overlap only if their values are never needed at once.

mod arena;
mod lifetime;

use thiserror::Error;

use crate::graph::{Graph, Node, Origin, ValueId};

pub use arena::{ALIGNMENT, Region};
pub use lifetime::Lifetime;

/// Why a plan could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The arena would be larger than the address space.
    #[error("the activations need more memory than can be addressed")]
    TooLarge,
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// With the program's constants.
    Constant,
    /// In the caller's input of this index.
    Input(usize),
    /// In the caller's output of this index.
    Output(usize),
    /// In the instance's arena.
    Arena(Region),
    /// Nowhere: nobody reads it.
    Nowhere,
}

/// An output whose value lies elsewhere and must be copied at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalCopy {
    /// The value.
    pub value: ValueId,
    /// The output's index.
    pub output: usize,
}

/// What a backend says of its nodes.
pub trait Needs {
    /// The input whose memory the node's output shares, if the node only views it.
    fn view_of(&self, graph: &Graph, node: &Node) -> Option<usize>;

    /// Bytes of scratch memory that the node needs while it runs.
    fn scratch_bytes(&self, graph: &Graph, node: &Node) -> usize;

    /// The position of the later node whose kernel computes this one too and keeps its output to
    /// itself. That output has no place, and what this node reads is kept until then.
    fn part_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
        let _ = (graph, node);
        None
    }
}

/// Where every value and every node's scratch memory lies.
#[derive(Clone, Debug)]
pub struct Plan {
    /// By value.
    pub places: Vec<Place>,
    /// By value: the value whose memory it shares, itself unless it is a view.
    pub roots: Vec<ValueId>,
    /// By node; empty for a node that needs none.
    pub scratch: Vec<Region>,
    /// Outputs that no node can write in place.
    pub copies: Vec<FinalCopy>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// The most bytes that are needed at any one moment: no plan can be smaller.
    pub floor_bytes: usize,
}

impl Plan {
    /// Plans a graph whose nodes run in order.
    ///
    /// # Errors
    /// If the sizes overflow.
    pub fn new(graph: &Graph, needs: &dyn Needs) -> Result<Self, PlanError> {
        let roots = roots(graph, needs);
        let (mut places, copies) = fixed_places(graph, &roots);
        let lifetimes = lifetime::of_roots(graph, &roots, needs);
        let mut requests = Vec::new();
        for (index, lifetime) in lifetimes.iter().enumerate() {
            let id = ValueId(index as u32);
            if let (Some(lifetime), Place::Nowhere) = (lifetime, places[index]) {
                let bytes = graph.ty(id).size_bytes();
                requests.push(arena::Request { owner: index, bytes, lifetime: *lifetime });
            }
        }
        for (index, node) in graph.nodes().iter().enumerate() {
            let bytes = needs.scratch_bytes(graph, node);
            let lifetime = Lifetime { first: index, last: index };
            requests.push(arena::Request { owner: places.len() + index, bytes, lifetime });
        }
        let packed = arena::pack(&requests).ok_or(PlanError::TooLarge)?;
        let mut scratch = vec![Region::EMPTY; graph.nodes().len()];
        for (request, region) in requests.iter().zip(&packed.regions) {
            match request.owner.checked_sub(places.len()) {
                Some(node) => scratch[node] = *region,
                None => places[request.owner] = Place::Arena(*region),
            }
        }
        for (index, root) in roots.iter().enumerate() {
            places[index] = places[root.index()];
        }
        let (arena_bytes, floor_bytes) = (packed.bytes, arena::floor(&requests));
        Ok(Self { places, roots, scratch, copies, arena_bytes, floor_bytes })
    }
}

/// For each value, the value whose memory it shares: itself unless it is a view.
fn roots(graph: &Graph, needs: &dyn Needs) -> Vec<ValueId> {
    let mut roots: Vec<_> = (0..graph.values().len() as u32).map(ValueId).collect();
    for node in graph.nodes() {
        if let Some(input) = needs.view_of(graph, node) {
            roots[node.output.index()] = roots[node.inputs[input].index()];
        }
    }
    roots
}

/// Places that the arena does not decide. The first output of a computed value
/// is written in place; another output of the same value is copied.
fn fixed_places(graph: &Graph, roots: &[ValueId]) -> (Vec<Place>, Vec<FinalCopy>) {
    let mut places = vec![Place::Nowhere; graph.values().len()];
    for (index, value) in graph.values().iter().enumerate() {
        if let Origin::Constant(_) = value.origin {
            places[index] = Place::Constant;
        }
    }
    for (index, id) in graph.inputs().iter().enumerate() {
        places[id.index()] = Place::Input(index);
    }
    let mut copies = Vec::new();
    for (output, &(_, value)) in graph.outputs().iter().enumerate() {
        let place = &mut places[roots[value.index()].index()];
        match place {
            Place::Nowhere => *place = Place::Output(output),
            _ => copies.push(FinalCopy { value, output }),
        }
    }
    (places, copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Activation;
    use crate::{Builder, Op, Rate, TensorType};

    /// Reshapes are views; every node wants 100 bytes of scratch memory.
    struct TestNeeds;

    impl Needs for TestNeeds {
        fn view_of(&self, _: &Graph, node: &Node) -> Option<usize> {
            matches!(node.op, Op::Reshape { .. }).then_some(0)
        }

        fn scratch_bytes(&self, _: &Graph, _: &Node) -> usize {
            100
        }
    }

    fn overlap(a: &Region, b: &Region) -> bool {
        a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
    }

    /// x -> a -> b -> c with a reshape between and a long skip from a to the end.
    fn chain() -> Graph {
        let mut b = Builder::new("chain");
        let x = b.input("x", Rate::Frame, TensorType::f32([4, 100]));
        let first = b.activation("first", x, Activation::Relu).unwrap();
        let mut y = b.reshape("view", first, [100, 4]).unwrap();
        for i in 0..5 {
            y = b.activation(&format!("mid{i}"), y, Activation::Tanh).unwrap();
        }
        let skip = b.reshape("skip", first, [100, 4]).unwrap();
        let sum = b.add("sum", y, skip).unwrap();
        let twice = b.reshape("twice", sum, [400]).unwrap();
        b.finish(&[("sum", sum), ("same", twice), ("x", x)])
    }

    #[test]
    fn values_needed_at_once_never_overlap() {
        let graph = chain();
        let plan = Plan::new(&graph, &TestNeeds).unwrap();
        let roots = roots(&graph, &TestNeeds);
        let lifetimes = lifetime::of_roots(&graph, &roots, &TestNeeds);
        let mut live: Vec<(Lifetime, Region)> = Vec::new();
        for (index, lifetime) in lifetimes.iter().enumerate() {
            if let (Some(lifetime), Place::Arena(region)) = (lifetime, plan.places[index]) {
                live.push((*lifetime, region));
            }
        }
        for (index, &region) in plan.scratch.iter().enumerate() {
            live.push((Lifetime { first: index, last: index }, region));
        }
        for (i, (life_a, a)) in live.iter().enumerate() {
            for (life_b, b) in &live[i + 1..] {
                assert!(!(life_a.meets(life_b) && overlap(a, b)), "{a:?} and {b:?}");
            }
        }
        assert!(plan.arena_bytes >= plan.floor_bytes);
        assert!(plan.arena_bytes < 7 * 1600, "buffers are reused");
    }

    #[test]
    fn outputs_are_written_in_place_or_copied() {
        let graph = chain();
        let plan = Plan::new(&graph, &TestNeeds).unwrap();
        assert_eq!(plan.places[graph.outputs()[0].1.index()], Place::Output(0));
        let copied: Vec<_> = plan.copies.iter().map(|copy| copy.output).collect();
        assert_eq!(copied, [1, 2], "a second name of one value, and an input");
    }

    #[test]
    fn views_share_their_source() {
        let graph = chain();
        let plan = Plan::new(&graph, &TestNeeds).unwrap();
        let place = |name: &str| {
            let node = graph.nodes().iter().find(|node| &*node.name == name).unwrap();
            plan.places[node.output.index()]
        };
        assert_eq!(place("first"), place("view"));
        assert_eq!(place("first"), place("skip"));
    }

    /// Node 1 is computed with node 2, and the rest as in [`TestNeeds`].
    struct Joined;

    impl Needs for Joined {
        fn view_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
            TestNeeds.view_of(graph, node)
        }

        fn scratch_bytes(&self, graph: &Graph, node: &Node) -> usize {
            TestNeeds.scratch_bytes(graph, node)
        }

        fn part_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
            (node.output == graph.nodes()[1].output).then_some(2)
        }
    }

    #[test]
    fn what_is_computed_later_keeps_its_inputs_and_has_no_place() {
        let mut b = Builder::new("joined");
        let x = b.input("x", Rate::Frame, TensorType::f32([4, 100]));
        let mut y = x;
        for name in ["first", "inside", "last"] {
            y = b.activation(name, y, Activation::Relu).unwrap();
        }
        let done = b.activation("done", y, Activation::Tanh).unwrap();
        let graph = b.finish(&[("done", done)]);
        let place = |plan: &Plan, index: usize| plan.places[graph.nodes()[index].output.index()];
        let plan = Plan::new(&graph, &Joined).unwrap();
        assert_eq!(place(&plan, 1), Place::Nowhere);
        let (Place::Arena(first), Place::Arena(last)) = (place(&plan, 0), place(&plan, 2)) else {
            panic!("both lie in the arena");
        };
        assert!(!overlap(&first, &last), "one is read while the other is written");
    }
}
