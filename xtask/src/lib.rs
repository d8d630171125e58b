//! Checks of the repository itself: those of its manifests are in `tests/`, those
//! of the macOS binary here, for `main.rs`.
#![forbid(unsafe_code)]

pub mod error;
pub mod macho;
pub mod stubs;

pub use error::{Error, Result};
