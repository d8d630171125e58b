//! The log of a live session: which controls were in force from when on, one
//! JSON object a line, so that a log that was cut off can be read up to there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::controls::{Controls, Invalid};

/// The version that this program writes and reads.
const VERSION: u32 = 1;

/// Largest log that is read: an hour of ten changes a second is a tenth of it.
pub const LARGEST_BYTES: u64 = 64 << 20;

/// One line. The first one has the version and sets every control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The log's version, on its first line alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laterna_log: Option<u32>,
    /// Milliseconds since the session's first frame.
    pub at_ms: f64,
    /// What changed.
    pub set: Change,
}

impl Entry {
    /// The first line.
    pub fn first(controls: &Controls) -> Self {
        Self { laterna_log: Some(VERSION), at_ms: 0.0, set: Change::all(controls) }
    }

    /// A later line.
    pub fn later(at: Duration, set: Change) -> Self {
        Self { laterna_log: None, at_ms: at.as_secs_f64() * 1e3, set }
    }
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// Its first line has no version, or another one.
    #[error("its first line has no \"laterna_log\": {VERSION}")]
    Version,
    /// A line is not an entry.
    #[error("line {line}: {why}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// The controls of a whole session, by time.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// When, and what held from then on; times never fall.
    entries: Vec<(Duration, Controls)>,
}

impl Replay {
    /// Reads a log. A last line without its end is left out: the session was
    /// killed while writing it.
    ///
    /// # Errors
    /// If it is not a log, or a value is out of its range.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut entries: Vec<(Duration, Controls)> = Vec::new();
        for (index, line) in whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: String| LogError::Line { line: index + 1, why };
            let entry: Entry =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if entries.is_empty() && entry.laterna_log != Some(VERSION) {
                return Err(LogError::Version);
            }
            let at = Duration::try_from_secs_f64(entry.at_ms / 1e3)
                .map_err(|_| wrong(format!("at_ms is {}", entry.at_ms)))?;
            let (last, before) = match entries.last() {
                Some((last, before)) => (*last, before.clone()),
                None => (Duration::ZERO, Controls::default()),
            };
            let after = entry.set.applied(&before).map_err(|e: Invalid| wrong(e.to_string()))?;
            entries.push((at.max(last), after));
        }
        if entries.is_empty() { Err(LogError::Empty) } else { Ok(Self { entries }) }
    }

    /// The controls in force at a time since the first frame.
    pub fn at(&self, time: Duration) -> &Controls {
        let after = self.entries.partition_point(|(at, _)| *at <= time);
        &self.entries[after.saturating_sub(1)].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(entry: &Entry) -> String {
        serde_json::to_string(entry).unwrap() + "\n"
    }

    #[test]
    fn a_replay_knows_the_controls_at_any_time() {
        let start = Controls { seed: 5, ..Controls::default() };
        let change = Change { strength: Some(0.25), ..Change::default() };
        let log =
            line(&Entry::first(&start)) + &line(&Entry::later(Duration::from_millis(1500), change));
        let replay = Replay::parse(&log).unwrap();
        assert_eq!(replay.at(Duration::from_millis(1499)), &start);
        let after = replay.at(Duration::from_millis(1500));
        assert_eq!(after, &Controls { strength: 0.25, ..start });
        assert_eq!(replay.at(Duration::from_secs(9999)), after);
    }

    #[test]
    fn a_log_cut_off_anywhere_is_read_up_to_there() {
        let change = Change { seed: Some(9), ..Change::default() };
        let first = line(&Entry::first(&Controls::default()));
        let log = first.clone() + &line(&Entry::later(Duration::from_secs(1), change));
        for end in first.len()..log.len() {
            let replay = Replay::parse(&log[..end]).unwrap();
            assert_eq!(replay.at(Duration::from_secs(2)).seed, 0);
        }
        assert_eq!(Replay::parse(&log).unwrap().at(Duration::from_secs(2)).seed, 9);
    }

    #[test]
    fn what_is_no_log_says_why() {
        let error = |text: &str| Replay::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "it is empty");
        assert!(error("{}\n").starts_with("line 1: missing field"));
        assert!(error("{\"at_ms\":0,\"set\":{}}\n").contains("laterna_log"));
        let first = line(&Entry::first(&Controls::default()));
        assert!(
            error(&(first.clone() + "{\"at_ms\":1,\"set\":{\"strength\":7}}\n")).contains("line 2")
        );
        assert!(error(&(first + "{\"at_ms\":-1,\"set\":{}}\n")).contains("at_ms is -1"));
    }
}
