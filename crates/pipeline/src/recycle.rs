//! Buffers that several threads read and one thread writes again once the last
//! reader has let go. A pool belongs to its writer; readers hold plain `Arc`s,
//! so nothing is sent back and nothing allocates once the pool has grown.

use std::sync::Arc;

/// A pool of shared buffers.
#[derive(Debug)]
pub struct Recycler<T> {
    buffers: Vec<Arc<T>>,
}

impl<T> Recycler<T> {
    /// A pool that keeps at most `limit` buffers; beyond it they are freed by
    /// their last reader.
    pub fn new(limit: usize) -> Self {
        Self { buffers: Vec::with_capacity(limit) }
    }

    /// Writes into a free buffer for which `fits` holds, or a new one, and shares
    /// it. Free buffers that no longer fit are dropped.
    pub fn fill<R>(
        &mut self,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        write: impl FnOnce(&mut T) -> R,
    ) -> (Arc<T>, R) {
        let mut buffer = self.free(fits).unwrap_or_else(|| Arc::new(make()));
        let value = Arc::get_mut(&mut buffer).expect("a free buffer has one owner");
        let result = write(value);
        if self.buffers.len() < self.buffers.capacity() {
            self.buffers.push(Arc::clone(&buffer));
        }
        (buffer, result)
    }

    fn free(&mut self, fits: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.buffers.retain_mut(|buffer| Arc::get_mut(buffer).is_none_or(|value| fits(value)));
        let free = self.buffers.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some())?;
        Some(self.buffers.swap_remove(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pool: &mut Recycler<Vec<u8>>, length: usize, byte: u8) -> Arc<Vec<u8>> {
        pool.fill(|v| v.len() == length, || vec![0; length], |v| v.fill(byte)).0
    }

    #[test]
    fn a_buffer_is_used_again_once_its_readers_are_gone() {
        let mut pool = Recycler::new(4);
        let first = fill(&mut pool, 2, 1);
        let second = fill(&mut pool, 2, 2);
        assert_eq!((&**first, &**second), (&[1, 1][..], &[2, 2][..]));
        let address = first.as_ptr();
        drop(first);
        assert_eq!(fill(&mut pool, 2, 3).as_ptr(), address);
        assert_eq!(**second, [2, 2]);
    }

    #[test]
    fn buffers_of_another_size_are_dropped() {
        let mut pool = Recycler::new(4);
        drop(fill(&mut pool, 2, 1));
        assert_eq!(fill(&mut pool, 5, 9).len(), 5);
        assert_eq!(pool.buffers.len(), 1);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_limit() {
        let mut pool = Recycler::new(2);
        let held: Vec<_> = (0..5).map(|byte| fill(&mut pool, 1, byte)).collect();
        assert_eq!(pool.buffers.len(), 2);
        assert_eq!(held.iter().map(|v| v[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
