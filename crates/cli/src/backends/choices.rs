//! `--convolutions measured`: what was measured on this machine, remembered from run to run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use laterna_cpu::Choices;

use super::memory::Memory;
use crate::console::Console;
use crate::machine;

/// Choices that are kept: those of a few models in a few sizes.
const MOST: usize = 2000;

/// Choices in the user's cache.
pub struct Kept {
    machine: String,
    memory: Mutex<Memory<String>>,
    console: Console,
}

impl Kept {
    /// Those of earlier runs.
    pub fn read(console: &Console) -> Self {
        let memory = Mutex::new(Memory::read("convolutions.json", MOST));
        Self { machine: machine::of_findings(), memory, console: *console }
    }

    fn memory(&self) -> MutexGuard<'_, Memory<String>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Choices for Kept {
    fn recall(&self, what: &str) -> Option<String> {
        self.memory().get(&format!("{} {what}", self.machine)).cloned()
    }

    fn remember(&self, what: &str, chosen: &str) {
        self.console.detail(format_args!("measured: {chosen} for {what}"));
        let what = format!("{} {what}", self.machine);
        // That it cannot be kept stops nothing.
        if let Err(error) = self.memory().remember(what, chosen.to_owned()) {
            self.console.detail(format_args!("it is not remembered: {error}"));
        }
    }
}
