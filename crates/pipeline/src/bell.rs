//! A counter that a thread can sleep on until it moves: the one thing that any
//! thread of the pipeline ever waits for. Who reads the count, then looks at
//! what it announces, then waits for another count, misses nothing.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, lock};

/// A counter with a condition variable.
#[derive(Debug)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Self {
        Self { rings: Mutex::new(0), rung: Condvar::new() }
    }

    /// How often it has rung.
    pub fn rings(&self) -> u64 {
        *lock(&self.rings)
    }

    /// Adds one to the count and wakes every thread that waits.
    pub fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rung.notify_all();
    }

    /// Sleeps until the count differs from `seen`.
    pub fn wait(&self, seen: u64) {
        let mut rings = lock(&self.rings);
        while *rings == seen {
            rings = self.rung.wait(rings).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Sleeps until the count differs from `seen`, for at most `limit` of the
    /// system's time. It may return early, as a condition variable may.
    pub fn wait_for(&self, seen: u64, limit: Duration) {
        let rings = lock(&self.rings);
        if *rings == seen {
            drop(self.rung.wait_timeout(rings, limit));
        }
    }
}
