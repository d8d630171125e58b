//! A server with a fake session, and clients that speak to it byte by byte.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

pub mod fake;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake::Fake;
use laterna_web::{Limits, Options, Server};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

pub const SECOND: Duration = Duration::from_secs(1);

/// A server and its session.
pub struct Rig {
    pub app: Arc<Fake>,
    pub server: Server,
}

/// Small pictures, thirty a second, on this machine alone.
pub fn rig() -> Rig {
    rig_with(Options::default())
}

pub fn rig_with(options: Options) -> Rig {
    let app = Fake::start(30, (64, 64));
    let address = SocketAddr::new(options.address.ip(), 0);
    let server = Server::start(Options { address, ..options }, Arc::clone(&app) as _).unwrap();
    Rig { app, server }
}

pub fn limited(limits: Limits) -> Rig {
    rig_with(Options { limits, ..Options::default() })
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Rig {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.server.address().port())
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(10 * SECOND)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// One request on a connection of its own. `headers` are whole lines; a Host
    /// among them replaces the usual one.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(self.request(method, path, headers, body).as_bytes()).unwrap();
        answer(&mut stream)
    }

    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> String {
        let has_host = headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:"));
        let host = if has_host { String::new() } else { format!("Host: {}\r\n", self.address()) };
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\n{host}{lines}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }

    pub fn socket(&self) -> Socket {
        self.socket_with(&[]).unwrap()
    }

    /// A socket, or the status that it was refused with.
    pub fn socket_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}/ws", self.address()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, self.connect()) {
            Ok((socket, _)) => Ok(Socket { inner: socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for something of the session.
    pub fn until(&self, what: &str, mut check: impl FnMut(&Fake) -> bool) {
        let deadline = Instant::now() + 10 * SECOND;
        while !check(&self.app) {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads an answer to its end.
pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no head in {:?}", String::from_utf8_lossy(&bytes));
    });
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

/// A page, as far as the server can tell.
pub struct Socket {
    pub inner: WebSocket<TcpStream>,
}

/// A picture with the numbers of its header.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub kind: u8,
    pub number: u64,
    pub sequence: u64,
    pub captured_us: u64,
    pub sent_us: u64,
    pub settings: u64,
    pub painting: Vec<u8>,
    pub camera: Vec<u8>,
    /// Width and height of the painting if it is RGBA.
    pub rgba: [u16; 2],
}

impl Socket {
    pub fn send(&mut self, json: &str) {
        self.inner.send(Message::text(json)).unwrap();
    }

    pub fn timeout(&self, length: Duration) {
        self.inner.get_ref().set_read_timeout(Some(length)).unwrap();
    }

    /// The next text in which this key stands at the top; others are passed over,
    /// pictures are not acknowledged.
    pub fn text(&mut self, key: &str) -> Value {
        let deadline = Instant::now() + 20 * SECOND;
        loop {
            assert!(Instant::now() < deadline, "no {key} came");
            if let Message::Text(text) = self.inner.read().unwrap() {
                let mut value: Value = serde_json::from_str(&text).unwrap();
                if let Some(found) = value.get_mut(key) {
                    return found.take();
                }
            }
        }
    }

    /// The next picture, which is acknowledged only if `ack`.
    pub fn picture(&mut self, ack: bool) -> Picture {
        let deadline = Instant::now() + 20 * SECOND;
        loop {
            assert!(Instant::now() < deadline, "no picture came");
            if let Message::Binary(bytes) = self.inner.read().unwrap() {
                let picture = picture(&bytes);
                if ack {
                    self.ack(&picture);
                }
                return picture;
            }
        }
    }

    pub fn ack(&mut self, picture: &Picture) {
        self.send(&format!("{{\"ack\":{}}}", picture.number));
    }

    /// Does a command and returns the answer.
    pub fn order(&mut self, command: &str) -> Value {
        self.send(&format!("{{\"id\":77,\"do\":{command}}}"));
        loop {
            let answer = self.text("answer");
            if answer["id"] == 77 {
                return answer;
            }
        }
    }

    /// Sends a JPEG as the page's camera would.
    pub fn upload(&mut self, captured_us: u64, jpeg: &[u8]) {
        self.upload_as([1, 0, 0, 0, 0], captured_us, jpeg);
    }

    /// Uploads pixels that are said to be so many.
    pub fn upload_rgba(&mut self, captured_us: u64, [width, height]: [u16; 2], pixels: &[u8]) {
        let ([w0, w1], [h0, h1]) = (width.to_le_bytes(), height.to_le_bytes());
        self.upload_as([2, w0, w1, h0, h1], captured_us, pixels);
    }

    fn upload_as(&mut self, kind: [u8; 5], captured_us: u64, picture: &[u8]) {
        let mut bytes = [&[1], &kind[..], &[0, 0], &captured_us.to_le_bytes()].concat();
        bytes.extend(picture);
        self.inner.send(Message::binary(bytes)).unwrap();
    }

    /// Reads until the server closes, and says with which code if it did so in
    /// form.
    pub fn closed(&mut self) -> Option<u16> {
        loop {
            match self.inner.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

fn picture(bytes: &[u8]) -> Picture {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(bytes[0], 1);
    let header = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    let end = header + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    Picture {
        kind: bytes[1],
        number: number(8),
        sequence: number(16),
        captured_us: number(24),
        sent_us: number(32),
        settings: number(40),
        painting: bytes[header..end].to_vec(),
        camera: bytes[end..].to_vec(),
        rgba: [64, 66].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]])),
    }
}

pub fn decode(jpeg: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap().to_rgb8()
}

/// A JPEG of one colour.
pub fn jpeg(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb(colour));
    image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
    bytes
}

/// Numbers that are the same in each run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    /// Some bytes replaced, cut off or put in twice.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                _ => {
                    let end = at + self.below(bytes.len() - at) + 1;
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
    }
}
