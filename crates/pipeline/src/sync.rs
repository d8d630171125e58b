//! The primitives that the slot and the bell are built from. `tests/loom.rs`
//! compiles those two files against loom's instead.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Locks `mutex` even where a thread panicked while it held the lock: what
/// it guards here is replaced whole or counted, never left half written.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
