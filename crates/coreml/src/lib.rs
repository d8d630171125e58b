//! The Core ML backend.

pub mod run;
