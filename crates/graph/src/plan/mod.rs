//! The memory plan.

use thiserror::Error;

/// Why a plan could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The arena would be larger than the address space.
    #[error("the activations need more memory than can be addressed")]
    TooLarge,
}
