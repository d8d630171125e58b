//! The name of what a graph compiles to: a digest of all that its package follows
//! from, so that it is found without writing it again.

use laterna_graph::{Constant, Graph, Origin, Value, WeightError, WeightSource};
use laterna_tensor::TensorData;
use sha1::{Digest, Sha1};

use crate::emit::{self, REVISION};

/// A graph with its weights, however it is written.
pub(super) struct Key(Sha1);

impl Key {
    /// Reads every weight once.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn of(graph: &Graph, weights: &dyn WeightSource) -> Result<Self, WeightError> {
        let mut hash = Sha1::new();
        text(&mut hash, &format!("laterna-coreml {REVISION}"));
        for value in graph.values() {
            add_value(&mut hash, value, weights)?;
        }
        for node in graph.nodes() {
            // Names stay in: a package has them, and errors and summaries show them.
            text(&mut hash, &format!("{} {:?} {:?}", node.name, node.op, node.inputs));
            text(&mut hash, &format!("{:?}", node.output));
        }
        text(&mut hash, &format!("{:?} {:?}", graph.inputs(), graph.outputs()));
        Ok(Self(hash))
    }

    /// The name of a writing with these pictures, in hexadecimal digits.
    pub fn with(&self, options: &emit::Options, images: &[&str]) -> String {
        let mut hash = self.0.clone();
        text(&mut hash, &format!("{options:?} {images:?}"));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn add_value(
    hash: &mut Sha1,
    value: &Value,
    weights: &dyn WeightSource,
) -> Result<(), WeightError> {
    text(hash, &format!("{} {}", value.name, value.ty));
    match &value.origin {
        Origin::Input(rate) => text(hash, &format!("{rate:?}")),
        Origin::Node(node) => text(hash, &format!("{node:?}")),
        Origin::Constant(Constant::Data(tensor)) => data(hash, tensor.data()),
        Origin::Constant(Constant::Weight(name)) => {
            let raw = weights.read(name)?;
            text(hash, &format!("{name} {}{}", raw.dtype, raw.shape));
            bytes(hash, &raw.bytes);
            weights.release(name);
        }
    }
    Ok(())
}

/// Constants of a graph are fractions or indices.
fn data(hash: &mut Sha1, data: &TensorData) {
    match data {
        TensorData::F32(values) => {
            hash.update((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        TensorData::I64(values) => {
            hash.update((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        other => text(hash, &format!("{other:?}")),
    }
}

fn text(hash: &mut Sha1, text: &str) {
    bytes(hash, text.as_bytes());
}

/// With the length before them, so that no two sequences of texts look alike.
fn bytes(hash: &mut Sha1, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    use laterna_graph::{Builder, MemoryWeights, Rate, TensorType};
    use laterna_tensor::Tensor;

    use crate::emit::{Options, Target};

    fn key(name: &str, bias: bool, weight: f32, target: Target) -> String {
        of(name, bias, weight).with(&Options::new(target), &[])
    }

    fn of(name: &str, bias: bool, weight: f32) -> Key {
        let mut b = Builder::new("graph");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2]));
        let y = b.linear(name, x, 2, bias).unwrap();
        let graph = b.finish(&[("y", y)]);
        let mut weights = MemoryWeights::new();
        for (name, ty) in graph.weights() {
            let values = vec![weight; ty.shape.elements()];
            weights.insert(&**name, &Tensor::from_f32(ty.shape, values).unwrap());
        }
        Key::of(&graph, &weights).unwrap()
    }

    #[test]
    fn a_key_follows_from_all_that_is_written() {
        let first = key("a", true, 1.0, Target::MacOs14);
        assert_eq!(first.len(), 40);
        assert_eq!(key("a", true, 1.0, Target::MacOs14), first);
        assert_ne!(key("b", true, 1.0, Target::MacOs14), first);
        assert_ne!(key("a", false, 1.0, Target::MacOs14), first);
        assert_ne!(key("a", true, 2.0, Target::MacOs14), first);
        assert_ne!(key("a", true, 1.0, Target::MacOs15), first);
        let pictures = of("a", true, 1.0).with(&Options::new(Target::MacOs14), &["x"]);
        assert_ne!(pictures, first);
    }
}
