//! Writes the session's log, a line for each change.

use std::io::{self, Write};
use std::time::Duration;

use laterna_control::log::Entry;
use laterna_control::{Change, Controls};

/// A log that is being written. Times count from the session's first frame.
pub struct SessionLog {
    output: Box<dyn Write + Send>,
    start: Option<Duration>,
}

impl SessionLog {
    /// Begins with the controls in force.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn begin(output: Box<dyn Write + Send>, controls: &Controls) -> io::Result<Self> {
        let mut log = Self { output, start: None };
        log.write(&Entry::first(controls))?;
        Ok(log)
    }

    /// The first frame was captured at this time.
    pub fn frame(&mut self, captured: Duration) {
        self.start.get_or_insert(captured);
    }

    /// Something changed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&mut self, now: Duration, change: Change) -> io::Result<()> {
        let at = self.start.map_or(Duration::ZERO, |start| now.saturating_sub(start));
        self.write(&Entry::later(at, change))
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.output.write_all(&line)?;
        self.output.flush()
    }
}
