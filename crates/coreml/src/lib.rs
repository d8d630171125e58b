//! The Core ML backend.
#![deny(unsafe_code)]

pub mod run;
