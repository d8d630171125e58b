//! What a pool of more threads would take, found out on one: a job's tasks run one after the other,
//! each is timed, and the times are given to threads that exist only as numbers.
//!
//! A thread that is done with its part takes over tasks of others, for which it goes to their
//! counters. That is part of the time; waking the threads and what else they share (caches, memory)
//! is not.

use super::Place;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What it takes to see whose tasks are left, or to claim one of another's: the cache line comes from
/// the core that wrote it before, tens of nanoseconds away on a current server.
const CLAIM: Duration = Duration::from_nanos(50);

/// Threads that exist only as numbers, and the time that they would have saved so far.
pub(crate) struct Simulation {
    threads: usize,
    saved_ns: AtomicU64,
    repeated: Mutex<Option<Repeated>>,
}

impl Simulation {
    pub fn new(threads: usize) -> Self {
        Self { threads, saved_ns: AtomicU64::new(0), repeated: Mutex::new(None) }
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `task` once for each task, in order, and notes what the threads would save.
    pub fn run(&self, len: &dyn Fn(usize) -> usize, task: impl Fn(Place)) {
        let begin = Instant::now();
        let mut parts = Vec::with_capacity(self.threads);
        for part in 0..self.threads {
            let timed = |index| {
                let start = Instant::now();
                task(Place { thread: 0, part, index });
                start.elapsed()
            };
            parts.push((0..len(part)).map(timed).collect::<Vec<_>>());
        }
        if let Some(repeated) = &mut *self.repeated() {
            repeated.note(&mut parts);
        }
        let length = length(&parts);
        let saved = begin.elapsed().saturating_sub(length);
        self.saved_ns.fetch_add(saved.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The jobs that follow are those that followed the last call.
    pub fn repeat(&self) {
        self.repeated().get_or_insert_default().next = 0;
    }

    /// The time that the threads would have saved in all jobs so far.
    pub fn saved(&self) -> Duration {
        Duration::from_nanos(self.saved_ns.load(Ordering::Relaxed))
    }

    fn repeated(&self) -> MutexGuard<'_, Option<Repeated>> {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that come again in the same order, and the least time of each task: one that was
/// interrupted once would otherwise be the time of its whole job.
#[derive(Default)]
struct Repeated {
    jobs: Vec<Vec<Vec<Duration>>>,
    next: usize,
}

impl Repeated {
    /// Puts the least times so far in the place of those of the next job.
    fn note(&mut self, parts: &mut [Vec<Duration>]) {
        match self.jobs.get_mut(self.next) {
            None => self.jobs.push(parts.to_vec()),
            Some(least) => {
                let lens = |parts: &[Vec<Duration>]| parts.iter().map(Vec::len).collect::<Vec<_>>();
                assert_eq!(lens(least), lens(parts), "the same jobs come again");
                for (least, time) in least.iter_mut().flatten().zip(parts.iter_mut().flatten()) {
                    *least = (*least).min(*time);
                    *time = *least;
                }
            }
        }
        self.next += 1;
    }
}

/// When the last of the threads is done: each runs its part from the near end, and then tasks from
/// the far ends of the others', as [`super::Part`] gives them out.
fn length(parts: &[Vec<Duration>]) -> Duration {
    let mut left: Vec<&[Duration]> = parts.iter().map(Vec::as_slice).collect();
    let mut free = vec![Duration::ZERO; parts.len()];
    let mut is_done = vec![false; parts.len()];
    while let Some(thread) = (0..parts.len()).filter(|&at| !is_done[at]).min_by_key(|&at| free[at])
    {
        if let Some((&task, rest)) = left[thread].split_first() {
            left[thread] = rest;
            free[thread] += task;
            continue;
        }
        free[thread] += CLAIM;
        let mut others = (thread + 1..parts.len()).chain(0..thread);
        match others.find(|&part| !left[part].is_empty()) {
            Some(part) => {
                let (&task, rest) = left[part].split_last().expect("it is not empty");
                left[part] = rest;
                free[thread] += CLAIM + task;
            }
            None => is_done[thread] = true,
        }
    }
    free.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tasks: &[u64]) -> Vec<Duration> {
        tasks.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn a_thread_that_is_done_takes_over_what_others_left() {
        let length = |parts: &[&[u64]]| {
            let parts: Vec<_> = parts.iter().map(|part| seconds(part)).collect();
            length(&parts).as_secs()
        };
        // Claims are short beside seconds.
        assert_eq!(length(&[&[3, 1, 1, 1]]), 6);
        assert_eq!(length(&[&[3], &[1, 1, 1]]), 3);
        assert_eq!(length(&[&[1, 1], &[1, 3]]), 4);
        assert_eq!(length(&[&[4, 1, 1, 1, 1], &[]]), 4);
        assert_eq!(length(&[&[2, 2], &[2], &[2]]), 4);
        assert_eq!(length(&[&[], &[], &[2, 5]]), 5);
        assert_eq!(length(&[&[], &[]]), 0);
    }

    #[test]
    fn a_look_for_others_tasks_takes_time_and_so_does_a_claim() {
        let nothing = |parts: usize| length(&vec![Vec::new(); parts]);
        assert_eq!([nothing(1), nothing(8)], [CLAIM; 2]);
        let stolen = length(&[vec![], vec![10 * CLAIM; 2]]);
        assert_eq!(stolen, 13 * CLAIM);
    }

    #[test]
    fn a_repeated_task_counts_with_its_least_time() {
        let mut repeated = Repeated::default();
        let mut note = |tasks: &[u64], again: bool| {
            let mut parts = [seconds(tasks)];
            repeated.next *= usize::from(!again);
            repeated.note(&mut parts);
            let [times] = parts;
            times
        };
        assert_eq!(note(&[3, 1], true), seconds(&[3, 1]));
        assert_eq!(note(&[5], false), seconds(&[5]));
        assert_eq!(note(&[2, 4], true), seconds(&[2, 1]));
        assert_eq!(note(&[6], false), seconds(&[5]));
    }
}
