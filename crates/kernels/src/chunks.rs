//! Splits an output buffer over the tasks of a pool, each task owning one piece of it.
//! Kernels whose tasks write disjoint, contiguous ranges need no other unsafe code.

use crate::Pool;
use std::ops::Range;

/// Elements of one task of a kernel that streams through memory, at most: tens of microseconds, and
/// few enough to stay in a second-level cache between two passes.
const MOST_ELEMENTS: usize = 1 << 14;

/// Elements below which claiming a task is no longer small beside it.
const LEAST_ELEMENTS: usize = 1 << 13;

/// Tasks for each thread, so that a thread that was held up leaves little behind.
const TASKS_PER_THREAD: usize = 4;

/// Elements of one task of a kernel that streams through `total` in all. Its results do not depend
/// on where they are cut.
pub(crate) fn task_elements(pool: &Pool, total: usize) -> usize {
    let even = total.div_ceil(TASKS_PER_THREAD * pool.threads());
    even.clamp(LEAST_ELEMENTS, MOST_ELEMENTS)
}

/// Rows that are converted by one task.
const TASK_ROWS: usize = 64;

/// Calls `task` for runs of rows that make up `0..rows`, in parallel.
pub(crate) fn for_each_rows(pool: &Pool, rows: usize, task: impl Fn(Range<usize>) + Sync) {
    pool.run(rows.div_ceil(TASK_ROWS), &|index| {
        task(index * TASK_ROWS..rows.min((index + 1) * TASK_ROWS));
    });
}

/// Calls `task(i, piece)` for the pieces of `len` elements of `data`, in parallel; piece i starts
/// at `i * len` and the last may be shorter.
pub(crate) fn for_each_chunk<T: Send>(
    pool: &Pool,
    data: &mut [T],
    len: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    assert!(len > 0, "a piece has at least one element");
    let total = data.len();
    let start = Start(data.as_mut_ptr());
    pool.run(total.div_ceil(len), &|index| {
        let from = index * len;
        // SAFETY: `from + count <= total`, so the piece lies in `data`, which is borrowed
        // exclusively until `run` returns. The pool calls each index once, and the pieces of
        // different indices do not overlap.
        let piece =
            unsafe { std::slice::from_raw_parts_mut(start.get().add(from), len.min(total - from)) };
        task(index, piece);
    });
}

/// The first element of the buffer that is split.
struct Start<T>(*mut T);

impl<T> Start<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: the pointer is only used to make the disjoint pieces of `for_each_chunk`, and the
// elements may be used from other threads since `T: Send`.
unsafe impl<T: Send> Sync for Start<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_enough_for_all_threads_and_none_is_tiny() {
        for threads in [1, 2, 64] {
            let pool = Pool::simulated(threads);
            for total in [0, 1, 5_000, 1 << 20, 1 << 24] {
                let len = task_elements(&pool, total);
                assert!((LEAST_ELEMENTS..=MOST_ELEMENTS).contains(&len));
                let enough = total.div_ceil(len) >= 3 * threads;
                assert!(enough || len == LEAST_ELEMENTS, "{threads} {total}: {len}");
            }
        }
    }

    #[test]
    fn pieces_cover_the_buffer_once() {
        let pool = Pool::new(3);
        for total in [0, 1, 6, 7, 8, 100] {
            let mut data = vec![0usize; total];
            for_each_chunk(&pool, &mut data, 7, |index, piece| {
                for (i, value) in piece.iter_mut().enumerate() {
                    *value += index * 7 + i + 1;
                }
            });
            assert!(data.iter().enumerate().all(|(i, &value)| value == i + 1), "{total}");
        }
    }
}
