//! Random numbers that are the same everywhere, and tensors made of them.

use laterna_graph::{Constant, Graph, MemoryWeights, Op, Origin, TensorType, ValueId};
use laterna_tensor::{DType, Shape, Tensor};

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
/// generators").
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `0..end`; `end` must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One of a non-empty list.
    pub fn choose<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Uniform in `-1..1`.
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn uniform_tensor(&mut self, shape: Shape, scale: f32, offset: f32) -> Tensor {
        let data = (0..shape.elements()).map(|_| self.uniform() * scale + offset).collect();
        Tensor::from_f32(shape, data).expect("as many elements as the shape")
    }

    /// Numbers for every weight: matrices and kernels that keep unit variance,
    /// factors of a normalisation around 1.
    pub fn weights(&mut self, graph: &Graph) -> MemoryWeights {
        let mut weights = MemoryWeights::new();
        for value in graph.values() {
            let Origin::Constant(Constant::Weight(name)) = &value.origin else { continue };
            let shape = value.ty.shape;
            let tensor = match *shape {
                [_] if name.ends_with(".weight") => self.uniform_tensor(shape, 0.5, 1.0),
                [_] => self.uniform_tensor(shape, 0.5, 0.0),
                _ => self.uniform_tensor(shape, unit_variance(&shape), 0.0),
            };
            weights.insert(&**name, &tensor);
        }
        weights
    }

    /// Numbers for every input: unit variance, or indices that exist.
    pub fn inputs(&mut self, graph: &Graph) -> Vec<Tensor> {
        graph.inputs().iter().map(|&id| self.input(graph, id)).collect()
    }

    fn input(&mut self, graph: &Graph, id: ValueId) -> Tensor {
        let TensorType { dtype, shape } = graph.ty(id);
        if dtype != DType::I64 {
            return self.uniform_tensor(shape, 3f32.sqrt(), 0.0);
        }
        let end = index_end(graph, id);
        let data = (0..shape.elements()).map(|_| self.below(end) as i64).collect();
        Tensor::from_i64(shape, data).expect("as many elements as the shape")
    }
}

/// The half-width of a uniform distribution that makes sums over a weight's
/// inputs have the variance of its input.
fn unit_variance(weight: &Shape) -> f32 {
    let fan_in: usize = weight[1..].iter().product();
    (3.0 / fan_in.max(1) as f32).sqrt()
}

/// One past the largest index that every reader of an i64 input can look up.
fn index_end(graph: &Graph, id: ValueId) -> usize {
    let readers = graph.nodes().iter().filter(|node| node.inputs.contains(&id));
    let ends = readers.filter_map(|node| match node.op {
        Op::Embedding => Some(graph.shape(node.inputs[1])[0]),
        Op::SelectToken => Some(graph.shape(node.inputs[0])[1]),
        _ => None,
    });
    ends.min().unwrap_or(1000)
}
