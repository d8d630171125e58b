//! The weights of one or more components as the compiler reads them: a name
//! such as `unet.conv_in.weight` is the checkpoint `unet`'s `conv_in.weight`.

use laterna_graph::{TensorType, WeightError, WeightSource};
use laterna_tensor::RawTensor;
use laterna_weights::Checkpoint;

/// The checkpoints of some components, each under its prefix.
#[derive(Debug, Default)]
pub struct Weights {
    parts: Vec<(String, Checkpoint)>,
}

impl Weights {
    /// No components yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a component under a prefix, given without its dot; a component of
    /// the same prefix is replaced.
    pub fn insert(&mut self, prefix: impl Into<String>, checkpoint: Checkpoint) {
        let prefix = prefix.into();
        self.parts.retain(|(other, _)| *other != prefix);
        self.parts.push((prefix, checkpoint));
    }

    /// The components and their prefixes.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Checkpoint)> {
        self.parts.iter().map(|(prefix, checkpoint)| (prefix.as_str(), checkpoint))
    }

    /// A component, to merge a LoRA into.
    pub fn checkpoint_mut(&mut self, prefix: &str) -> Option<&mut Checkpoint> {
        self.parts.iter_mut().find(|(p, _)| p == prefix).map(|(_, checkpoint)| checkpoint)
    }

    fn find<'a>(&self, name: &'a str) -> Option<(&Checkpoint, &'a str)> {
        self.parts.iter().find_map(|(prefix, checkpoint)| {
            let rest = name.strip_prefix(prefix.as_str())?.strip_prefix('.')?;
            Some((checkpoint, rest))
        })
    }
}

impl WeightSource for Weights {
    fn info(&self, name: &str) -> Option<TensorType> {
        let (checkpoint, name) = self.find(name)?;
        let (dtype, shape) = checkpoint.info(name)?;
        Some(TensorType { dtype, shape })
    }

    fn read(&self, name: &str) -> Result<RawTensor<'_>, WeightError> {
        let (checkpoint, rest) = self.find(name).ok_or_else(|| WeightError::missing(name))?;
        checkpoint
            .read(rest)
            .map_err(|source| WeightError { name: name.to_owned(), source: source.into() })
    }

    fn release(&self, name: &str) {
        if let Some((checkpoint, rest)) = self.find(name) {
            checkpoint.release(rest);
        }
    }
}
