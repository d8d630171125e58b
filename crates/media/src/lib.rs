//! Where pictures come from ([`source`]) and where they go ([`sink`]): each file
//! holds one kind, and knows the pipeline's ports and nothing of models.
//!
//! Unsafe code is denied; the files that call the kernel allow it for themselves.
#![deny(unsafe_code)]

pub mod sink;
pub mod source;
#[cfg(target_os = "linux")]
mod v4l2;
