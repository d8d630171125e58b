//! The arithmetic of diffusion around the network: schedulers, which say at
//! which noise levels it is called and how each call moves the latent.
#![forbid(unsafe_code)]

pub mod scheduler;
