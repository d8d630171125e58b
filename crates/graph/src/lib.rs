//! The static graph: a small closed set of operations, the passes that rewrite
//! it, the plan that lays its values out in one arena, a naive interpreter that
//! says what every operation means, and the contract of a backend.
//!
//! Networks are built once with [`Builder`], rewritten by [`passes`], and handed
//! to a [`Backend`]. This crate knows no model, no file format and no device.
#![forbid(unsafe_code)]

pub mod backend;
mod builder;
pub mod cost;
mod dump;
mod graph;
mod infer;
pub mod op;
pub mod passes;
mod patch;
pub mod plan;
pub mod rates;
pub mod reference;
mod verify;
mod weights;

pub use backend::{
    Backend, CompileError, CompileOptions, Instance, NodeSummary, Observer, OpFacts, Port, Program,
    ProgramSummary, RunError, Support,
};
pub use builder::{BuildError, Builder};
pub use dump::dump;
pub use graph::{Constant, Graph, Layout, Node, NodeId, Origin, Rate, TensorType, Value, ValueId};
pub use infer::{InferError, infer};
pub use op::Op;
pub use patch::{Patch, PatchError};
pub use verify::{VerifyError, verify};
pub use weights::{MemoryWeights, WeightError, WeightSource};
