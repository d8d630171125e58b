//! Random inputs and comparisons for the tests of this crate.

/// A small generator (xorshift64*), seeded so that a failure repeats.
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in `low..=high`.
    pub fn integer(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() >> 33) as usize % (high - low + 1)
    }

    pub fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// One of `items`.
    pub fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.integer(0, items.len() - 1)]
    }

    /// Uniform in [-1, 1).
    pub fn vector(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

/// Panics unless every |got - want| <= tolerance * max(1, max |want|).
pub(crate) fn assert_close(got: &[f32], want: &[f32], tolerance: f32, what: &dyn std::fmt::Debug) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs() / scale;
        assert!(error <= tolerance, "element {i}: {got}, not {want}: {what:?}");
    }
}

/// The error to allow a sum of `depth` products: rounding errors add up like a random walk.
pub(crate) fn sum_tolerance(depth: usize) -> f32 {
    2e-6 + 3e-8 * (depth as f32).sqrt()
}
