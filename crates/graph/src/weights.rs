//! Where a compiler finds the numbers behind a graph's weights.

use std::collections::BTreeMap;
use std::error::Error;

use laterna_tensor::{RawTensor, Tensor, TensorData};
use thiserror::Error;

use crate::TensorType;

/// Why a weight could not be read.
#[derive(Debug, Error)]
#[error("weight {name}: {source}")]
pub struct WeightError {
    /// The weight asked for.
    pub name: String,
    /// What the source said.
    pub source: Box<dyn Error + Send + Sync>,
}

impl WeightError {
    /// The source has no weight of that name.
    pub fn missing(name: &str) -> Self {
        Self { name: name.to_owned(), source: "not in the checkpoint".into() }
    }
}

/// A checkpoint as the compiler sees it: tensors by name.
pub trait WeightSource: Send + Sync {
    /// Stored element type and extents, or `None` if there is no such weight.
    fn info(&self, name: &str) -> Option<TensorType>;

    /// The stored bytes.
    ///
    /// # Errors
    /// If there is no such weight or its file cannot be read.
    fn read(&self, name: &str) -> Result<RawTensor<'_>, WeightError>;

    /// Says that the bytes will not be read again soon, so that a mapped file's
    /// pages need not stay in memory.
    fn release(&self, _name: &str) {}
}

/// Weights held in memory: for tests and for weights made by a program.
#[derive(Debug, Default)]
pub struct MemoryWeights {
    tensors: BTreeMap<String, RawTensor<'static>>,
}

impl MemoryWeights {
    /// No weights yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stored tensor.
    pub fn insert_raw(&mut self, name: impl Into<String>, tensor: RawTensor<'static>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Adds an f32 tensor.
    ///
    /// # Panics
    /// If the tensor has other elements.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) {
        let TensorData::F32(data) = tensor.data() else {
            panic!("weights in memory are f32, not {}", tensor.dtype());
        };
        let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawTensor::new(tensor.dtype(), tensor.shape(), bytes);
        self.insert_raw(name, raw.expect("a tensor's data fits its shape"));
    }
}

impl WeightSource for MemoryWeights {
    fn info(&self, name: &str) -> Option<TensorType> {
        let raw = self.tensors.get(name)?;
        Some(TensorType { dtype: raw.dtype, shape: raw.shape })
    }

    fn read(&self, name: &str) -> Result<RawTensor<'_>, WeightError> {
        let raw = self.tensors.get(name).ok_or_else(|| WeightError::missing(name))?;
        Ok(RawTensor { dtype: raw.dtype, shape: raw.shape, bytes: (&*raw.bytes).into() })
    }
}
