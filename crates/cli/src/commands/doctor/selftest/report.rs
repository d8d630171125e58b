//! Runs the checks and tells how they went, for people and for machines.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checks::{CHECKS, Check, Outcome};
use super::subject::{Problem, Subject};

/// Whose Core ML was tested.
pub struct Machine {
    /// Such as "Mac15,3".
    pub model: String,
    /// Its processor's name.
    pub cpu: String,
    /// Such as "15.1 (24B83)".
    pub system: String,
}

/// How a check went.
pub struct Line {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

/// Runs every check, telling each as it begins.
pub fn run(subject: &Subject<'_>, begins: &dyn Fn(&str)) -> Vec<Line> {
    let line = |check: &Check| {
        begins(check.name);
        let start = Instant::now();
        // One panic must not hide what is behind it.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (check.run)(subject)));
        let outcome = outcome.unwrap_or_else(|_| Err(Problem::of("a bug in laterna: it panicked")));
        Line { name: check.name, outcome, time: start.elapsed() }
    };
    CHECKS.iter().map(line).collect()
}

/// How many checks failed.
pub fn failed(lines: &[Line]) -> usize {
    lines.iter().filter(|line| matches!(line.outcome, Err(Problem::Failed(_)))).count()
}

/// A line a check, below what was tested.
pub fn text(machine: &Machine, subject: &Subject<'_>, lines: &[Line]) -> String {
    let head = format!(
        "laterna {} on {} ({}), macOS {}, compute units {}",
        env!("CARGO_PKG_VERSION"),
        machine.model,
        machine.cpu,
        machine.system,
        subject.units,
    );
    let line = |line: &Line| {
        let (state, told) = state(&line.outcome);
        // Foreign words may have several lines.
        let told = told.replace('\n', " ");
        format!("{state:<8}{:>8.2} s  {}: {told}", line.time.as_secs_f64(), line.name)
    };
    let rows: Vec<_> = lines.iter().map(line).collect();
    let failures = failed(lines);
    format!("{head}\n{}\n{failures} of {} failed", rows.join("\n"), lines.len())
}

/// The same for machines.
pub fn json(machine: &Machine, subject: &Subject<'_>, lines: &[Line]) -> Value {
    let line = |line: &Line| {
        let (state, told) = state(&line.outcome);
        let seconds = line.time.as_secs_f64();
        json!({ "name": line.name, "state": state, "told": told, "seconds": seconds })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine.model,
        "cpu": machine.cpu,
        "macos": machine.system,
        "compute_units": subject.units.name(),
        "failed": failed(lines),
        "checks": lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn state(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Ok(told) => ("passed", told),
        Err(Problem::Skipped(told)) => ("skipped", told),
        Err(Problem::Failed(told)) => ("FAILED", told),
    }
}
