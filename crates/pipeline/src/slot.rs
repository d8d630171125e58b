//! A place for one value, the latest: putting never waits and gives back what
//! it replaced, taking waits. It is what joins two threads of the pipeline, so
//! that nothing queues and whoever puts knows of every value that was lost.

use std::time::Duration;

use crate::bell::Bell;
use crate::port::Clock;
use crate::sync::{Arc, Mutex, lock};

/// A single-slot latest-value exchange.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    closed: bool,
}

/// What came of waiting for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The latest value, now the caller's.
    Value(T),
    /// No value came before the deadline.
    Late,
    /// The slot is closed and no value will come.
    Closed,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slot<T> {
    /// An empty, open slot.
    pub fn new() -> Self {
        let state = State { value: None, closed: false };
        Self { state: Mutex::new(state), bell: Arc::new(Bell::new()) }
    }

    /// Stores `value` and gives back the one it replaced; a closed slot gives
    /// back `value` itself. Either way what comes back is lost to the taker.
    pub fn put(&self, value: T) -> Option<T> {
        let replaced = self.store(value);
        self.bell.ring();
        replaced
    }

    fn store(&self, value: T) -> Option<T> {
        let mut state = lock(&self.state);
        if state.closed { Some(value) } else { state.value.replace(value) }
    }

    /// The value, if there is one now.
    pub fn try_take(&self) -> Option<T> {
        lock(&self.state).value.take()
    }

    /// Waits until there is a value, the slot is closed, or `deadline`, a time
    /// of `clock`, has come.
    pub fn take(&self, clock: &dyn Clock, deadline: Option<Duration>) -> Taken<T> {
        loop {
            let seen = self.bell.rings();
            if let Some(taken) = self.poll() {
                return taken;
            }
            if deadline.is_some_and(|deadline| clock.now() >= deadline) {
                return Taken::Late;
            }
            clock.wait(&self.bell, seen, deadline);
        }
    }

    fn poll(&self) -> Option<Taken<T>> {
        let mut state = lock(&self.state);
        let closed = state.closed.then_some(Taken::Closed);
        state.value.take().map(Taken::Value).or(closed)
    }

    /// Waits until there is a value, which stays; false once the slot is closed
    /// and empty.
    pub fn wait(&self, clock: &dyn Clock) -> bool {
        loop {
            let seen = self.bell.rings();
            let (full, closed) = self.look();
            if full || closed {
                return full;
            }
            clock.wait(&self.bell, seen, None);
        }
    }

    fn look(&self) -> (bool, bool) {
        let state = lock(&self.state);
        (state.value.is_some(), state.closed)
    }

    /// Waits until `deadline` whatever is put meanwhile, and says whether the
    /// slot is still open.
    pub fn hold(&self, clock: &dyn Clock, deadline: Duration) -> bool {
        loop {
            let seen = self.bell.rings();
            if self.is_closed() {
                return false;
            }
            if clock.now() >= deadline {
                return true;
            }
            clock.wait(&self.bell, seen, Some(deadline));
        }
    }

    /// Closes the slot for good, wakes who waits, and gives back the value that
    /// nobody will take.
    pub fn close(&self) -> Option<T> {
        let left = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.value.take()
        };
        self.bell.ring();
        left
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}
