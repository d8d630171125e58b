//! Numbers that tests of the formats share.

use laterna_tensor::Shape;

/// Bell-shaped weights of a layer, the same on every run.
pub(super) fn weights(shape: Shape) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    (0..shape.elements()).map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 0.1).collect()
}

/// Root of the mean squared difference, over that of the values.
pub(super) fn relative_error(values: &[f32], decoded: &[f32]) -> f32 {
    assert_eq!(values.len(), decoded.len());
    let square = |x: f32| x * x;
    let error: f32 = values.iter().zip(decoded).map(|(a, b)| square(a - b)).sum();
    (error / values.iter().map(|&v| square(v)).sum::<f32>()).sqrt()
}
