//! How long a cache line takes from one core to another: tens of nanoseconds where they share a
//! last-level cache, hundreds where they do not. A virtual machine may move from one to the other
//! while it runs, and its records with it.
//!
//! `cargo bench -p laterna-kernels --bench handover` prints nanoseconds for one way.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the run")]

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

static TURN: AtomicU64 = AtomicU64::new(0);

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { 2_000_000 } else { 200 };
    let other = thread::spawn(move || take_turns(1, rounds));
    let start = Instant::now();
    take_turns(0, rounds);
    other.join().unwrap();
    let ways = 2 * rounds;
    println!("one way {:.1} ns", start.elapsed().as_nanos() as f64 / ways as f64);
    assert_eq!(TURN.load(Ordering::Acquire), ways);
}

/// Waits for every other turn from `first` on, and passes the next one to the other thread.
fn take_turns(first: u64, rounds: u64) {
    for turn in (first..2 * rounds).step_by(2) {
        while TURN.load(Ordering::Acquire) != turn {
            spin_loop();
        }
        TURN.store(turn + 1, Ordering::Release);
    }
}
