//! Splits an output buffer over the tasks of a pool, each task owning one piece of it.
//! Kernels whose tasks write disjoint, contiguous ranges need no other unsafe code.

use crate::Pool;

/// Elements of one task of a kernel that streams through memory: tens of microseconds, and small
/// enough to stay in a second-level cache between two passes.
pub(crate) const TASK_ELEMENTS: usize = 1 << 14;

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
