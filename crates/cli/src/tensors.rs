//! Named tensors read from a safetensors file that the user gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use laterna_tensor::Tensor;
use laterna_weights::MappedFile;

use crate::error::{During, Failure};

/// The tensors of one file.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Reads the whole file; 16-bit and 8-bit floats become f32.
    ///
    /// # Errors
    /// If it is no sound safetensors file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let what = "cannot read the tensors";
        let file = MappedFile::open(path).during(what)?;
        let mut tensors = BTreeMap::new();
        for name in file.header().tensors().keys() {
            let raw = file.read(name).during(what)?;
            tensors.insert(name.clone(), Tensor::from_raw(&raw));
        }
        let read = Self { path: path.to_owned(), tensors };
        let empty = read.tensors.iter().find(|(_, tensor)| tensor.shape().elements() == 0);
        match empty {
            Some((name, _)) => Err(read.wrong(name, "has no elements")),
            None => Ok(read),
        }
    }

    /// The tensor's elements as f32, if there is a tensor of that name.
    ///
    /// # Errors
    /// If the elements are integers.
    pub fn find_f32(&self, name: &str) -> Result<Option<&Tensor>, Failure> {
        let found = self.tensors.get(name);
        match found.map(Tensor::as_f32) {
            Some(Err(error)) => Err(self.wrong(name, error)),
            _ => Ok(found),
        }
    }

    /// The tensor, of f32 elements.
    ///
    /// # Errors
    /// If there is none, or its elements are integers.
    pub fn f32(&self, name: &str) -> Result<&Tensor, Failure> {
        self.find_f32(name)?.ok_or_else(|| self.missing(name))
    }

    /// The tensor, of i64 elements.
    ///
    /// # Errors
    /// If there is none, or its elements have another type.
    pub fn i64(&self, name: &str) -> Result<&Tensor, Failure> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        tensor.as_i64().map_err(|error| self.wrong(name, error))?;
        Ok(tensor)
    }

    /// The tensor's values as numbers, whatever their type.
    ///
    /// # Errors
    /// If there is none.
    pub fn numbers(&self, name: &str) -> Result<Vec<f32>, Failure> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        match (tensor.as_f32(), tensor.as_i64()) {
            (Ok(values), _) => Ok(values.to_vec()),
            (_, Ok(values)) => Ok(values.iter().map(|&value| value as f32).collect()),
            (Err(error), _) => Err(self.wrong(name, error)),
        }
    }

    /// The names that are none of `known`.
    pub fn others<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().map(String::as_str).filter(|name| !known.contains(name))
    }

    /// The failure of a tensor that is there but not what it should be.
    pub fn wrong(&self, name: &str, why: impl std::fmt::Display) -> Failure {
        Failure::input(format_args!("{}: {name}", self.path.display()), why)
    }

    /// The failure of a tensor that is not there.
    pub fn missing(&self, name: &str) -> Failure {
        let names: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        self.wrong(name, "no such tensor").hint(format_args!("the file has {}", names.join(", ")))
    }
}
