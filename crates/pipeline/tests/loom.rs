//! The slot and the bell under loom, which runs every interleaving of their
//! threads: the very files of `src/`, compiled against loom's primitives.
#![allow(dead_code, reason = "only what the models use of the included files")]
#![allow(missing_docs, reason = "a test")]

use std::time::Duration;

use loom::thread;

mod sync {
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

mod port {
    use super::{Arc, Bell, Duration};

    pub trait Clock {
        fn now(&self) -> Duration;
        fn wait(&self, bell: &Arc<Bell>, seen: u64, deadline: Option<Duration>);
    }
}

#[path = "../src/bell.rs"]
mod bell;
#[path = "../src/slot.rs"]
mod slot;

use bell::Bell;
use port::Clock;
use slot::{Slot, Taken};
use sync::{Arc, Mutex, lock};

/// Time stands still: only bells end a wait, and loom finds a wait that none ends.
struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&self, bell: &Arc<Bell>, seen: u64, _: Option<Duration>) {
        bell.wait(seen);
    }
}

/// Every deadline has passed once it has been waited for.
struct Passing(Mutex<bool>);

impl Clock for Passing {
    fn now(&self) -> Duration {
        if *lock(&self.0) { Duration::from_secs(1) } else { Duration::ZERO }
    }

    fn wait(&self, _: &Arc<Bell>, _: u64, _: Option<Duration>) {
        *lock(&self.0) = true;
    }
}

/// What a taker got until the slot was closed.
fn drain(slot: &Slot<u32>) -> Vec<u32> {
    let mut taken = Vec::new();
    while let Taken::Value(value) = slot.take(&Still, None) {
        taken.push(value);
    }
    taken
}

#[test]
fn every_value_is_taken_or_given_back() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let putter = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let mut lost: Vec<u32> = (1..=2).filter_map(|value| slot.put(value)).collect();
                lost.extend(slot.close());
                lost
            })
        };
        let taken = drain(&slot);
        let lost = putter.join().unwrap();
        let mut all: Vec<_> = taken.iter().chain(&lost).copied().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert!(taken.is_sorted(), "newer values come later");
    });
}

#[test]
fn the_last_value_reaches_a_waiting_taker() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let taker = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                loop {
                    if slot.take(&Still, None) == Taken::Value(2) {
                        return;
                    }
                }
            })
        };
        slot.put(1);
        slot.put(2);
        taker.join().unwrap();
    });
}

#[test]
fn a_close_races_with_a_put_and_loses_nothing() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let closer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.close())
        };
        let back = slot.put(7);
        let left = closer.join().unwrap();
        assert_eq!([back, left].iter().flatten().count(), 1);
        assert_eq!(slot.take(&Still, None), Taken::Closed);
    });
}

#[test]
fn two_putters_and_a_taker_account_for_all_values() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Arc::new(Slot::new());
        let putters = [1, 2].map(|value| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.put(value))
        });
        let Taken::Value(first) = slot.take(&Still, None) else { panic!("nothing closes it") };
        let lost = putters.map(|putter| putter.join().unwrap());
        let rest = [Some(first), slot.try_take()];
        let mut all: Vec<u32> = lost.iter().chain(&rest).flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn a_late_taker_and_a_putter_share_the_value() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let putter = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.put(1))
        };
        let clock = Passing(Mutex::new(false));
        let taken = slot.take(&clock, Some(Duration::from_millis(1)));
        assert_eq!(putter.join().unwrap(), None);
        match taken {
            Taken::Value(1) => assert_eq!(slot.try_take(), None),
            Taken::Late => assert_eq!(slot.try_take(), Some(1)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn who_waits_for_a_value_finds_the_latest_when_it_takes() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let putter = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let lost = [slot.put(1), slot.put(2)];
                (lost, slot.close())
            })
        };
        let taken = if slot.wait(&Still) { slot.try_take() } else { None };
        let (lost, left) = putter.join().unwrap();
        let mut all: Vec<u32> = lost.into_iter().chain([left, taken]).flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn a_hold_ends_when_the_slot_is_closed_whatever_is_put() {
    loom::model(|| {
        let slot = Arc::new(Slot::new());
        let closer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.put(1);
                slot.close();
            })
        };
        assert!(!slot.hold(&Still, Duration::from_secs(1)));
        closer.join().unwrap();
    });
}
