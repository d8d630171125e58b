//! Diffusion: schedulers, which say at which noise levels the network is called
//! and how each call moves the latent, the seeded noise they consume, and the
//! sessions that turn a prompt and a picture into a picture.
#![forbid(unsafe_code)]

pub mod live;
pub mod noise;
mod rated;
pub mod scheduler;
pub mod session;
mod step;

pub use rated::{PromptState, RatedError, RatedInstance, RatedProgram};
pub use step::one_step;
