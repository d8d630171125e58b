//! Accepts connections up to a number, gives each its time limits, and can cut
//! one off whose client does not read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{sleep, timeout};

use super::{Count, Shared};
use crate::api;

/// Bytes that hyper gathers for a client before it makes the response wait.
const BUFFER_BYTES: usize = 64 << 10;

/// The heads of our own page's requests are a tenth of this.
const MOST_HEADERS: usize = 64;

const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// One connection, as long as anything uses it.
#[derive(Debug)]
pub(crate) struct Connection {
    _place: OwnedSemaphorePermit,
    cut: Notify,
}

impl Connection {
    /// Ends the connection at once, whatever is still to be sent.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }
}

/// Accepts until the server ends.
pub(super) async fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let router = api::router(Arc::clone(shared));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopping() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, say: some other connection has to end first.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        match Arc::clone(&shared.connections).try_acquire_owned() {
            Ok(place) => {
                let connection = Arc::new(Connection { _place: place, cut: Notify::new() });
                let router = router.clone().layer(Extension(Arc::clone(&connection)));
                tokio::spawn(serve(Arc::clone(shared), stream, router, connection));
            }
            Err(_) => {
                shared.count(Count::TurnedAway);
                // Whether it gets there is the client's luck; nothing waits for it.
                let _ = stream.try_write(TURNED_AWAY);
            }
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    router: axum::Router,
    connection: Arc<Connection>,
) {
    // Pictures are sent whole, and acknowledgements must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.patience)
        .max_headers(MOST_HEADERS)
        .max_buf_size(BUFFER_BYTES);
    let http = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(http);
    // An error is the client's: it has gone or speaks no HTTP.
    tokio::select! {
        _ = http.as_mut() => return,
        () = connection.cut.notified() => return,
        () = shared.stopping() => {}
    }
    http.as_mut().graceful_shutdown();
    tokio::select! {
        _ = http => {}
        () = connection.cut.notified() => {}
    }
}

/// Waits until no connection is left, for up to `patience`.
pub(super) async fn ended(shared: &Shared, patience: Duration) {
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    // Late ones are cut off when the runtime ends.
    let _ = timeout(patience, shared.connections.acquire_many(all)).await;
}
