//! The painting as an endless JPEG stream (multipart/x-mixed-replace), which
//! browsers, OBS and players show. The next picture is made when the last one
//! has left for the network.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use laterna_pipeline::pace::Rate;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::Attachment;
use crate::outlet::{Closed, Coding, Outlet, OutletSink, View};
use crate::reply::{Problem, typed};
use crate::server::{Connection, Count, Shared};

/// JPEG quality unless another is asked for.
const QUALITY: u8 = 85;

/// A reader that joins a still scene sees the picture again once a second: many
/// show a part only when the next one begins.
const LEAST_FPS: f64 = 1.0;

/// Fastest rate that is kept to.
const MOST_FPS: f64 = 240.0;

const KIND: &str = "multipart/x-mixed-replace; boundary=laterna";

/// Other fields, such as the token, are passed over.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    width: usize,
    quality: Option<u8>,
    fps: Option<f64>,
}

pub(super) async fn mjpeg(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Arc<Connection>>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, error.body_text())
            .hint("width is in pixels, quality goes from 1 to 100, fps from 1 to 240")
    })?;
    let place = shared.viewer().ok_or_else(|| Problem::full("viewers", shared.limits.viewers))?;
    let rate = match wanted.fps {
        Some(fps) if fps > 0.0 => Rate::Fixed { fps: fps.min(MOST_FPS), interpolate: false },
        _ => Rate::AtLeast { fps: LEAST_FPS },
    };
    let coding = Coding::Jpeg { quality: wanted.quality.unwrap_or(QUALITY) };
    let view = View { width: wanted.width, coding, compare: false };
    let (app, patience, outlet) = (&shared.app, shared.limits.patience, Arc::default());
    let numbers = Arc::new(AtomicU64::new(0));
    let sink = OutletSink::new(Arc::clone(app), Arc::clone(&outlet), view, patience, numbers);
    let attachment = app.attach("stream", rate, Box::new(sink))?;
    let watched = Arc::clone(&outlet);
    tokio::spawn(watch(Arc::clone(&shared), watched, connection));
    let reader = Reader { outlet, last: Vec::new(), number: 0, _parts: (attachment, place) };
    let mut response = typed(KIND, Body::from_stream(parts(reader)));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A stalled reader's response is never asked for its next part, so somebody
/// else has to notice; and the end of the server has to end the stream.
async fn watch(shared: Arc<Shared>, outlet: Arc<Outlet>, connection: Arc<Connection>) {
    tokio::select! {
        why = outlet.closed() => if why == Closed::Slow {
            shared.count(Count::Slow);
            connection.cut();
        },
        () = shared.stopping() => {
            outlet.close(Closed::Gone);
            connection.cut();
        }
    }
}

struct Reader {
    outlet: Arc<Outlet>,
    last: Vec<u8>,
    number: u64,
    _parts: (Attachment, OwnedSemaphorePermit),
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.outlet.close(Closed::Gone);
    }
}

fn parts(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(reader, |mut reader| async {
        reader.outlet.acknowledge(reader.number);
        let picture = reader.outlet.take().await.ok()?;
        reader.number = picture.number;
        if !picture.painting.bytes.is_empty() {
            reader.last = picture.painting.bytes;
        }
        let part = part(&reader.last);
        Some((Ok(part), reader))
    })
}

/// One picture with the boundary before it.
fn part(jpeg: &[u8]) -> Bytes {
    let head =
        format!("--laterna\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    [head.as_bytes(), jpeg, b"\r\n"].concat().into()
}
