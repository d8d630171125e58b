//! `laterna doctor --coreml-selftest`: what only a Mac can show, checked by itself and
//! told in a report that a user can send.

#[cfg(any(target_os = "macos", test))]
mod checks;
#[cfg(any(target_os = "macos", test))]
mod graphs;
#[cfg(any(target_os = "macos", test))]
mod report;
#[cfg(any(target_os = "macos", test))]
mod subject;
#[cfg(target_os = "macos")]
mod system;
#[cfg(test)]
mod tests;

#[cfg(target_os = "macos")]
pub use system::run;

#[cfg(not(target_os = "macos"))]
use crate::{console::Console, error::Failure};

/// Runs every check and prints the report.
///
/// # Errors
/// Always: there is no Core ML.
#[cfg(not(target_os = "macos"))]
pub fn run(_: bool, _: &Console) -> Result<(), Failure> {
    let failure = Failure::input("cannot test Core ML", "it is on macOS alone");
    Err(failure.hint("run this on a Mac with macOS 14 or later, and send what it prints"))
}
