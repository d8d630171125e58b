//! A fork-join thread pool for kernels: [`Pool::run`] splits one job into numbered tasks that the
//! calling thread and the workers claim one by one. A run allocates nothing.
//!
//! Each thread has a part of the tasks for its own, the same part in each job: what it reads is
//! then most often what it wrote in the job before, and still in its caches. That matters most where
//! cores have last-level caches of their own. A thread that is done with its part takes over tasks
//! from the far end of others'.
//!
//! Workers wait for the next job by spinning briefly, since layers follow each other within
//! microseconds, and then sleep. A worker that wakes late finds the job closed and is not waited
//! for, so a busy machine costs throughput, not latency.

mod simulation;

use simulation::Simulation;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause instructions before a waiting thread sleeps: some tens of microseconds, the length of
/// the gap between two parallel layers.
const SPINS: usize = 2000;

/// Set in `Shared::gate` while workers may enter the job; the bits below count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

/// A fixed set of threads that run the tasks of one job at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held for the length of a run: one job at a time.
    turn: Mutex<()>,
    simulation: Option<Simulation>,
    made: Instant,
}

impl Pool {
    /// A pool of `threads` threads, the caller of [`Pool::run`] being one of them.
    ///
    /// # Panics
    /// When `threads` is 0 or the system cannot start a thread.
    pub fn new(threads: usize) -> Self {
        assert!(threads > 0, "a pool has at least one thread");
        let shared = Arc::new(Shared::new(threads));
        // Starting a thread allocates, which must not fall into a run.
        let started = Arc::new(Barrier::new(threads));
        let workers = (1..threads).map(|index| spawn_worker(index, &shared, &started)).collect();
        started.wait();
        Self { shared, workers, turn: Mutex::new(()), simulation: None, made: Instant::now() }
    }

    /// A pool that splits work as one of `threads` threads does, but leaves all of it to the caller:
    /// [`Pool::clock`] tells how long the threads would have taken. That they share caches and
    /// memory, and have to be woken, is not part of it. A run allocates.
    ///
    /// # Panics
    /// When `threads` is 0.
    pub fn simulated(threads: usize) -> Self {
        assert!(threads > 0, "a pool has at least one thread");
        let mut pool = Self::new(1);
        pool.simulation = Some(Simulation::new(threads));
        pool
    }

    /// A pool with one thread for each physical core.
    pub fn with_physical_cores() -> Self {
        Self::new(physical_cores())
    }

    /// The number of threads, including the caller of [`Pool::run`].
    pub fn threads(&self) -> usize {
        self.simulation.as_ref().map_or(self.workers.len() + 1, Simulation::threads)
    }

    /// The time since the pool was made; of a simulated one, less what its threads would have saved.
    pub fn clock(&self) -> Duration {
        let saved = self.simulation.as_ref().map(Simulation::saved);
        self.made.elapsed() - saved.unwrap_or_default()
    }

    /// Tells a simulated pool that the jobs to come are those that followed the last such call: of
    /// each task the least time counts, so that what interrupted one once does not.
    pub fn repeat(&self) {
        self.simulation.iter().for_each(Simulation::repeat);
    }

