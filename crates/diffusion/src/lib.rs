//! The arithmetic of diffusion around the network: schedulers, which say at
//! which noise levels it is called and how each call moves the latent, and the
//! seeded noise that they consume.
#![forbid(unsafe_code)]

pub mod noise;
pub mod scheduler;
