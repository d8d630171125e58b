//! Core ML: graphs become `.mlpackage` folders, on any operating system and
//! without Apple's tools; on macOS they are run, and [`backend`] is that as any
//! other device.
//!
//! A package is a small protocol buffers file with a typed program in Core ML's
//! intermediate language (MIL) and one file with the weights.
#![deny(unsafe_code)]

pub mod backend;
pub mod emit;
pub mod run;
