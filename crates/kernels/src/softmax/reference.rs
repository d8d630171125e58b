//! The plain definition of softmax, in f64.

/// What [`super::softmax`] computes.
pub fn softmax(columns: usize, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let power = |x: f32| (f64::from(x) - f64::from(max)).exp();
        let total: f64 = x.iter().map(|&x| power(x)).sum();
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (power(x) / total) as f32;
        }
    }
}
