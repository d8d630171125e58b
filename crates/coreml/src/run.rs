//! Runs model packages with Core ML, on macOS 14 and later.
//!
//! A package is compiled once into a cache, tried in a child process first, loaded,
//! and fed through arrays that the devices share. All that needs no Core ML (the
//! cache, the trial, the layout of arrays) builds everywhere; the rest is behind
//! [`Device`].
//!
//! What is for macOS has been type-checked and linked, and never run: `.ci/run` has
//! no Mac. `laterna doctor --coreml-selftest` tries all of it on one.

mod cache;
mod device;
mod error;
mod layout;
mod options;
mod placement;
mod trial;

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
pub use device::{Device, Opened, Predictor};
pub use error::RunError;
pub use layout::{PIXEL_BYTES, Rows, read_bgra, write_bgra};
pub use options::{ComputeUnits, Element, Feature, Interface, Options, Stage};
pub use placement::{Placed, Placement, Unit};
pub use trial::{Loader, Prober, REFUSED, Write};

#[cfg(target_os = "macos")]
pub use load::System;