    /// Calls `task(i)` once for each `i < tasks`, on any thread, and returns when all calls have.
    /// Tasks with neighbouring numbers should read and write neighbouring memory.
    ///
    /// Tasks should take tens of microseconds or more, and be several times as many as threads
    /// when their lengths differ. A run from inside a task runs on that thread alone.
    ///
    /// # Panics
    /// With the payload of a task that panicked; tasks not yet claimed are then dropped.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        self.run_numbered(tasks, &|_, index| task(index));
    }

    /// As [`Pool::run`], calling `task(thread, i)` where `thread` is below [`Pool::threads`] and no
    /// two calls that overlap in time share it: the number of a piece of scratch memory.
    pub fn run_numbered(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        if self.is_alone() || tasks <= 1 && self.simulation.is_none() {
            (0..tasks).for_each(|index| task(0, index));
            return;
        }
        let of_part = |at| part(tasks, self.threads(), at);
        self.run_parts(&|at| of_part(at).len(), &|Place { thread, part, index }| {
            task(thread, of_part(part).start + index);
        });
    }

    /// As [`Pool::run`], for tasks in parts, of which there are as many as threads: calls `task` once
    /// for each of the `len(part)` tasks of each.
    pub fn run_parts(&self, len: &dyn Fn(usize) -> usize, task: &(dyn Fn(Place) + Sync)) {
        if let Some(simulation) = self.simulation.as_ref().filter(|_| !IN_TASK.get()) {
            simulation.run(len, |place| inside_a_task(|| task(place)));
            return;
        }
        if self.is_alone() {
            for part in 0..self.threads() {
                (0..len(part)).for_each(|index| task(Place { thread: 0, part, index }));
            }
            return;
        }
        let _turn = lock(&self.turn);
        self.shared.open(Job::new(task), len);
        self.shared.work(0);
        self.shared.close();
        if let Some(payload) = lock(&self.shared.panic).take() {
            resume_unwind(payload);
        }
    }

    /// Whether all tasks of a job are the caller's.
    fn is_alone(&self) -> bool {
        IN_TASK.get() || self.workers.is_empty() && self.simulation.is_none()
    }
}

/// One call of a job's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Below [`Pool::threads`]; no two calls that overlap in time share it.
    pub thread: usize,
    /// The part of the job, below [`Pool::threads`] too.
    pub part: usize,
    /// The number of the task in its part.
    pub index: usize,
}

/// The `index`-th of `parts` nearly equal parts of `0..whole`.
pub(crate) fn part(whole: usize, parts: usize, index: usize) -> Range<usize> {
    whole * index / parts..whole * (index + 1) / parts
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.announce();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of tasks, so it can only end normally.
            let _ = worker.join();
        }
    }
}

/// The number of physical cores that this process may use, at least 1.
///
/// Hyper-threads share the arithmetic units that kernels saturate, so a second one on a core
/// gains nothing. Known on Linux; elsewhere the number of logical processors.
pub fn physical_cores() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, |n| n.get());
    linux_cores().map_or(usable, |cores| cores.clamp(1, usable))
}

fn linux_cores() -> Option<usize> {
    let mut cores = std::collections::BTreeSet::new();
    for cpu in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = cpu.path().join("topology/thread_siblings_list");
        if let Ok(list) = std::fs::read_to_string(siblings) {
            cores.insert(list);
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

thread_local! {
    /// Whether this thread is inside a task.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work` with [`IN_TASK`] set, which a panic resets too.
fn inside_a_task(work: impl FnOnce()) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_TASK.set(false);
        }
    }
    let _reset = Reset;
    IN_TASK.set(true);
    work();
}

/// A job's function with its lifetime erased; valid while its run has not returned.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(Place) + Sync + 'static));

