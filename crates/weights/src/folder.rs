//! A diffusers folder: one folder a component, each with a config.json and
//! weights under one of a few names.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::error::WeightError;
use crate::files::{BuiltIn, Files};
use crate::keys::Keys;

/// Which of two files to take when a component comes in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The file without a variant in its name, usually f32.
    #[default]
    Full,
    /// The `fp16` variant: half the bytes to download and read.
    Half,
}

/// File names without variant and extension: diffusers' own models, then
/// those of transformers (the text encoders).
const STEMS: &[&str] = &["diffusion_pytorch_model", "model"];

/// The spellings of a component's weights, `{}` being the stem: one file, then
/// sharded. Variants of an index were spelled in two ways over time.
const FULL: &[&str] = &["{}.safetensors", "{}.safetensors.index.json"];
const HALF: &[&str] =
    &["{}.fp16.safetensors", "{}.safetensors.index.fp16.json", "{}.fp16.safetensors.index.json"];

impl Precision {
    /// The names under which a component's weights are looked for, the
    /// preferred ones first.
    pub fn file_names(self) -> Vec<String> {
        let (first, second) = match self {
            Self::Full => (FULL, HALF),
            Self::Half => (HALF, FULL),
        };
        let spellings = first.iter().chain(second);
        spellings.flat_map(|s| STEMS.iter().map(|stem| s.replace("{}", stem))).collect()
    }
}

/// A model in diffusers' layout: a root with one folder a component. A root
/// may hold a single component's folder, or be that component's folder itself
/// (as published autoencoders are). It is on the disk or part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    files: Files,
    root: PathBuf,
}

impl ModelFolder {
    /// A model on the disk at `root`.
    ///
    /// # Errors
    /// If that is not a folder that can be read.
    pub fn open(root: &Path) -> Result<Self, WeightError> {
        std::fs::read_dir(root)
            .map_err(|reason| WeightError::Io { file: root.to_owned(), reason })?;
        Ok(Self { files: Files::Disk, root: root.to_owned() })
    }

    /// A model compiled into the program.
    pub fn built_in(folder: &'static BuiltIn) -> Self {
        Self { files: Files::BuiltIn(folder), root: folder.root.into() }
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of model_index.json, if this is a whole pipeline.
    pub fn index(&self) -> Option<PathBuf> {
        Some(self.root.join("model_index.json")).filter(|path| self.is_file(path))
    }

    /// Whether there is a file; paths begin with the root.
    pub fn is_file(&self, path: &Path) -> bool {
        self.files.is_file(path)
    }

    /// The text of a file, whose path begins with the root.
    ///
    /// # Errors
    /// If it cannot be read, or is not UTF-8.
    pub fn read_text(&self, path: &Path) -> io::Result<Cow<'static, str>> {
        self.files.read_text(path)
    }

    /// Whether the model has the component.
    pub fn has(&self, component: &str) -> bool {
        self.component(component).is_ok()
    }

    /// The folder of a component: `unet`, `vae`, `text_encoder`, ...
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn component(&self, component: &str) -> Result<PathBuf, WeightError> {
        let folder = self.root.join(component);
        if self.files.is_folder(&folder) {
            return Ok(folder);
        }
        if self.index().is_none() && self.is_file(&self.root.join("config.json")) {
            return Ok(self.root.clone());
        }
        Err(WeightError::NoComponent { root: self.root.clone(), component: component.to_owned() })
    }

    /// Opens the weights of a component.
    ///
    /// # Errors
    /// If the component or its weights are missing or unsound.
    pub fn checkpoint(
        &self,
        component: &str,
        keys: Keys,
        precision: Precision,
    ) -> Result<Checkpoint, WeightError> {
        let folder = self.component(component)?;
        let names = precision.file_names();
        match names.iter().map(|name| folder.join(name)).find(|path| self.is_file(path)) {
            Some(path) => Checkpoint::open_in(self.files, &path, keys),
            None => Err(WeightError::NoWeights { folder, looked_for: names.join(", ") }),
        }
    }
}
