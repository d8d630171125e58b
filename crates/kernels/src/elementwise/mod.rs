//! Element-wise kernels: functions of one operand, and arithmetic on two with broadcasting.

mod binary;
pub mod reference;
mod unary;
mod unswitch;

pub use binary::{Binary, Broadcast, binary};
pub use unary::{Unary, copy, unary};
pub(crate) use unswitch::{ActivationLoop, unswitch};

#[cfg(test)]
mod tests;
