//! The page in the browser and everything else that reaches a live session over
//! the network: HTTP, WebSocket, OSC, metrics.
//!
//! [`Server`] runs in one thread of its own and knows the session only as an
//! [`App`]. It listens on this machine alone unless told otherwise, and asks for
//! a token where others can reach it. What its clients may use up is bounded by
//! [`Limits`]; a client that does not keep up is given fewer pictures, never
//! older ones.
#![forbid(unsafe_code)]

mod api;
mod app;
mod bucket;
mod guard;
mod options;
mod osc;
mod outlet;
mod page;
mod publish;
mod reply;
mod rgba;
mod server;
mod shrink;
mod socket;

pub use app::{App, Attachment, Demand, EncodeJpeg, Refused};
pub use options::{Limits, Options, PORT, ServeError};
pub use server::Server;
