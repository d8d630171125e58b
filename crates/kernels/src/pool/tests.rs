//! Every task runs once, whoever runs it, and a simulated pool tells the time of its threads.

use super::*;

fn counts(pool: &Pool, tasks: usize) -> Vec<usize> {
    let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    pool.run(tasks, &|i| {
        counts[i].fetch_add(1, Ordering::Relaxed);
    });
    counts.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_task_runs_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads);
        for tasks in [0, 1, 2, 7, 1000] {
            assert_eq!(counts(&pool, tasks), vec![1; tasks]);
        }
    }
}

#[test]
fn calls_that_overlap_have_numbers_of_their_own() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads);
        let busy: Vec<AtomicBool> = (0..threads).map(|_| AtomicBool::new(false)).collect();
        let done = AtomicUsize::new(0);
        pool.run_numbered(500, &|thread, _| {
            assert!(!busy[thread].swap(true, Ordering::SeqCst), "number {thread} is in use");
            std::thread::yield_now();
            busy[thread].store(false, Ordering::SeqCst);
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 500);
    }
}

#[test]
fn every_part_is_run_whole() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads);
        for round in 0..50 {
            let len = |part: usize| part * part + round % 3;
            let done: Vec<Vec<AtomicUsize>> = (0..threads)
                .map(|part| (0..len(part)).map(|_| AtomicUsize::new(0)).collect())
                .collect();
            pool.run_parts(&len, &|Place { thread, part, index }| {
                assert!(thread < threads);
                done[part][index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().flatten().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}

#[test]
fn threads_run_their_own_part_from_the_near_end_and_others_from_the_far_end() {
    let part = Part::default();
    part.fill(5);
    let claims = [true, false, true, true, false, true, false];
    let claimed = claims.map(|is_own| part.claim(is_own));
    assert_eq!(claimed, [Some(0), Some(4), Some(1), Some(2), Some(3), None, None]);
    part.fill(2);
    assert_eq!(part.claim(false), Some(1));
    part.drop_rest();
    assert_eq!(part.claim(true), None);
}

#[test]
fn what_is_left_is_looked_for_from_the_thread_on() {
    let left = Left::new(130);
    left.fill(|part| [3, 64, 129].contains(&part));
    let next = |thread| left.next(thread);
    assert_eq!([0, 3, 4, 65, 129].map(next), [Some(3), Some(3), Some(64), Some(129), Some(129)]);
    left.clear(129);
    assert_eq!([65, 129].map(next), [Some(3), Some(3)]);
    left.clear(3);
    assert_eq!(next(65), Some(64));
    left.clear(64);
    assert_eq!(next(0), None);
}

#[test]
fn many_tiny_jobs_see_their_own_data() {
    let pool = Pool::new(4);
    for round in 0..20_000 {
        let sum = AtomicUsize::new(0);
        pool.run(3, &|i| {
            sum.fetch_add(round + i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 3 * round + 3);
    }
}

#[test]
fn jobs_after_sleep_wake_the_workers() {
    let pool = Pool::new(2);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(5));
        // Both tasks wait for each other, so both threads must take part.
        let barrier = Barrier::new(2);
        pool.run(2, &|_| {
            barrier.wait();
        });
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3);
    for _ in 0..50 {
        let run = || pool.run(64, &|i| assert_ne!(i, 13, "task thirteen"));
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert!(payload.downcast_ref::<String>().unwrap().contains("task thirteen"));
        assert_eq!(counts(&pool, 10), vec![1; 10]);
    }
}

#[test]
fn a_nested_run_completes() {
    let pool = Pool::new(2);
    let total = AtomicUsize::new(0);
    pool.run(4, &|_| {
        pool.run(5, &|_| {
            total.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(total.into_inner(), 20);
}

#[test]
fn callers_on_several_threads_take_turns() {
    let pool = Pool::new(2);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(counts(&pool, 5), vec![1; 5]);
                }
            });
        }
    });
}

#[test]
fn a_simulated_pool_saves_what_its_threads_would() {
    let pause = Duration::from_millis(2);
    for (threads, tasks) in [(1, 6), (3, 6), (64, 6), (64, 1)] {
        let pool = Pool::simulated(threads);
        assert_eq!(pool.threads(), threads);
        let (clock, start) = (pool.clock(), Instant::now());
        pool.run_numbered(tasks, &|thread, _| {
            assert_eq!(thread, 0);
            // A run within a task stays on its thread.
            pool.run(2, &|_| std::thread::sleep(pause));
        });
        let elapsed = start.elapsed();
        let length = pool.clock() - clock;
        assert!(length >= 2 * tasks.div_ceil(threads) as u32 * pause, "{threads} {tasks}");
        assert_eq!(elapsed.saturating_sub(length) >= pause, threads.min(tasks) > 1);
        assert_eq!(counts(&pool, tasks), vec![1; tasks]);
    }
}

#[test]
fn physical_cores_are_among_the_logical_ones() {
    let logical = std::thread::available_parallelism().unwrap().get();
    assert!((1..=logical).contains(&physical_cores()));
}
