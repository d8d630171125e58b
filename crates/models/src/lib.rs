//! Networks of diffusers checkpoints as graphs: each is read from its own
//! config.json and built with the weight names that diffusers uses.
#![forbid(unsafe_code)]

mod autoencoder_kl;
mod autoencoder_tiny;
pub mod clip;
pub mod config;
mod error;
pub mod folder;
pub mod frame;
mod layers;
pub mod presets;
mod size;
mod source;
pub mod unet;
pub mod vae;

pub use autoencoder_kl::AutoencoderKlConfig;
pub use autoencoder_tiny::AutoencoderTinyConfig;
pub use clip::{ClipTextConfig, ClipTokenizer};
pub use config::ConfigError;
pub use error::ModelError;
pub use folder::{FolderError, Model, ModelIndex, PipelineKind, TextEncoder};
pub use source::Weights;
pub use unet::UnetConfig;
pub use vae::VaeConfig;
