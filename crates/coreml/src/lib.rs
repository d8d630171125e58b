//! Core ML: graphs become `.mlpackage` folders, on any operating system and
//! without Apple's tools. Running them, on macOS, is another part's work.
//!
//! A package is a small protocol buffers file with a typed program in Core ML's
//! intermediate language (MIL) and one file with the weights.
#![forbid(unsafe_code)]

pub mod emit;
