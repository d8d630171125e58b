//! A hub for tests: the listing of one repository, its small files, and its
//! weights behind a redirect, with faults on demand. One thread, one
//! connection at a time, gone when dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The commit that every revision is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong. `Etag` and `Commit` befall the next metadata, the others
/// the next request for the content of a weights file.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection breaks after so many bytes.
    CutAfter(usize),
    /// A range is answered with the whole file.
    IgnoreRange,
    /// The request fails with this status.
    Status(u16),
    /// The metadata carries this ETag.
    Etag(&'static str),
    /// The metadata carries this commit.
    Commit(&'static str),
}

pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    files: Vec<(&'static str, Vec<u8>)>,
    faults: VecDeque<Fault>,
    token: Option<&'static str>,
    requests: Vec<String>,
    content_starts: Vec<usize>,
    stop: bool,
}

/// The ETag of a file.
pub fn etag(path: &str) -> String {
    path.bytes().map(|b| format!("{b:02x}")).rev().take(20).collect()
}

impl Server {
    pub fn start(files: Vec<(&'static str, Vec<u8>)>, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let state = Arc::new(Mutex::new(State {
            files,
            faults: faults.iter().copied().collect(),
            token: None,
            requests: Vec::new(),
            content_starts: Vec::new(),
            stop: false,
        }));
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || serve(&listener, &shared));
        Self { address, state, thread: Some(thread) }
    }

    pub fn with_token(self, token: &'static str) -> Self {
        self.state.lock().unwrap().token = Some(token);
        self
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The paths asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Where each download of weights began.
    pub fn content_starts(&self) -> Vec<usize> {
        self.state.lock().unwrap().content_starts.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.lock().unwrap().stop = true;
        // Wakes the thread from its accept.
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|end| end.is_ok()), "the server panicked");
    }
}

fn serve(listener: &TcpListener, state: &Mutex<State>) {
    for stream in listener.incoming() {
        let mut state = state.lock().unwrap();
        if state.stop {
            return;
        }
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        if let Some(request) = Request::read(&stream) {
            state.requests.push(request.path.clone());
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            // A client that hangs up early is no concern of ours.
            let _ = answer(&mut state, &request, &endpoint, stream);
        }
    }
}

struct Request {
    path: String,
    range_start: Option<usize>,
    range_end: Option<usize>,
    authorization: Option<String>,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let mut request = Self { path, range_start: None, range_end: None, authorization: None };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ")?;
            match &*name.to_ascii_lowercase() {
                "range" => {
                    let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
                    request.range_start = start.parse().ok();
                    request.range_end = end.parse().ok();
                }
                "authorization" => request.authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(request)
    }
}

fn answer(
    state: &mut State,
    request: &Request,
    endpoint: &str,
    stream: TcpStream,
) -> std::io::Result<()> {
    let expected = state.token.map(|token| format!("Bearer {token}"));
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some(file) = path.strip_prefix("/cdn/") {
        return content(state, request, file, stream);
    }
    if expected.is_some() && request.authorization != expected {
        return status(stream, 401);
    }
    if path.starts_with("/api/models/owner/model/revision/") {
        return body(stream, "200 OK", "", listing(state).as_bytes());
    }
    let Some(file) = path.strip_prefix(&format!("/owner/model/resolve/{COMMIT}/")) else {
        return status(stream, 404);
    };
    if file.ends_with(".safetensors") {
        return redirect(state, file, endpoint, stream);
    }
    let headers = format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", etag(file));
    ranged(state, request, file, &headers, stream)
}

fn listing(state: &State) -> String {
    let file = |(path, bytes): &(&str, Vec<u8>)| {
        format!(r#"{{"rfilename":"{path}","size":{}}}"#, bytes.len())
    };
    let files: Vec<_> = state.files.iter().map(file).collect();
    format!(r#"{{"id":"owner/model","sha":"{COMMIT}","siblings":[{}]}}"#, files.join(","))
}

/// Weights are kept elsewhere, and only the redirect knows their metadata.
fn redirect(
    state: &mut State,
    file: &str,
    endpoint: &str,
    stream: TcpStream,
) -> std::io::Result<()> {
    let (mut tag, mut commit) = (format!("\"{}\"", etag(file)), COMMIT);
    match state.faults.front() {
        Some(Fault::Etag(wrong)) => tag = (*wrong).to_owned(),
        Some(Fault::Commit(wrong)) => commit = wrong,
        _ => {}
    }
    let headers = format!(
        "Location: {endpoint}/cdn/{file}\r\nX-Linked-Etag: {tag}\r\nX-Repo-Commit: {commit}\r\n"
    );
    body(stream, "302 Found", &headers, b"")
}

/// The content of a weights file; a request for its first byte alone is
/// metadata, and meets no fault.
fn content(
    state: &mut State,
    request: &Request,
    file: &str,
    stream: TcpStream,
) -> std::io::Result<()> {
    if request.range_end.is_some() {
        return ranged(state, request, file, "", stream);
    }
    state.content_starts.push(request.range_start.unwrap_or(0));
    let bytes = find(state, file);
    match state.faults.pop_front() {
        Some(Fault::Status(code)) => status(stream, code),
        Some(Fault::IgnoreRange) => body(stream, "200 OK", "", &bytes),
        Some(Fault::CutAfter(count)) => {
            let rest = &bytes[request.range_start.unwrap_or(0)..];
            head(&stream, "206 Partial Content", "", rest.len())?;
            (&stream).write_all(&rest[..count])
        }
        _ => ranged(state, request, file, "", stream),
    }
}

fn ranged(
    state: &State,
    request: &Request,
    file: &str,
    headers: &str,
    stream: TcpStream,
) -> std::io::Result<()> {
    let bytes = find(state, file);
    let start = request.range_start.unwrap_or(0);
    let end = request.range_end.map_or(bytes.len(), |end| bytes.len().min(end + 1));
    if start >= end {
        return status(stream, 416);
    }
    let range = format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, bytes.len());
    body(stream, "206 Partial Content", &format!("{headers}{range}"), &bytes[start..end])
}

fn find(state: &State, file: &str) -> Vec<u8> {
    let found = state.files.iter().find(|(path, _)| *path == file);
    found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
}

fn status(stream: TcpStream, code: u16) -> std::io::Result<()> {
    body(stream, &format!("{code} Status"), "", b"")
}

fn body(stream: TcpStream, status: &str, headers: &str, bytes: &[u8]) -> std::io::Result<()> {
    head(&stream, status, headers, bytes.len())?;
    (&stream).write_all(bytes)
}

fn head(mut stream: &TcpStream, status: &str, headers: &str, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}
