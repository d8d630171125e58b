//! Takes the choice of an activation out of a loop: the loop is compiled once for each.

use crate::isa::Simd;
use crate::math::Activation;

/// A loop that applies an activation to many vectors.
pub(crate) trait ActivationLoop {
    /// Runs the loop. Must be `#[inline(always)]`: [`unswitch`] passes a constant, and inlining
    /// reduces the body to that one function.
    fn run<S: Simd>(self, s: S, activation: Activation);
}

/// Runs `work` with `activation`, which is a constant in each arm.
#[inline(always)]
pub(crate) fn unswitch<S: Simd>(s: S, activation: Activation, work: impl ActivationLoop) {
    match activation {
        Activation::Identity => work.run(s, Activation::Identity),
        Activation::Relu => work.run(s, Activation::Relu),
        Activation::Silu => work.run(s, Activation::Silu),
        Activation::Gelu => work.run(s, Activation::Gelu),
        Activation::GeluTanh => work.run(s, Activation::GeluTanh),
        Activation::QuickGelu => work.run(s, Activation::QuickGelu),
        Activation::Tanh => work.run(s, Activation::Tanh),
        Activation::Sigmoid => work.run(s, Activation::Sigmoid),
    }
}
