//! The running server: one thread with its own runtime, started with its socket
//! already bound, so that whoever has it can be connected to.

mod connections;
mod shared;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io, thread};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::app::App;
use crate::options::{Options, ServeError};
use crate::{osc, publish};

pub(crate) use connections::Connection;
pub(crate) use shared::{Count, Shared};

/// Threads for what may wait: commands, and pictures on their way in or out as
/// files.
const BLOCKING_THREADS: usize = 4;

/// How long connections are given to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Letters of a token made here: 160 bits.
const TOKEN_LETTERS: usize = 32;

/// A server at work. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    osc: Option<SocketAddr>,
    token: Option<Arc<str>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the address and starts serving `app`.
    ///
    /// # Errors
    /// If an address cannot be bound, the token cannot be one, or the system
    /// starts no thread.
    pub fn start(options: Options, app: Arc<dyn App>) -> Result<Self, ServeError> {
        let token = token(&options)?;
        let listen = |source| ServeError::Listen { address: options.address, source };
        let listener = TcpListener::bind(options.address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let packets = options.osc.map(bind_osc).transpose()?;
        let osc = packets.as_ref().and_then(|socket| socket.local_addr().ok());
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(app, &options, address, token.clone(), stopped));
        let runtime = runtime().map_err(ServeError::Thread)?;
        let body = move || {
            runtime.block_on(serve(shared, listener, packets));
            runtime.shutdown_timeout(FAREWELL);
        };
        let thread = thread::Builder::new().name("web".to_owned()).spawn(body);
        let thread = Some(thread.map_err(ServeError::Thread)?);
        Ok(Self { address, osc, token, stop, thread })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where OSC packets come in.
    pub fn osc_address(&self) -> Option<SocketAddr> {
        self.osc
    }

    /// The page's address for a browser, with the token if one is needed. Of a
    /// server that listens everywhere it is the address that this machine has in
    /// its network, as far as that can be told.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(outward().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        match &self.token {
            Some(token) => format!("http://{address}/?token={token}"),
            None => format!("http://{address}/"),
        }
    }

    /// Says goodbye to all clients and ends the thread. The session's sinks are
    /// released first, so it is to be called before the session is stopped.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // An error means that the thread has ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("web-blocking")
        .build()
}

async fn serve(shared: Arc<Shared>, listener: TcpListener, packets: Option<UdpSocket>) {
    // Both fail only if the runtime has no I/O, and this one has.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let packets = packets.and_then(|socket| tokio::net::UdpSocket::from_std(socket).ok());
    tokio::spawn(publish::run(Arc::clone(&shared)));
    if let Some(socket) = packets {
        tokio::spawn(osc::run(Arc::clone(&shared), socket));
    }
    connections::accept(&shared, listener).await;
    connections::ended(&shared, FAREWELL).await;
}

fn bind_osc(address: SocketAddr) -> Result<UdpSocket, ServeError> {
    let osc = |source| ServeError::Osc { address, source };
    let socket = UdpSocket::bind(address).map_err(osc)?;
    socket.set_nonblocking(true).map_err(osc)?;
    Ok(socket)
}

/// The token to ask for, if any.
fn token(options: &Options) -> Result<Option<Arc<str>>, ServeError> {
    match &options.token {
        Some(token) if is_token(token) => Ok(Some(token.as_str().into())),
        Some(_) => Err(ServeError::Token),
        None if options.address.ip().is_loopback() => Ok(None),
        None => random_token().map(Some),
    }
}

fn is_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (16..=128).contains(&text.len()) && text.bytes().all(is_plain)
}

fn random_token() -> Result<Arc<str>, ServeError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; TOKEN_LETTERS];
    getrandom::fill(&mut bytes).map_err(|error| ServeError::Random(error.to_string()))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect::<String>()
        .into())
}

/// This machine's address in its network. Connecting a UDP socket sends nothing;
/// the address is one that is reserved for documentation.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_needed_where_others_can_reach() {
        let mut options = Options::default();
        assert_eq!(token(&options).unwrap(), None);
        options.address.set_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (first, second) =
            (token(&options).unwrap().unwrap(), token(&options).unwrap().unwrap());
        assert!(is_token(&first) && first.len() == TOKEN_LETTERS && first != second);
    }

    #[test]
    fn a_token_can_stand_in_an_address() {
        let with =
            |text: &str| token(&Options { token: Some(text.to_owned()), ..Options::default() });
        assert!(with("abcdefgh_ABCD-12").unwrap().is_some());
        for bad in ["", "short", "with a space in it", "&token=aaaaaaaaaaaaaaa"] {
            assert!(matches!(with(bad), Err(ServeError::Token)), "{bad}");
        }
    }
}
