//! The whole server over loopback, with a session that paints without a model.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod guard;
mod http;
mod limits;
mod osc;
mod socket;
