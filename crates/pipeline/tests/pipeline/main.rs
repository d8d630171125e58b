//! The whole pipeline on a simulated clock.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod live;
mod settings;
mod sinks;
mod surfaces;
