//! What a pool of more threads would take, found out on one: a job's tasks run one after the other,
//! each is timed, and the times are given to threads that exist only as numbers.
//!
//! Tasks are claimed one at a time from a counter that the threads share. That is part of the time;
//! waking the threads and what else they share (caches, memory) is not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What it takes to claim a task: the counter's cache line comes from the core that claimed before,
/// tens of nanoseconds away on a current server.
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

    /// Calls `task(i)` once for each `i < tasks`, in order, and notes what the threads would save.
    pub fn run(&self, tasks: usize, task: impl Fn(usize)) {
        let begin = Instant::now();
        let mut times = Vec::with_capacity(tasks);
        for index in 0..tasks {
            let start = Instant::now();
            task(index);
            times.push(start.elapsed());
        }
        if let Some(repeated) = &mut *self.repeated() {
            repeated.note(&mut times);
        }
        let length = length(self.threads, &times);
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
    jobs: Vec<Vec<Duration>>,
    next: usize,
}

impl Repeated {
    /// Puts the least times so far in the place of those of the next job.
    fn note(&mut self, times: &mut [Duration]) {
        match self.jobs.get_mut(self.next) {
            None => self.jobs.push(times.to_vec()),
            Some(least) => {
                assert_eq!(least.len(), times.len(), "the same jobs come again");
                for (least, time) in least.iter_mut().zip(times) {
                    *least = (*least).min(*time);
                    *time = *least;
                }
            }
        }
        self.next += 1;
    }
}

/// When the last of the threads is done: each claims a task when it is done with its last.
fn length(threads: usize, tasks: &[Duration]) -> Duration {
    let mut free = vec![Duration::ZERO; threads];
    let mut claimed = Duration::ZERO;
    for task in tasks {
        if let Some(first) = free.iter_mut().min() {
            claimed = claimed.max(*first) + CLAIM;
            *first = claimed + *task;
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
    fn tasks_go_to_the_thread_that_is_done_first() {
        let length = |threads, tasks: &[u64]| length(threads, &seconds(tasks)).as_secs();
        // Claims are short beside seconds.
        assert_eq!(length(1, &[3, 1, 1, 1]), 6);
        assert_eq!(length(2, &[3, 1, 1, 1]), 3);
        assert_eq!(length(2, &[1, 1, 1, 3]), 4);
        assert_eq!(length(3, &[2, 2, 2, 2]), 4);
        assert_eq!(length(8, &[2, 5]), 5);
        assert_eq!(length(4, &[]), 0);
    }

    #[test]
    fn claims_wait_for_each_other() {
        assert_eq!(length(8, &[Duration::ZERO; 100]), 100 * CLAIM);
        assert_eq!(length(2, &[10 * CLAIM; 4]), 23 * CLAIM);
    }

    #[test]
    fn a_repeated_task_counts_with_its_least_time() {
        let mut repeated = Repeated::default();
        let mut note = |tasks: &[u64], again: bool| {
            let mut times = seconds(tasks);
            repeated.next *= usize::from(!again);
            repeated.note(&mut times);
            times
        };
        assert_eq!(note(&[3, 1], true), seconds(&[3, 1]));
        assert_eq!(note(&[5], false), seconds(&[5]));
        assert_eq!(note(&[2, 4], true), seconds(&[2, 1]));
        assert_eq!(note(&[6], false), seconds(&[5]));
    }
}
