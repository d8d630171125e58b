//! The only task that writes to a socket: replies, what is published, and
//! pictures, of which one at most is on its way.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use laterna_pipeline::pace::Rate;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::message::{self, Bounds, Format, PROTOCOL, Reply, Wanted};
use super::{Client, Gone};
use crate::app::Attachment;
use crate::outlet::{Closed, Coding, Outlet, OutletSink, Picture, View};
use crate::publish::text;
use crate::server::Count;

/// Fastest rate that blends are made at.
const MOST_FPS: f64 = 240.0;

/// A page that joins a still scene, or has lost its picture, sees it within so
/// many pictures a second.
const LEAST_FPS: f64 = 1.0;

/// Writes until the page or the server ends.
pub(super) async fn run(
    client: &Client,
    sender: SplitSink<WebSocket, Message>,
    replies: mpsc::Receiver<Utf8Bytes>,
) -> Gone {
    let mut writer = Writer { client, sender, source: None, numbers: Arc::default() };
    let Err(gone) = writer.write(replies).await;
    gone
}

struct Writer<'a> {
    client: &'a Client,
    sender: SplitSink<WebSocket, Message>,
    source: Option<Source>,
    numbers: Arc<AtomicU64>,
}

/// Where pictures come from for the view of the moment.
struct Source {
    outlet: Arc<Outlet>,
    attachment: Attachment,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.outlet.close(Closed::Gone);
    }
}

impl Writer<'_> {
    async fn write(&mut self, mut replies: mpsc::Receiver<Utf8Bytes>) -> Result<Infallible, Gone> {
        let shared = &self.client.shared;
        let mut state = shared.state.subscribe();
        let mut statistics = shared.statistics.subscribe();
        let mut view = self.client.view.subscribe();
        let mut pings = interval(shared.limits.silence / 3);
        let first = state.borrow_and_update().clone();
        self.greet(first).await?;
        loop {
            let message = tokio::select! {
                Some(reply) = replies.recv() => Message::Text(reply),
                Ok(()) = state.changed() => Message::Text(state.borrow_and_update().clone()),
                Ok(()) = statistics.changed() => {
                    let json = statistics.borrow_and_update().clone();
                    Message::Text(self.statistics(&json))
                }
                Ok(()) = view.changed() => {
                    let wanted = *view.borrow_and_update();
                    self.attach(wanted.unwrap_or_default()).await?;
                    continue;
                }
                picture = next(self.source.as_ref().map(|source| &*source.outlet)) => self.picture(picture)?,
                _ = pings.tick() => Message::Ping(Bytes::new()),
                () = shared.stopping() => return self.bye().await,
            };
            self.send(message).await?;
        }
    }

    async fn greet(&mut self, state: Utf8Bytes) -> Result<(), Gone> {
        let hello = Reply::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION"),
            client: self.client.number,
            limits: Bounds::from(&self.client.shared.limits),
        };
        self.send(Message::Text(text(&hello))).await?;
        if state.is_empty() { Ok(()) } else { self.send(Message::Text(state)).await }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        let patience = self.client.shared.limits.patience;
        match timeout(patience, self.sender.send(message)).await {
            Ok(sent) => sent.map_err(|_| Gone),
            Err(_) => {
                self.client.shared.count(Count::Slow);
                Err(Gone)
            }
        }
    }

    async fn bye(&mut self) -> Result<Infallible, Gone> {
        self.source = None;
        self.send(Message::Text(text(&Reply::Bye))).await?;
        let frame = CloseFrame { code: close_code::AWAY, reason: "the server ends".into() };
        self.send(Message::Close(Some(frame))).await?;
        Err(Gone)
    }

    /// The statistics, and which of their sinks is this page.
    fn statistics(&self, json: &str) -> Utf8Bytes {
        let sink = self.source.as_ref().map(|source| source.attachment.number());
        let sink = sink.map_or("null".to_owned(), |number| number.to_string());
        format!("{{\"stats\":{json},\"sink\":{sink}}}").into()
    }

    /// Takes pictures as `wanted` from here on.
    async fn attach(&mut self, wanted: Wanted) -> Result<(), Gone> {
        self.source = None;
        let shared = &self.client.shared;
        let Wanted { width, format, quality, compare, blend_fps } = wanted;
        let coding = match format {
            Format::Jpeg => Coding::Jpeg { quality },
            Format::Rgba => Coding::Rgba,
        };
        let view = View { width, coding, compare };
        let rate = if blend_fps > 0.0 {
            Rate::Fixed { fps: blend_fps.min(MOST_FPS), interpolate: true }
        } else {
            Rate::AtLeast { fps: LEAST_FPS }
        };
        let outlet = Arc::new(Outlet::default());
        let sink = OutletSink::new(
            Arc::clone(&shared.app),
            Arc::clone(&outlet),
            view,
            shared.limits.patience,
            Arc::clone(&self.numbers),
        );
        match shared.app.attach("page", rate, Box::new(sink)) {
            Ok(attachment) => {
                self.client.set_outlet(Arc::clone(&outlet));
                self.source = Some(Source { outlet, attachment });
                Ok(())
            }
            Err(refused) => {
                let error = format!("no pictures can be shown: {refused}");
                self.send(Message::Text(text(&Reply::Error(&error)))).await
            }
        }
    }

    fn picture(&self, picture: Result<Picture, Closed>) -> Result<Message, Gone> {
        let picture = picture.map_err(|why| {
            if why == Closed::Slow {
                self.client.shared.count(Count::Slow);
            }
            Gone
        })?;
        Ok(Message::Binary(message::encode(&picture)))
    }
}

async fn next(outlet: Option<&Outlet>) -> Result<Picture, Closed> {
    match outlet {
        Some(outlet) => outlet.take().await,
        None => pending().await,
    }
}
