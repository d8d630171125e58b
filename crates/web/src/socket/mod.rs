//! The socket of one page: a reader, a writer, a worker for commands and one for
//! pictures, which end together. Every queue between them has a bound.

mod message;
mod upload;
mod writer;

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use laterna_control::Command;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::app::Refused;
use crate::bucket::Bucket;
use crate::outlet::Outlet;
use crate::publish::text;
use crate::reply::Problem;
use crate::server::{Connection, Count, Shared};
use message::{Answer, Reply, Request, UPLOAD_HEADER_BYTES, Wanted};
use upload::{Received, Uploads};

pub(crate) use upload::Feeder;

/// Replies that wait to be sent.
const MOST_REPLIES: usize = 64;

/// Commands that wait to be done; more are refused.
const MOST_COMMANDS: usize = 32;

/// The socket is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gone;

/// What the tasks of one socket share.
struct Client {
    shared: Arc<Shared>,
    number: u64,
    view: watch::Sender<Option<Wanted>>,
    /// Where pictures come from, once there is a view.
    outlet: Mutex<Option<Arc<Outlet>>>,
    replies: mpsc::Sender<Utf8Bytes>,
    commands: mpsc::Sender<(Option<u64>, Command)>,
    uploads: Uploads,
}

/// `GET /ws`.
pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Arc<Connection>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "this is the address of a WebSocket")
            .hint("docs/api.md describes what goes over it")
    })?;
    let place = shared.viewer().ok_or_else(|| Problem::full("viewers", shared.limits.viewers))?;
    let most = shared.limits.picture_bytes + UPLOAD_HEADER_BYTES;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(move |socket| run(shared, socket, (place, connection))))
}

/// Serves one socket until it ends; `_place` is held as long.
async fn run(
    shared: Arc<Shared>,
    socket: WebSocket,
    _place: (OwnedSemaphorePermit, Arc<Connection>),
) {
    let (reply, replies) = mpsc::channel(MOST_REPLIES);
    let (order, orders) = mpsc::channel(MOST_COMMANDS);
    let client = Client {
        number: shared.client_number(),
        shared,
        view: watch::Sender::default(),
        outlet: Mutex::default(),
        replies: reply,
        commands: order,
        uploads: Uploads::default(),
    };
    let (sender, receiver) = socket.split();
    let _: Gone = tokio::select! {
        gone = read(&client, receiver) => gone,
        gone = writer::run(&client, sender, replies) => gone,
        gone = work(&client, orders) => gone,
        gone = upload::run(&client) => gone,
        gone = watch_feeder(&client) => gone,
    };
    client.stop_feeding();
}

impl Client {
    /// Queues a reply. While a page does not read, nothing of it is read either,
    /// until the writer loses its patience.
    async fn reply(&self, reply: &Reply<'_>) -> Result<(), Gone> {
        self.replies.send(text(reply)).await.map_err(|_| Gone)
    }

    fn set_outlet(&self, outlet: Arc<Outlet>) {
        *self.outlet.lock().unwrap_or_else(PoisonError::into_inner) = Some(outlet);
    }

    fn acknowledge(&self, number: u64) {
        if let Some(outlet) = &*self.outlet.lock().unwrap_or_else(PoisonError::into_inner) {
            outlet.acknowledge(number);
        }
    }

    fn is_feeding(&self) -> bool {
        *self.shared.feeder.borrow() == Some(self.number)
    }

    fn stop_feeding(&self) {
        self.shared.feeder.send_if_modified(|feeder| {
            let is_mine = *feeder == Some(self.number);
            if is_mine {
                *feeder = None;
            }
            is_mine
        });
    }
}

/// Reads until the page goes, says nothing for too long, or breaks the protocol.
async fn read(client: &Client, mut receiver: SplitStream<WebSocket>) -> Gone {
    let limits = client.shared.limits;
    let elapsed = || client.shared.start.elapsed();
    let mut bucket = Bucket::new(limits.messages_per_s, elapsed());
    loop {
        let message = match timeout(limits.silence, receiver.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(_)) | None) | Err(_) => return Gone,
        };
        // Not reading is what slows the page down; nothing of it is lost.
        let wait = bucket.take(elapsed());
        if !wait.is_zero() {
            sleep(wait.min(Duration::from_secs(1))).await;
        }
        let handled = match message {
            Message::Text(text) => handle(client, &text).await,
            Message::Binary(picture) => picture_came(client, picture).await,
            Message::Close(_) => return Gone,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if handled.is_err() {
            return Gone;
        }
    }
}

async fn handle(client: &Client, text: &str) -> Result<(), Gone> {
    let most = client.shared.limits.text_bytes;
    if text.len() > most {
        let error = format!("a message of {} bytes: {most} are the limit", text.len());
        return malformed(client, &error).await;
    }
    match serde_json::from_str::<Request>(text) {
        Ok(request) => request_made(client, request).await,
        Err(error) => malformed(client, &error.to_string()).await,
    }
}

async fn picture_came(client: &Client, picture: Bytes) -> Result<(), Gone> {
    if !client.is_feeding() {
        return Ok(());
    }
    let Received { replaced, next } = client.uploads.put(picture);
    if replaced {
        client.shared.count(Count::Replaced);
    }
    match next {
        Some(received) => client.reply(&Reply::Next(received)).await,
        None => Ok(()),
    }
}

async fn malformed(client: &Client, error: &str) -> Result<(), Gone> {
    client.shared.count(Count::Malformed);
    client.reply(&Reply::Error(error)).await
}

async fn request_made(client: &Client, request: Request) -> Result<(), Gone> {
    let Request { id, command, ack, view, feed, clock } = request;
    if let Some(number) = ack {
        client.acknowledge(number);
    }
    if let Some(sent) = clock {
        let now_us = message::micros(client.shared.app.now());
        client.reply(&Reply::Clock { sent, now_us }).await?;
    }
    if let Some(view) = view {
        client.view.send_if_modified(|current| current.replace(view) != Some(view));
    }
    match feed {
        Some(true) => {
            client.shared.feeder.send_replace(Some(client.number));
            client.reply(&Reply::Next(0)).await?;
        }
        Some(false) => client.stop_feeding(),
        None => {}
    }
    match command {
        Some(command) => order(client, id, command).await,
        None => Ok(()),
    }
}

async fn order(client: &Client, id: Option<u64>, command: Command) -> Result<(), Gone> {
    if client.commands.try_send((id, command)).is_ok() {
        return Ok(());
    }
    let busy = Err(Refused::NotNow {
        why: format!("{MOST_COMMANDS} commands wait already"),
        hint: Some("wait for their answers".to_owned()),
    });
    client.reply(&Reply::Answer(Answer::new(id, &busy))).await
}

/// Does one command after the other.
async fn work(client: &Client, mut orders: mpsc::Receiver<(Option<u64>, Command)>) -> Gone {
    while let Some((id, command)) = orders.recv().await {
        let done = client.shared.command(command).await;
        if client.reply(&Reply::Answer(Answer::new(id, &done))).await.is_err() {
            return Gone;
        }
    }
    pending().await
}

/// Tells the page when another one gives the pictures.
async fn watch_feeder(client: &Client) -> Gone {
    let mut feeder = client.shared.feeder.subscribe();
    let mut fed = false;
    loop {
        let feeds = *feeder.borrow_and_update() == Some(client.number);
        if fed && !feeds && client.reply(&Reply::Feeding(false)).await.is_err() {
            return Gone;
        }
        fed = feeds;
        if feeder.changed().await.is_err() {
            return Gone;
        }
    }
}
