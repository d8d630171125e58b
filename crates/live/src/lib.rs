//! The live session: the pipeline with a diffusion model in it, everything that
//! can be asked of it while it runs, and what it tells about itself.
//!
//! Where pictures come from, which models there are and where files go comes
//! from outside ([`Ports`]), and so does the time; a whole session runs in a test
//! in milliseconds.
#![forbid(unsafe_code)]

mod glide;
mod hub;
mod log;
mod monitor;
mod painter;
mod ports;
mod session;
mod sizes;
mod switch;

pub use painter::{Memory, Painter};
pub use ports::{Ports, Tell};
pub use session::{Asked, RECORDING_RATE, Refused, Session, Start, settings_of};
