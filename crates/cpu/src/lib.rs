//! The CPU backend: lowers a graph to a list of kernels on slices, packs the
//! weights once, and runs them over a pool of threads.
//!
//! Feature maps are channels-last in memory. Everything that can be decided when
//! the graph is compiled is: a run only walks the list.

mod backend;
mod choices;
mod constants;
mod instance;
mod lower;
mod memory;
mod program;

pub use backend::{CpuBackend, CpuError, CpuOptions};
pub use choices::Choices;
