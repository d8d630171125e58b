//! A checkpoint: the weights of one network by name, whatever files they lie
//! in and however their age spells them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use laterna_tensor::{DType, RawTensor, Shape};

use crate::error::WeightError;
use crate::files::Files;
use crate::finite::has_non_finite;
use crate::header::Unsupported;
use crate::keys::Keys;
use crate::lora::{Patch, read_patched};
use crate::mapped::MappedFile;
use crate::shards::ShardIndex;

/// The weights of one network.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file or index that was opened, for messages.
    path: PathBuf,
    files: Vec<MappedFile>,
    weights: BTreeMap<String, Place>,
    /// Changes to weights, in the order in which they were merged.
    patches: BTreeMap<String, Vec<Patch>>,
}

/// Where a weight is, and in what form it is read.
#[derive(Debug)]
struct Place {
    file: usize,
    stored: String,
    form: Result<(DType, Shape), Unsupported>,
}

impl Checkpoint {
    /// Opens a safetensors file, or a sharded checkpoint by its
    /// `*.index.json`. Nothing but headers is read.
    ///
    /// # Errors
    /// If a file is missing or unsound, or two tensors are the same weight.
    pub fn open(path: &Path, keys: Keys) -> Result<Self, WeightError> {
        Self::open_in(Files::Disk, path, keys)
    }

    /// [`Checkpoint::open`], wherever the files are.
    pub(crate) fn open_in(files: Files, path: &Path, keys: Keys) -> Result<Self, WeightError> {
        let mut checkpoint = Self {
            path: path.to_owned(),
            files: Vec::new(),
            weights: BTreeMap::new(),
            patches: BTreeMap::new(),
        };
        if path.extension().is_some_and(|e| e == "json") {
            checkpoint.add_shards(files, keys)?;
        } else {
            checkpoint.add_file(files.map(path)?, keys, |_| true)?;
        }
        Ok(checkpoint)
    }

    /// What was opened: a safetensors file or an index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights' names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.weights.keys().map(String::as_str)
    }

    /// The weight's element type and shape; `None` if there is no such weight
    /// or it cannot be read ([`Checkpoint::read`] says which).
    pub fn info(&self, name: &str) -> Option<(DType, Shape)> {
        let (dtype, shape) = self.weights.get(name)?.form.clone().ok()?;
        Some((if self.patches.contains_key(name) { DType::F32 } else { dtype }, shape))
    }

    /// The weight: borrowed from the mapped file, or computed if a LoRA was
    /// merged into it.
    ///
    /// # Errors
    /// If there is no such weight, or its element type or rank is unsupported.
    pub fn read(&self, name: &str) -> Result<RawTensor<'_>, WeightError> {
        let stored = self.read_stored(name)?;
        match self.patches.get(name) {
            Some(patches) => read_patched(&stored, patches),
            None => Ok(stored),
        }
    }

    /// The weight as the file has it.
    pub(crate) fn read_stored(&self, name: &str) -> Result<RawTensor<'_>, WeightError> {
        let place = self.weights.get(name).ok_or_else(|| self.missing(name))?;
        let mut raw = self.files[place.file].read(&place.stored)?;
        if let Ok((_, shape)) = place.form {
            raw.shape = shape;
        }
        Ok(raw)
    }

    /// Drops the weight's pages from this process's memory: to be called when
    /// it has been packed, so that a load needs little more than one copy.
    pub fn release(&self, name: &str) {
        if let Some(place) = self.weights.get(name) {
            self.files[place.file].release(&place.stored);
        }
    }

    /// The name of the first weight that holds a NaN or an infinity. Reads
    /// every byte, and releases what it read.
    pub fn first_non_finite(&self) -> Option<&str> {
        self.names().find(|name| {
            let found = self.read(name).is_ok_and(|raw| has_non_finite(&raw));
            self.release(name);
            found
        })
    }

    /// Adds a change to a weight, to be made whenever it is read.
    pub(crate) fn patch(&mut self, name: String, patch: Patch) {
        self.patches.entry(name).or_default().push(patch);
    }

    fn missing(&self, name: &str) -> WeightError {
        WeightError::Missing { file: self.path.clone(), tensor: name.to_owned() }
    }

    fn add_shards(&mut self, files: Files, keys: Keys) -> Result<(), WeightError> {
        let path = self.path.clone();
        let json =
            files.read(&path).map_err(|reason| WeightError::Io { file: path.clone(), reason })?;
        let index = ShardIndex::parse(&json)
            .map_err(|reason| WeightError::Index { file: path.clone(), reason })?;
        for shard in index.shards() {
            let file = files.map(&path.with_file_name(shard))?;
            let listed = |tensor: &str| index.weight_map().get(tensor).is_some_and(|s| s == shard);
            self.add_file(file, keys, listed)?;
        }
        self.check_complete(&index)
    }

    /// Every tensor of the index must have been found in its shard.
    fn check_complete(&self, index: &ShardIndex) -> Result<(), WeightError> {
        let missing = index.weight_map().iter().find(|(tensor, shard)| {
            let file = self.files.iter().find(|f| f.path().ends_with(shard));
            file.is_none_or(|f| !f.header().tensors().contains_key(*tensor))
        });
        missing.map_or(Ok(()), |(tensor, shard)| {
            Err(WeightError::Missing {
                file: self.path.with_file_name(shard),
                tensor: tensor.clone(),
            })
        })
    }

    fn add_file(
        &mut self,
        file: MappedFile,
        keys: Keys,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), WeightError> {
        let index = self.files.len();
        for (stored, entry) in file.header().tensors().iter().filter(|(name, _)| wanted(name)) {
            let Some(name) = keys.canonical(stored) else { continue };
            let form = entry.form.clone().map(|(dtype, s)| (dtype, keys.shape(&name, s)));
            let place = Place { file: index, stored: stored.clone(), form };
            if let Some(other) = self.weights.insert(name, place) {
                return Err(WeightError::Collision {
                    file: file.path().to_owned(),
                    tensor: stored.clone(),
                    other: other.stored,
                });
            }
        }
        self.files.push(file);
        Ok(())
    }
}
