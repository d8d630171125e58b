//! What all tasks of a server share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use laterna_control::Command;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::app::{App, Refused};
use crate::options::{Limits, Options};
use crate::socket::Feeder;

pub(crate) struct Shared {
    pub(crate) app: Arc<dyn App>,
    pub(crate) limits: Limits,
    pub(crate) address: SocketAddr,
    pub(crate) hosts: Vec<String>,
    pub(crate) token: Option<Arc<str>>,
    /// True once the server ends.
    pub(crate) stopped: watch::Receiver<bool>,
    /// The state as the message that sockets get.
    pub(crate) state: watch::Sender<Utf8Bytes>,
    /// The statistics as JSON.
    pub(crate) statistics: watch::Sender<Utf8Bytes>,
    /// The state may have changed: look now.
    pub(crate) changed: Notify,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) viewers: Arc<Semaphore>,
    /// Which socket gives pictures.
    pub(crate) feeder: watch::Sender<Feeder>,
    pub(crate) counts: [AtomicU64; Count::ALL.len()],
    pub(crate) start: Instant,
    next_client: AtomicU64,
}

/// What a server counts about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Commands that were done, from wherever they came.
    Commands,
    /// Commands that were not.
    Refused,
    /// Messages, packets and bodies that mean nothing.
    Malformed,
    /// Pictures from browsers that were decoded.
    Pictures,
    /// Pictures from browsers that a newer one replaced.
    Replaced,
    /// Viewers that were dropped as too slow.
    Slow,
    /// Connections turned away as there were too many.
    TurnedAway,
}

impl Count {
    pub(crate) const ALL: [(Self, &'static str); 7] = [
        (Self::Commands, "commands"),
        (Self::Refused, "refused_commands"),
        (Self::Malformed, "malformed_messages"),
        (Self::Pictures, "browser_pictures"),
        (Self::Replaced, "replaced_browser_pictures"),
        (Self::Slow, "slow_viewers"),
        (Self::TurnedAway, "connections_turned_away"),
    ];
}

impl Shared {
    pub(crate) fn new(
        app: Arc<dyn App>,
        options: &Options,
        address: SocketAddr,
        token: Option<Arc<str>>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let limits = options.limits;
        Self {
            app,
            limits,
            address,
            hosts: options.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            token,
            stopped,
            state: watch::Sender::default(),
            statistics: watch::Sender::default(),
            changed: Notify::new(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            viewers: Arc::new(Semaphore::new(limits.viewers)),
            feeder: watch::Sender::default(),
            counts: Default::default(),
            start: Instant::now(),
            next_client: AtomicU64::new(1),
        }
    }

    pub(crate) fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn client_number(&self) -> u64 {
        self.next_client.fetch_add(1, Ordering::Relaxed)
    }

    /// A place among the viewers, if there is one.
    pub(crate) fn viewer(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.viewers).try_acquire_owned().ok()
    }

    /// Waits until the server ends.
    pub(crate) async fn stopping(&self) {
        // An error means that the server is gone altogether.
        let _ = self.stopped.clone().wait_for(|&stopped| stopped).await;
    }

    /// Does a command where waiting harms nobody, and has the change published.
    pub(crate) async fn command(self: &Arc<Self>, command: Command) -> Result<(), Refused> {
        let app = Arc::clone(&self.app);
        let work =
            move || command.check().map_err(Refused::from).and_then(|()| app.command(command));
        let done = spawn_blocking(work).await.unwrap_or_else(|_| {
            let why = "the command failed, which is a bug".to_owned();
            Err(Refused::Failed { why, hint: None })
        });
        self.count(if done.is_ok() { Count::Commands } else { Count::Refused });
        self.changed.notify_one();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_place() {
        for (place, (count, _)) in Count::ALL.into_iter().enumerate() {
            assert_eq!(count as usize, place);
        }
    }
}
