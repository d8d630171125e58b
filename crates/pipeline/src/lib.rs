//! The live pipeline: capture, prepare, infer, finish and one thread for each
//! sink, joined by slots that hold the latest value.
//!
//! Nothing queues. A frame that is replaced before it is used is counted, and
//! each frame carries its capture time to the glass, so that latency is measured
//! and not guessed. The model, the camera, the display and the time come from
//! outside ([`port`]); on a [`sim::SimClock`] an hour runs in moments.
//!
//! ```text
//! Source ─► capture ─[slot]─► prepare ─[slot]─► infer ─[slot]─► finish ─[slot]─► Sink
//!                               ▲                │ │                └───[slot]─► Sink
//!                               └──── demand ────┘ └ Stage ◄─[slot]─ load
//! ```
#![forbid(unsafe_code)]

mod axis;
mod backoff;
mod bell;
pub mod blend;
mod clock;
mod demand;
pub mod event;
pub mod frame;
pub mod govern;
mod guard;
pub mod histogram;
mod image;
pub mod pace;
pub mod port;
pub mod prepare;
pub mod recycle;
mod run;
pub mod settings;
pub mod sim;
pub mod similar;
mod slot;
pub mod stats;
mod sync;

pub use bell::Bell;
pub use clock::SystemClock;
pub use image::{Image, Size};
pub use run::{Parts, Pipeline, SinkId};
pub use slot::{Slot, Taken};
