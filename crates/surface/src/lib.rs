//! Pictures in memory that processor, GPU and Neural Engine share: the pixel buffers of
//! macOS, made, locked, cropped and scaled. On other systems this is empty.
//!
//! It is type-checked and linked for macOS, and has not been run on it.

#[cfg(target_os = "macos")]
mod buffer;
#[cfg(target_os = "macos")]
mod transfer;

#[cfg(target_os = "macos")]
pub use buffer::{Lock, PixelBuffer};
#[cfg(target_os = "macos")]
pub use transfer::{Fit, Transfer};
