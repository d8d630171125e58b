//! Networks, tokenizers and folders against the fixtures.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod clip;
mod common;
mod folder;
mod frame;
mod lora;
mod mutations;
mod presets;
mod unet;
mod vae;
