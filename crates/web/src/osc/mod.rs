//! Control over OSC 1.0 by UDP, for lighting desks, sequencers and phones. OSC
//! knows no token: who can send a packet here can control the session, so it is
//! off unless asked for. docs/osc.md lists the addresses.
//!
//! Nothing is sent back. Packets that mean nothing are counted and passed over.

mod address;
mod packet;

use std::sync::Arc;
use std::time::Duration;

use laterna_control::{Change, Command, Controls};
use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::server::{Count, Shared};

/// The largest packet that UDP has.
const PACKET_BYTES: usize = 65_536;

/// Packets that are taken at once. A fader sends hundreds a second, of which
/// only the last counts; what the system cannot keep meanwhile it drops.
const AT_ONCE: usize = 256;

/// Between two turns: no frame is shorter.
const PAUSE: Duration = Duration::from_millis(4);

/// Receives until the server ends.
pub(crate) async fn run(shared: Arc<Shared>, socket: UdpSocket) {
    let mut buffer = vec![0; PACKET_BYTES];
    loop {
        let received = tokio::select! {
            received = socket.recv(&mut buffer) => received,
            () = shared.stopping() => return,
        };
        let mut turn = Turn::new(&shared);
        // Of an error, such as an answer that nobody listens, nothing follows.
        let mut length = received.unwrap_or(0);
        for _ in 0..AT_ONCE {
            turn.packet(&buffer[..length]).await;
            match socket.try_recv(&mut buffer) {
                Ok(next) => length = next,
                Err(_) => break,
            }
        }
        turn.flush().await;
        sleep(PAUSE).await;
    }
}

/// What comes in one turn: changes that follow each other become one.
struct Turn<'a> {
    shared: &'a Arc<Shared>,
    /// As they will be with the change.
    controls: Controls,
    change: Change,
}

impl<'a> Turn<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        Self { shared, controls: shared.app.state().controls, change: Change::default() }
    }

    async fn packet(&mut self, bytes: &[u8]) {
        let Ok(messages) = packet::parse(bytes) else {
            return self.shared.count(Count::Malformed);
        };
        for message in messages {
            match address::command(&message, &self.controls) {
                Ok(Some(Command::Set(change))) => self.set(change),
                Ok(Some(command)) => self.command(command).await,
                Ok(None) => {}
                Err(_) => self.shared.count(Count::Malformed),
            }
        }
    }

    /// A value that cannot be is left out alone.
    fn set(&mut self, change: Change) {
        match change.applied(&self.controls) {
            Ok(controls) => {
                self.controls = controls;
                self.change.merge(change);
            }
            Err(_) => self.shared.count(Count::Refused),
        }
    }

    async fn command(&mut self, command: Command) {
        self.flush().await;
        // Counted there; there is nobody to tell.
        let _ = self.shared.command(command).await;
        self.controls = self.shared.app.state().controls;
    }

    async fn flush(&mut self) {
        let change = std::mem::take(&mut self.change);
        if change != Change::default() {
            let _ = self.shared.command(Command::Set(change)).await;
        }
    }
}
