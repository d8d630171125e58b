//! Packages written and then checked by coremltools' loader, a linter and an
//! executor (`reference/coreml`), against the graph's interpreter.
//!
//! The checks need Python with coremltools: `reference/coreml/.venv`, or the
//! interpreter that `LATERNA_COREML_PYTHON` names. Without it they are skipped,
//! and say so.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod checker;
mod features;
mod formats;
mod models;
mod networks;
mod operations;
