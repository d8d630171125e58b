//! Operation cases that every backend must pass: small graphs with random
//! numbers, and what the reference interpreter makes of them.
//!
//! A backend's whole test is that [`check`] succeeds. The passes are tested on
//! the same cases here.
#![forbid(unsafe_code)]

mod cases;
mod check;
mod compare;
mod composite;
mod random;
mod random_graph;

pub use cases::{Case, cases};
pub use check::{Failure, Failures, Problem, check, check_within};
pub use compare::{Difference, compare};
pub use random::Random;
pub use random_graph::random_case;
