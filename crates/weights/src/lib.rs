//! Checkpoints on disk or built in: safetensors files mapped and checked, sharded
//! checkpoints, diffusers folders, the hub they come from, LoRA files, and
//! outputs written whole or not at all.
//!
//! Nothing here knows a network: a [`Checkpoint`] answers by tensor name, and
//! what the names mean is the business of whoever builds the graph.

mod atomic;
mod checkpoint;
mod error;
mod files;
mod finite;
mod folder;
mod header;
mod hub;
mod keys;
mod lora;
mod mapped;
mod shards;
mod write;

pub use atomic::atomic_write;
pub use checkpoint::Checkpoint;
pub use error::WeightError;
pub use files::BuiltIn;
pub use finite::has_non_finite;
pub use folder::{ModelFolder, Precision};
pub use header::{Entry, Header, HeaderError, MAX_HEADER_BYTES, TensorFault, Unsupported};
pub use hub::{Hub, HubError, HubName, ModelName, Progress};
pub use keys::Keys;
pub use lora::{Lora, LoraError, MergeReport};
pub use mapped::MappedFile;
pub use shards::{IndexError, ShardIndex};
pub use write::write_safetensors;
