//! Looks at the session and writes down what changed, once for all sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::server::Shared;

/// How long a change may go unnoticed, if it did not come through this server.
const LOOK: Duration = Duration::from_millis(50);

/// How often the statistics are written.
const PERIOD: Duration = Duration::from_millis(500);

/// Publishes until the server ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut version, mut due) = (None, Instant::now());
    loop {
        let state = shared.app.state();
        if version != Some(state.version) {
            version = Some(state.version);
            shared.state.send_replace(text(&serde_json::json!({ "state": state })));
        }
        if Instant::now() >= due {
            due = Instant::now() + PERIOD;
            shared.statistics.send_replace(text(&shared.app.statistics()));
        }
        tokio::select! {
            _ = looks.tick() => {}
            () = shared.changed.notified() => {}
            () = shared.stopping() => return,
        }
    }
}

/// A value of our own as JSON; such values always have one.
pub(crate) fn text(value: &impl Serialize) -> Utf8Bytes {
    serde_json::to_string(value).unwrap_or_default().into()
}