impl Job {
    fn new<'a>(task: &'a (dyn Fn(Place) + Sync + 'a)) -> Self {
        let task: *const (dyn Fn(Place) + Sync + 'a) = task;
        // SAFETY: only the lifetime changes. `Pool::run` does not return before every thread
        // that entered the job has left it, so the pointer is never used after 'a ends.
        let task = unsafe {
            std::mem::transmute::<
                *const (dyn Fn(Place) + Sync + 'a),
                *const (dyn Fn(Place) + Sync + 'static),
            >(task)
        };
        Self(task)
    }
}

/// The tasks of one part that are left, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Part {
    len: AtomicUsize,
    /// Claimed from the near end, and, in the upper half, from the far end.
    claimed: AtomicU64,
}

impl Part {
    /// One task from the far end, for a thread whose part this is not.
    const FAR: u64 = 1 << 32;

    fn fill(&self, len: usize) {
        assert!(u32::try_from(len).is_ok(), "{len} tasks in a part");
        self.len.store(len, Ordering::Relaxed);
        self.claimed.store(0, Ordering::Relaxed);
    }

    /// The next task for the thread whose part it is, or for another.
    fn claim(&self, is_own: bool) -> Option<usize> {
        let one = if is_own { 1 } else { Self::FAR };
        // Each thread is refused once in a job, so that neither half runs over.
        let claimed = self.claimed.fetch_add(one, Ordering::Relaxed);
        let (near, far) = ((claimed % Self::FAR) as usize, (claimed / Self::FAR) as usize);
        let len = self.len.load(Ordering::Relaxed);
        let left = len.checked_sub(near + far).filter(|&left| left > 0)?;
        Some(if is_own { near } else { near + left - 1 })
    }

    fn has_tasks(&self) -> bool {
        self.len.load(Ordering::Relaxed) > 0
    }

    /// Leaves nothing to claim.
    fn drop_rest(&self) {
        self.len.store(0, Ordering::Relaxed);
    }
}

/// Which parts may have tasks left, so that a thread that is done looks at no others: a bit for each.
#[derive(Default)]
struct Left(Box<[AtomicU64]>);

impl Left {
    fn new(parts: usize) -> Self {
        Self((0..parts.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Says of every part whether it has tasks.
    fn fill(&self, has_tasks: impl Fn(usize) -> bool) {
        for (at, word) in self.0.iter().enumerate() {
            let bits =
                (0..64).filter(|bit| has_tasks(64 * at + bit)).fold(0, |all, bit| all | 1 << bit);
            word.store(bits, Ordering::Relaxed);
        }
    }

    /// Nothing is left of a part.
    fn clear(&self, part: usize) {
        self.0[part / 64].fetch_and(!(1 << (part % 64)), Ordering::Relaxed);
    }

    /// A part that may have tasks left: the next one behind `thread`, or else the first.
    fn next(&self, thread: usize) -> Option<usize> {
        let from = |first: usize| {
            self.0.iter().enumerate().skip(first / 64).find_map(|(at, word)| {
                let below = if at == first / 64 { (1 << (first % 64)) - 1 } else { 0 };
                let bits = word.load(Ordering::Relaxed) & !below;
                (bits != 0).then(|| 64 * at + bits.trailing_zeros() as usize)
            })
        };
        from(thread).or_else(|| from(0))
    }
}

#[derive(Default)]
struct Shared {
    /// One for each thread.
    parts: Box<[Part]>,
    left_parts: Left,
    /// Written by `open` while the gate is shut and nobody is inside; read by those inside.
    job: UnsafeCell<Option<Job>>,
    /// [`OPEN`] plus the number of workers inside the job.
    gate: AtomicUsize,
    /// Counts jobs, so that a waiting worker sees a new one.
    epoch: AtomicUsize,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    asleep: Mutex<()>,
    wake: Condvar,
    /// Whether the caller sleeps until the last worker has left.
    is_closing: AtomicBool,
    left: Condvar,
    /// The first panic of the current job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is the only field that is not already Sync, and `gate` orders its accesses: it is
// written only while no worker is inside, and read only by the caller and by workers that entered
// through the open gate afterwards. Its pointer targets a `Sync` function.
unsafe impl Sync for Shared {}
// SAFETY: as for Sync; the pointer's target is usable from any thread.
unsafe impl Send for Shared {}

impl Shared {
    /// Of a pool of so many threads.
    fn new(threads: usize) -> Self {
        Self {
            parts: (0..threads).map(|_| Part::default()).collect(),
            left_parts: Left::new(threads),
            ..Self::default()
        }
    }

    /// Publishes `job` and wakes the workers. The gate is shut and empty.
    fn open(&self, job: Job, len: &dyn Fn(usize) -> usize) {
        debug_assert_eq!(self.gate.load(Ordering::SeqCst), 0);
        // SAFETY: the gate is shut and nobody is inside, so nothing else accesses the cell.
        unsafe { *self.job.get() = Some(job) };
        self.parts.iter().enumerate().for_each(|(at, part)| part.fill(len(at)));
        self.left_parts.fill(|at| self.parts.get(at).is_some_and(Part::has_tasks));
        self.gate.store(OPEN, Ordering::Release);
        self.announce();
    }

    /// Shuts the gate and waits for those inside.
    fn close(&self) {
        self.gate.fetch_and(!OPEN, Ordering::SeqCst);
        for _ in 0..SPINS {
            if self.gate.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        self.sleep_until_left();
    }

    /// A worker that is late has most likely lost its core to another thread. Sleeping frees
    /// this core, and the system moves the worker here.
    fn sleep_until_left(&self) {
        let mut asleep = lock(&self.asleep);
        // An exchange where a store would do: under qemu's AArch64 on x86 (7.2) the load below
        // may overtake a store, and the last worker's word of leaving is lost.
        self.is_closing.swap(true, Ordering::SeqCst);
        while self.gate.load(Ordering::SeqCst) != 0 {
            asleep = self.left.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        self.is_closing.store(false, Ordering::SeqCst);
    }

    fn announce(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        // A sleeper counts itself before it looks at the epoch, both sequentially consistent, so
        // either it sees the new epoch or this load sees it.
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _asleep = lock(&self.asleep);
            self.wake.notify_all();
        }
    }

    /// Claims and runs tasks until none is left, first those of the thread's own part. The caller
    /// is inside the job.
    fn work(&self, thread: usize) {
        // SAFETY: the job is written only before the gate opens, and this thread is inside.
        let Some(job) = (unsafe { *self.job.get() }) else { return };
        // SAFETY: `Pool::run_parts` keeps the function alive until everybody inside has left.
        let task = unsafe { &*job.0 };
        let result = catch_unwind(AssertUnwindSafe(|| {
            inside_a_task(|| {
                // First its own.
                while let Some(part) = self.left_parts.next(thread) {
                    while let Some(index) = self.parts[part].claim(part == thread) {
                        task(Place { thread, part, index });
                    }
                    self.left_parts.clear(part);
                }
            });
        }));
        if let Err(payload) = result {
            self.parts.iter().for_each(Part::drop_rest);
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// Enters the job, unless the gate is shut.
    fn enter(&self) -> bool {
        self.gate
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |gate| {
                (gate & OPEN != 0).then_some(gate + 1)
            })
            .is_ok()
    }

    fn leave(&self) {
        let inside = self.gate.fetch_sub(1, Ordering::SeqCst);
        // As in `announce`: either this load sees that the caller sleeps, or the caller sees
        // that everybody has left.
        if inside == 1 && self.is_closing.load(Ordering::SeqCst) {
            let _asleep = lock(&self.asleep);
            self.left.notify_all();
        }
    }

    /// Returns the epoch once it differs from `seen`.
    fn wait(&self, seen: usize) -> usize {
        for _ in 0..SPINS {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                return epoch;
            }
            std::hint::spin_loop();
        }
        self.sleep(seen)
    }

    fn sleep(&self, seen: usize) -> usize {
        let mut asleep = lock(&self.asleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let epoch = loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                break epoch;
            }
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        epoch
    }
}

fn spawn_worker(index: usize, shared: &Arc<Shared>, started: &Arc<Barrier>) -> JoinHandle<()> {
    let (shared, started) = (Arc::clone(shared), Arc::clone(started));
    std::thread::Builder::new()
        .name(format!("kernels-{index}"))
        .spawn(move || {
            started.wait();
            serve(&shared, index);
        })
        .expect("the system can start a thread")
}

fn serve(shared: &Shared, thread: usize) {
    let mut seen = 0;
    loop {
        seen = shared.wait(seen);
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        if shared.enter() {
            shared.work(thread);
            shared.leave();
        }
    }
}

/// Locks; the data of these mutexes stays valid when a thread panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
