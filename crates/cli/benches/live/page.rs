//! A page, as far as the session can tell: a socket that takes pictures.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use laterna_pipeline::{Image, Size};
use serde_json::Value;
use tungstenite::{Error, Message, WebSocket};

/// As a page on this machine asks for pictures.
const VIEW: &str = r#"{"view":{"width":0,"format":"rgba","compare":false,"blend_fps":0}}"#;

pub struct Page {
    pub socket: WebSocket<TcpStream>,
}

/// A picture that came.
pub struct Picture {
    pub is_unique: bool,
    pub number: u64,
    pub sequence: u64,
    pub infer_ms: f64,
    /// None if it is the last one again.
    pub painting: Option<Image>,
    pub came: Instant,
}

impl Page {
    pub fn connect(host: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{host}/ws"), stream).unwrap();
        Self { socket }
    }

    /// A page that has asked for pictures.
    pub fn viewing(host: &str) -> Self {
        let mut page = Self::connect(host);
        page.send(VIEW);
        page
    }

    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next message, if one comes before `deadline`.
    pub fn read(&mut self, deadline: Instant) -> Option<Message> {
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = self.socket.get_ref();
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
        match self.socket.read() {
            Ok(message) => Some(message),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                None
            }
            Err(error) => panic!("the session closed the socket: {error}"),
        }
    }

    /// The next picture before `deadline`, not yet acknowledged.
    pub fn picture(&mut self, deadline: Instant) -> Option<Picture> {
        while Instant::now() < deadline {
            if let Some(Message::Binary(bytes)) = self.read(deadline) {
                return Some(picture(&bytes));
            }
        }
        None
    }

    pub fn acknowledge(&mut self, picture: &Picture) {
        self.send(&format!("{{\"ack\":{}}}", picture.number));
    }

    /// The session's time in microseconds.
    pub fn session_time(&mut self) -> u64 {
        self.send(r#"{"clock":0}"#);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let Some(Message::Text(text)) = self.read(deadline) else { continue };
            let value: Value = serde_json::from_str(&text).unwrap();
            if let Some(now) = value["clock"]["now_us"].as_u64() {
                return now;
            }
        }
        panic!("the session did not tell its time");
    }
}

/// Reads the header of docs/api.md, and the pixels behind it.
fn picture(bytes: &[u8]) -> Picture {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let short = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let size = Size::new(short(64), short(66));
    assert_eq!(length, 4 * size.area(), "the painting is not of bare pixels");
    let pixels = &bytes[short(2)..][..length];
    Picture {
        is_unique: bytes[1] == 0,
        number: number(8),
        sequence: number(16),
        infer_ms: number(56) as f64 / 1e3,
        painting: (length > 0).then(|| image(size, pixels)),
        came: Instant::now(),
    }
}

fn image(size: Size, rgba: &[u8]) -> Image {
    let mut image = Image::new(size);
    let pixels = image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().zip(rgba.as_chunks::<4>().0);
    pixels.for_each(|(to, from)| to.copy_from_slice(&from[..3]));
    image
}
