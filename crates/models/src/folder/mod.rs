//! A model's folder in diffusers' layout: configurations, weights, tokenizers.

mod check;
mod index;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use laterna_weights::{Keys, ModelFolder, Precision, WeightError};
use serde_json::Value;
use thiserror::Error;

pub use check::{CheckError, check_weights, non_finite_weights};
pub use index::{ModelIndex, PipelineKind};

use crate::clip::{ClipTextConfig, ClipTokenizer, TokenizerError, TokenizerFiles};
use crate::config::{ConfigError, Fields};
use crate::source::Weights;
use crate::vae::VaeConfig;
use crate::{AutoencoderKlConfig, AutoencoderTinyConfig, UnetConfig};

/// Why something could not be read from a model's folder.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A component or its weights are missing or unsound.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read.
    #[error("{}: {reason}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// A tokenizer's files were refused.
    #[error("{}: {reason}", folder.display())]
    Tokenizer {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: TokenizerError,
    },
    /// A component is of a class that is not understood.
    #[error("{}: class {class:?} is not supported, only {supported}", folder.display())]
    Class {
        /// The component's folder.
        folder: PathBuf,
        /// Its class; empty if no file says it.
        class: String,
        /// The classes that are understood.
        supported: &'static str,
    },
}

/// A text encoder of one of two classes.
#[derive(Clone, Debug, PartialEq)]
pub struct TextEncoder {
    /// Its configuration.
    pub config: ClipTextConfig,
    /// Whether it is a CLIPTextModelWithProjection.
    pub projection: bool,
}

/// A model in diffusers' layout: a root with a folder for each component.
#[derive(Clone, Debug)]
pub struct Model {
    folder: ModelFolder,
    index: Option<ModelIndex>,
    precision: Precision,
}

impl Model {
    /// Opens a model: a whole pipeline, a root with some of its components, or
    /// a single component's folder.
    ///
    /// # Errors
    /// If the folder cannot be read, or its model_index.json is refused.
    pub fn open(root: &Path, precision: Precision) -> Result<Self, FolderError> {
        Self::of(ModelFolder::open(root)?, precision)
    }

    /// The model in a folder, wherever that is.
    ///
    /// # Errors
    /// If its model_index.json is refused.
    pub fn of(folder: ModelFolder, precision: Precision) -> Result<Self, FolderError> {
        let parse = |path: PathBuf| -> Result<ModelIndex, FolderError> {
            Ok(ModelIndex::parse(&path.display().to_string(), &read(&folder, &path)?)?)
        };
        let index = folder.index().map(parse).transpose()?;
        Ok(Self { folder, index, precision })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// model_index.json, if this is a whole pipeline.
    pub fn index(&self) -> Option<&ModelIndex> {
        self.index.as_ref()
    }

    /// Whether the model has a component: its folder, and no null for it in
    /// model_index.json.
    pub fn has(&self, component: &str) -> bool {
        let listed = |index: &ModelIndex| index.classes.contains_key(component);
        self.index.as_ref().is_none_or(listed) && self.folder.has(component)
    }

    /// The configuration of `unet`.
    ///
    /// # Errors
    /// If there is none, or it is refused.
    pub fn unet(&self) -> Result<UnetConfig, FolderError> {
        let (file, json) = self.config("unet")?;
        match self.class("unet", &file, &json)?.as_str() {
            "UNet2DConditionModel" => Ok(UnetConfig::parse(&file, &json)?),
            class => self.unknown("unet", class, "UNet2DConditionModel"),
        }
    }

    /// The configuration of `vae`.
    ///
    /// # Errors
    /// If there is none, or it is refused.
    pub fn vae(&self) -> Result<VaeConfig, FolderError> {
        let (file, json) = self.config("vae")?;
        match self.class("vae", &file, &json)?.as_str() {
            "AutoencoderTiny" => Ok(VaeConfig::Tiny(AutoencoderTinyConfig::parse(&file, &json)?)),
            "AutoencoderKL" => Ok(VaeConfig::Kl(AutoencoderKlConfig::parse(&file, &json)?)),
            class => self.unknown("vae", class, "AutoencoderTiny and AutoencoderKL"),
        }
    }

    /// The configuration of `text_encoder` or `text_encoder_2`.
    ///
    /// # Errors
    /// If there is none, or it is refused.
    pub fn text_encoder(&self, component: &str) -> Result<TextEncoder, FolderError> {
        let (file, json) = self.config(component)?;
        let projection = match self.class(component, &file, &json)?.as_str() {
            "CLIPTextModel" => false,
            "CLIPTextModelWithProjection" => true,
            class => {
                let supported = "CLIPTextModel and CLIPTextModelWithProjection";
                return self.unknown(component, class, supported);
            }
        };
        Ok(TextEncoder { config: ClipTextConfig::parse(&file, &json)?, projection })
    }

    /// `tokenizer` or `tokenizer_2`, from vocab.json and merges.txt or else
    /// from tokenizer.json.
    ///
    /// # Errors
    /// If there is none, or its files are refused.
    pub fn tokenizer(&self, component: &str) -> Result<ClipTokenizer, FolderError> {
        let folder = self.folder.component(component)?;
        let has = |name: &str| self.folder.is_file(&folder.join(name));
        let read = |name: &str| read(&self.folder, &folder.join(name));
        let optional = |name: &str| has(name).then(|| read(name)).transpose();
        let config = optional("tokenizer_config.json")?;
        let tokenizer = if has("vocab.json") {
            ClipTokenizer::from_files(TokenizerFiles {
                vocab: &read("vocab.json")?,
                merges: &read("merges.txt")?,
                config: config.as_deref(),
                special_tokens: optional("special_tokens_map.json")?.as_deref(),
            })
        } else {
            ClipTokenizer::from_json(&read("tokenizer.json")?, config.as_deref())
        };
        tokenizer.map_err(|reason| FolderError::Tokenizer { folder, reason })
    }

    /// Path and text of a JSON file of a component, such as `scheduler`'s
    /// scheduler_config.json.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn json(
        &self,
        component: &str,
        file: &str,
    ) -> Result<(PathBuf, Cow<'static, str>), FolderError> {
        let path = self.folder.component(component)?.join(file);
        let text = read(&self.folder, &path)?;
        Ok((path, text))
    }

