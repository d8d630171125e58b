//! The vocabulary of a live session: what can be set ([`Controls`]), changed
//! ([`Change`]), asked for ([`Command`]) and known ([`State`]) while it runs.
//! Page, API, OSC, keyboard, log and replay all speak it; it does nothing itself.
#![forbid(unsafe_code)]

mod change;
mod command;
mod controls;
pub mod gallery;
pub mod log;
mod state;

pub use change::Change;
pub use command::{Command, Lora, ModelChoice};
pub use controls::{
    Controls, Fit, Invalid, LONGEST_PROMPT_BYTES, MOST_PROMPTS, Prompt, SIDES, Size,
};
pub use state::{
    Activity, Level, MOST_NOTICES, ModelOffer, Notice, Recording, SourceChoice, State,
};
