//! Runs model packages with Core ML, on macOS 14 and later.
//!
//! A package is compiled once into a cache, loaded on a thread of its own, tried
//! in a child process first, and fed through arrays that the devices share. The
//! parts that need no Core ML (the cache, the layout of arrays) build everywhere.
//!
//! What is for macOS has been type-checked and linked, and never run: `.ci/run` has
//! no Mac. `examples/predict.rs` tries all of it on one.

mod cache;
mod error;
mod layout;
mod options;

#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "Core ML is an Objective-C library")]
mod array;
#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "Core ML is an Objective-C library")]
mod compile;
#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "Core ML is an Objective-C library")]
mod load;
#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "Core ML is an Objective-C library")]
mod model;
#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "Core ML is an Objective-C library")]
mod plan;

pub use cache::{Cache, Entry, Trust};
pub use error::RunError;
pub use layout::Rows;
pub use options::{ComputeUnits, Element, Feature, Interface, Options, Stage};

#[cfg(target_os = "macos")]
pub use load::{Loading, Prober, load, probe};
#[cfg(target_os = "macos")]
pub use model::Model;
#[cfg(target_os = "macos")]
pub use plan::{Placement, placement};