    /// The weights of some components, each under its component's name.
    ///
    /// # Errors
    /// If one is missing or unsound.
    pub fn weights(&self, components: &[&str]) -> Result<Weights, FolderError> {
        let mut weights = Weights::new();
        for &component in components {
            let keys = self.keys(component)?;
            weights.insert(component, self.folder.checkpoint(component, keys, self.precision)?);
        }
        Ok(weights)
    }

    fn keys(&self, component: &str) -> Result<Keys, FolderError> {
        Ok(match component {
            "vae" => match self.vae()? {
                VaeConfig::Kl(_) => Keys::AutoencoderKl,
                VaeConfig::Tiny(_) => Keys::AsStored,
            },
            "text_encoder" | "text_encoder_2" => Keys::ClipText,
            _ => Keys::AsStored,
        })
    }

    /// The path and text of a component's config.json.
    fn config(&self, component: &str) -> Result<(String, Cow<'static, str>), FolderError> {
        let (path, json) = self.json(component, "config.json")?;
        Ok((path.display().to_string(), json))
    }

    /// A component's class: what model_index.json says, or else what its own
    /// configuration says (diffusers: `_class_name`, transformers:
    /// `architectures`). Empty if neither does.
    fn class(&self, component: &str, file: &str, json: &str) -> Result<String, FolderError> {
        let listed = self.index.as_ref().and_then(|index| index.classes.get(component));
        if let Some(class) = listed {
            return Ok(class.clone());
        }
        let mut config = Fields::parse(file, json)?;
        let class = config.take("_class_name");
        let class = class.or_else(|| config.take("architectures")?.get(0).cloned());
        Ok(class.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    fn unknown<T>(
        &self,
        component: &str,
        class: &str,
        supported: &'static str,
    ) -> Result<T, FolderError> {
        let folder = self.folder.component(component)?;
        Err(FolderError::Class { folder, class: class.to_owned(), supported })
    }
}

fn read(folder: &ModelFolder, file: &Path) -> Result<Cow<'static, str>, FolderError> {
    folder.read_text(file).map_err(|reason| FolderError::Io { file: file.to_owned(), reason })
}
