//! The live session as its viewers get it: the real command with clients on its
//! socket. Each scenario prints one JSON object.
//!
//! `cargo bench -p laterna-cli --bench live -- SCENARIO...` with some of
//! `latency`, `source`, `rate`, `clients` and `soak` measures at full length;
//! `LATERNA_LIVE_SIZE` sets the size and `LATERNA_LIVE_THREADS` the threads that
//! compute. Without `--bench`, as in `cargo test`, all run for a moment on tiny
//! pictures and what does not depend on time is checked.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made has failed")]

mod camera;
mod command;
mod figures;
mod page;
mod scenarios;

use std::time::Duration;

use serde_json::Value;

/// How long to measure, and what.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Side of the painting in pixels.
    pub size: usize,
    /// Length of one measurement.
    pub length: Duration,
    /// Length of the soak.
    pub soak: Duration,
    /// How often measurements that are compared alternate.
    pub rounds: usize,
}

type Scenario = fn(Scale) -> Value;

const SCENARIOS: [(&str, Scenario); 5] = [
    ("latency", scenarios::latency),
    ("source", scenarios::source),
    ("rate", scenarios::rate),
    ("clients", scenarios::clients),
    ("soak", scenarios::soak),
];

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = args.iter().any(|arg| arg == "--bench");
    args.retain(|arg| !arg.starts_with('-'));
    let scale = if is_bench { full() } else { brief() };
    for (name, scenario) in SCENARIOS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            let found = serde_json::json!({ "scenario": name, "size": scale.size, "found": scenario(scale) });
            println!("{found:#}");
        }
    }
}

fn full() -> Scale {
    let (length, soak) = (Duration::from_secs(20), Duration::from_secs(600));
    Scale { size: number("LATERNA_LIVE_SIZE").unwrap_or(512), length, soak, rounds: 3 }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|value| value.parse().expect(variable))
}

/// What both the session and `laterna bench` are told of threads.
pub fn threads() -> Vec<String> {
    let threads = number("LATERNA_LIVE_THREADS");
    threads.map_or(Vec::new(), |threads| vec!["--threads".to_owned(), threads.to_string()])
}

fn brief() -> Scale {
    let (length, soak) = (Duration::from_secs(2), Duration::from_secs(4));
    Scale { size: 128, length, soak, rounds: 1 }
}
