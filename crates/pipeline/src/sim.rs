//! A simulated clock, for tests: threads take turns, one at a time, and time
//! moves only when all of them wait, at once to the first deadline. A run is
//! the same each time, and an hour of it takes as long as its work.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::bell::Bell;
use crate::frame::{Span, Step};
use crate::port::Clock;
use crate::sync::lock;

/// Simulated time. The thread that makes it, and those that it spawns, may wait
/// on it; only they may ring bells that others wait for.
#[derive(Clone, Debug)]
pub struct SimClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    never: Arc<Bell>,
}

#[derive(Debug)]
struct State {
    now: Duration,
    tasks: Vec<Task>,
    running: usize,
    costs: [Duration; 3],
    /// Of xorshift; 0 takes turns in order.
    random: u64,
    deadlock: bool,
}

#[derive(Debug)]
struct Task {
    name: String,
    status: Status,
    turn: Arc<Condvar>,
}

#[derive(Debug)]
enum Status {
    Ready,
    Waiting { bell: Arc<Bell>, seen: u64, deadline: Option<Duration> },
    Finished,
}

thread_local! {
    /// The task that this thread is, in the only simulation that it is part of.
    static TASK: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl SimClock {
    /// A simulation in which threads that could run at once do so in turn.
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A simulation in which `seed` decides who runs first of those that could
    /// run at once; 0 lets them take turns.
    pub fn with_seed(seed: u64) -> Self {
        TASK.set(0);
        let state = State {
            now: Duration::ZERO,
            tasks: vec![Task::new("test")],
            running: 0,
            costs: [Duration::ZERO; 3],
            random: seed,
            deadlock: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), never: Arc::default() }) }
    }

    /// From now on each such step takes `cost` longer than what it waits for
    /// itself.
    pub fn set_cost(&self, step: Step, cost: Duration) {
        lock(&self.shared.state).costs[step as usize] = cost;
    }

    /// Lets the others run for `length`.
    pub fn sleep(&self, length: Duration) {
        self.sleep_until(self.now() + length);
    }

    /// Lets the others run until `time`.
    pub fn sleep_until(&self, time: Duration) {
        self.wait(&self.shared.never, 0, Some(time));
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        lock(&self.shared.state).now
    }

    /// # Panics
    /// If from now on every thread would wait for ever.
    fn wait(&self, bell: &Arc<Bell>, seen: u64, deadline: Option<Duration>) {
        let task = TASK.get();
        let mut state = lock(&self.shared.state);
        state.tasks[task].status = Status::Waiting { bell: Arc::clone(bell), seen, deadline };
        state.choose();
        wait_for_turn(state, task);
    }

    fn spawn(
        &self,
        name: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<JoinHandle<()>, io::Error> {
        let task = {
            let mut state = lock(&self.shared.state);
            state.tasks.push(Task::new(name));
            state.tasks.len() - 1
        };
        let shared = Arc::clone(&self.shared);
        Builder::new().name(name.to_owned()).spawn(move || {
            TASK.set(task);
            let _finish = Finish { shared: Arc::clone(&shared), task };
            wait_for_turn(lock(&shared.state), task);
            body();
        })
    }

    fn time(&self, step: Step, work: &mut dyn FnMut()) -> Span {
        let begin = self.now();
        work();
        let cost = lock(&self.shared.state).costs[step as usize];
        if !cost.is_zero() {
            self.sleep(cost);
        }
        Span { begin, end: self.now() }
    }
}

/// Passes the turn on when a thread ends, even by a panic.
struct Finish {
    shared: Arc<Shared>,
    task: usize,
}

impl Drop for Finish {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.tasks[self.task].status = Status::Finished;
        state.choose();
    }
}

impl Task {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), status: Status::Ready, turn: Arc::default() }
    }

    fn can_run(&self, now: Duration) -> bool {
        match &self.status {
            Status::Ready => true,
            Status::Waiting { bell, seen, deadline } => {
                bell.rings() != *seen || deadline.is_some_and(|deadline| deadline <= now)
            }
            Status::Finished => false,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.status {
            Status::Waiting { deadline, .. } => deadline,
            Status::Ready | Status::Finished => None,
        }
    }
}

impl State {
    /// Gives the turn to a task that can run, moving time if none can.
    fn choose(&mut self) {
        loop {
            if let Some(next) = self.next() {
                self.running = next;
                self.tasks[next].turn.notify_all();
                return;
            }
            let Some(time) = self.tasks.iter().filter_map(Task::deadline).min() else {
                return self.give_up();
            };
            self.now = time;
        }
    }

    fn next(&mut self) -> Option<usize> {
        let (count, now) = (self.tasks.len(), self.now);
        let in_turn = (1..=count).map(|step| (self.running + step) % count);
        let mut able = in_turn.filter(|&task| self.tasks[task].can_run(now));
        if self.random == 0 {
            return able.next();
        }
        let able_count = able.clone().count().max(1);
        let pick = (self.random % able_count as u64) as usize;
        let next = able.nth(pick);
        self.random = xorshift(self.random);
        next
    }

    fn give_up(&mut self) {
        self.deadlock = !self.unfinished().is_empty();
        for task in &self.tasks {
            task.turn.notify_all();
        }
    }

    fn unfinished(&self) -> Vec<&str> {
        let unfinished = |task: &&Task| !matches!(task.status, Status::Finished);
        self.tasks.iter().filter(unfinished).map(|task| &*task.name).collect()
    }
}

/// Sleeps until the others give the turn to `task`.
fn wait_for_turn(mut state: MutexGuard<'_, State>, task: usize) {
    let turn = Arc::clone(&state.tasks[task].turn);
    while state.running != task && !state.deadlock {
        state = turn.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    assert!(!state.deadlock, "every thread waits for ever: {:?}", state.unfinished());
    state.tasks[task].status = Status::Ready;
}

/// Marsaglia's xorshift64: never 0 for another seed than 0.
fn xorshift(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(clock: &SimClock, log: &Arc<Mutex<Vec<u64>>>, period: u64) -> JoinHandle<()> {
        let (own, log) = (clock.clone(), Arc::clone(log));
        let body = move || {
            for _ in 0..2 {
                own.sleep(Duration::from_millis(period));
                lock(&log).push(1000 * own.now().as_millis() as u64 + period);
            }
        };
        clock.spawn("sleeper", Box::new(body)).unwrap()
    }

    #[test]
    fn threads_run_in_the_order_of_their_deadlines() {
        let clock = SimClock::new();
        let log = Arc::new(Mutex::new(Vec::new()));
        let threads = [30, 20].map(|period| sleeper(&clock, &log, period));
        clock.sleep(Duration::from_hours(1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock(&log), [20_020, 30_030, 40_020, 60_030]);
        assert_eq!(clock.now(), Duration::from_hours(1));
    }

    #[test]
    fn a_ring_ends_a_wait_before_its_deadline() {
        let clock = SimClock::new();
        let bell = Arc::new(Bell::new());
        let (ringer, rung) = (clock.clone(), Arc::clone(&bell));
        let body = move || {
            ringer.sleep(Duration::from_millis(3));
            rung.ring();
        };
        let thread = clock.spawn("ringer", Box::new(body)).unwrap();
        clock.wait(&bell, 0, Some(Duration::from_secs(1)));
        assert_eq!(clock.now(), Duration::from_millis(3));
        thread.join().unwrap();
    }

    #[test]
    #[should_panic(expected = "every thread waits for ever")]
    fn a_deadlock_is_found() {
        SimClock::new().wait(&Arc::new(Bell::new()), 0, None);
    }
}
