//! Normalisation of channels-last activations: over groups of channels and all positions
//! ([`group_norm`]), and over the channels of each row ([`layer_norm`]).
//!
//! Both take the mean first and then the squares of what is left, so that data far from zero lose
//! no digits, and keep the mean as a sum of two f32 for the same reason.

mod group_norm;
mod layer_norm;
mod moments;
pub mod reference;

pub use group_norm::{GroupNormShape, group_norm, group_norm_scratch_len};
pub use layer_norm::layer_norm;

/// `x` as the f32 nearest to it and the f32 nearest to the rest.
#[inline(always)]
fn split(x: f64) -> (f32, f32) {
    let high = x as f32;
    (high, (x - f64::from(high)) as f32)
}

#[cfg(test)]
mod tests;
