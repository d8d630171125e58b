//! How a server is set up, and what it allows its clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens. Port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients must show. Without one, a server that others than this
    /// machine can reach makes a random one, and any other needs none.
    pub token: Option<String>,
    /// Further names that a server on the loopback interface answers to.
    pub hosts: Vec<String>,
    /// Where OSC packets come in; none if there is no address.
    pub osc: Option<SocketAddr>,
    /// What clients may use up.
    pub limits: Limits,
}

/// The port unless another is asked for.
pub const PORT: u16 = 7860;

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT),
            token: None,
            hosts: Vec::new(),
            osc: None,
            limits: Limits::default(),
        }
    }
}

/// What clients may use up. Each is a bound on memory, threads or time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections of any kind.
    pub connections: usize,
    /// Sockets and streams: each has a sink of the session with its thread.
    pub viewers: usize,
    /// A text message or the body of a request, in bytes.
    pub text_bytes: usize,
    /// A picture from a browser, in bytes.
    pub picture_bytes: usize,
    /// A side of a picture from a browser, in pixels.
    pub picture_side: usize,
    /// Messages a second of one socket; twice as many may come at once. Those
    /// above it wait on the client's side.
    pub messages_per_s: f64,
    /// A viewer that has not taken its last picture for so long is dropped, and
    /// so is a request whose head or body has not come.
    pub patience: Duration,
    /// A socket from which nothing came for so long is dropped; a third of it
    /// without a message sends a ping.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            viewers: 16,
            text_bytes: 64 << 10,
            picture_bytes: 8 << 20,
            picture_side: 4096,
            messages_per_s: 300.0,
            patience: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }
}

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address is taken, forbidden, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The same, for OSC.
    #[error("cannot receive OSC on {address}: {source}")]
    Osc {
        /// As asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The system starts no more threads.
    #[error("cannot start the server's thread: {0}")]
    Thread(io::Error),
    /// The system has no random numbers for a token.
    #[error("cannot make a token: {0}")]
    Random(String),
    /// A token that cannot stand in an address.
    #[error("a token has 16 to 128 letters, digits, - or _")]
    Token,
}
