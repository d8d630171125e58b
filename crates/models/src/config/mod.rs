//! Reads a component's config.json field by field. Whatever is not asked for
//! is an error, so that no setting is ever ignored by accident.

mod error;
mod fields;

pub use error::ConfigError;
pub(crate) use fields::{Fields, Fixed, extent, list, whole};
