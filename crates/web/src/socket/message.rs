//! What goes over the socket: JSON texts both ways, pictures with a small header
//! both ways. docs/api.md describes it for the other end.

use std::time::Duration;

use bytes::Bytes;
use laterna_control::Command;
use laterna_pipeline::Size;
use laterna_pipeline::port::Kind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::app::Refused;
use crate::options::Limits;
use crate::outlet::Picture;

/// Version of the messages.
pub(crate) const PROTOCOL: u8 = 1;

/// Bytes before the painting of a picture to the page.
pub(crate) const PICTURE_HEADER_BYTES: usize = 72;

/// Bytes before a picture from the page.
pub(crate) const UPLOAD_HEADER_BYTES: usize = 16;

/// A text of the page; each part that is there counts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Request {
    /// Comes back with the answer to `do`.
    pub(crate) id: Option<u64>,
    /// What to do.
    #[serde(rename = "do")]
    pub(crate) command: Option<Command>,
    /// The picture with this number, and all before it, have been shown.
    pub(crate) ack: Option<u64>,
    /// Which pictures are wanted; none come before the first view.
    pub(crate) view: Option<Wanted>,
    /// Whether this page gives the pictures.
    pub(crate) feed: Option<bool>,
    /// The page's time, which comes back with the server's.
    pub(crate) clock: Option<f64>,
}

/// Which pictures a page wants.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// Widest picture in pixels; 0: as it is painted.
    pub(crate) width: usize,
    /// How they come.
    pub(crate) format: Format,
    /// JPEG quality, 1 to 100.
    pub(crate) quality: u8,
    /// The camera's picture too.
    pub(crate) compare: bool,
    /// Pictures a second, blended from one to the next; 0: each new one at once.
    pub(crate) blend_fps: f64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { width: 0, format: Format::Jpeg, quality: 80, compare: false, blend_fps: 0.0 }
    }
}

/// How pictures come to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Jpeg,
    /// Bare pixels, which cost neither end any coding: for a page on this machine.
    Rgba,
}

/// A text to the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply<'a> {
    Hello {
        protocol: u8,
        version: &'static str,
        client: u64,
        limits: Bounds,
    },
    Answer(Answer<'a>),
    /// A message that was not understood.
    Error(&'a str),
    /// As many pictures have come: send the next one.
    Next(u64),
    /// Another page gives the pictures now.
    Feeding(bool),
    /// `sent` as it came, and the time of the clock that pictures are stamped with.
    Clock {
        sent: f64,
        now_us: u64,
    },
    /// The server ends.
    Bye,
}

#[derive(Debug, Serialize)]
pub(crate) struct Bounds {
    text_bytes: usize,
    picture_bytes: usize,
    picture_side: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        let Limits { text_bytes, picture_bytes, picture_side, .. } = *limits;
        Self { text_bytes, picture_bytes, picture_side }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Option<u64>,
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<&'a str>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(id: Option<u64>, done: &'a Result<(), Refused>) -> Self {
        match done {
            Ok(()) => Self { id, ok: true, error: None, hint: None },
            Err(why) => Self { id, ok: false, error: Some(why.to_string()), hint: why.hint() },
        }
    }
}

/// A picture for the page. All numbers are little-endian:
///
/// | at | bytes | |
/// | --- | --- | --- |
/// | 0 | 1 | version, 1 |
/// | 1 | 1 | 0 unique, 1 repeated, 2 interpolated |
/// | 2 | 2 | bytes of this header |
/// | 4 | 4 | bytes of the painting; 0: the one that the page has |
/// | 8 | 8 | number, to be acknowledged |
/// | 16 | 8 | the frame's number in the order of capture |
/// | 24 | 8 | captured, in microseconds of the session's clock |
/// | 32 | 8 | sent, likewise |
/// | 40 | 8 | version of the settings that it was painted with |
/// | 48 | 8 | number of the scene |
/// | 56 | 8 | how long the model was at work on it, in microseconds |
/// | 64 | 2, 2 | width and height of the painting if it is RGBA; zeros: it is a JPEG |
/// | 68 | 2, 2 | the same of the camera's picture |
///
/// The painting follows, then the camera's picture if it was asked for.
pub(crate) fn encode(picture: &Picture) -> Bytes {
    let sizes = [picture.painting.size, picture.camera.size];
    let (painting, camera) = (&picture.painting.bytes, &picture.camera.bytes);
    let mut out = Vec::with_capacity(PICTURE_HEADER_BYTES + painting.len() + camera.len());
    out.extend([PROTOCOL, kind(picture.kind)]);
    out.extend((PICTURE_HEADER_BYTES as u16).to_le_bytes());
    out.extend((painting.len() as u32).to_le_bytes());
    for number in [
        picture.number,
        picture.sequence,
        micros(picture.captured),
        micros(picture.sent),
        picture.settings,
        picture.scene,
        micros(picture.inference),
    ] {
        out.extend(number.to_le_bytes());
    }
    for side in sizes.iter().flat_map(|size| [size.width, size.height]) {
        out.extend((side as u16).to_le_bytes());
    }
    out.extend_from_slice(painting);
    out.extend_from_slice(camera);
    out.into()
}

fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Unique => 0,
        Kind::Repeated => 1,
        Kind::Interpolated => 2,
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A picture from a page.
#[derive(Debug, PartialEq)]
pub(crate) struct Upload<'a> {
    /// When it was caught, by the session's clock as the page knows it.
    pub(crate) captured: Duration,
    pub(crate) content: Content<'a>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Content<'a> {
    Jpeg(&'a [u8]),
    Rgba(Size, &'a [u8]),
}

/// Reads a picture from a page. Numbers are little-endian:
///
/// | at | bytes | |
/// | --- | --- | --- |
/// | 0 | 1 | version, 1 |
/// | 1 | 1 | kind; 1: JPEG, 2: RGBA |
/// | 2 | 2, 2 | width and height of RGBA, else zeros |
/// | 6 | 2 | zeros |
/// | 8 | 8 | captured, in microseconds |
///
/// The picture follows.
pub(crate) fn decode(message: &[u8]) -> Result<Upload<'_>, UploadError> {
    let Some((header, picture)) = message.split_first_chunk::<UPLOAD_HEADER_BYTES>() else {
        return Err(UploadError::Short);
    };
    let content = match *header {
        [PROTOCOL, 1, 0, 0, 0, 0, 0, 0, ..] => Content::Jpeg(picture),
        [PROTOCOL, 2, w0, w1, h0, h1, 0, 0, ..] => {
            let [width, height] = [[w0, w1], [h0, h1]].map(u16::from_le_bytes).map(usize::from);
            Content::Rgba(Size::new(width, height), picture)
        }
        _ => return Err(UploadError::Header),
    };
    let captured = header[8..].iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte));
    Ok(Upload { captured: Duration::from_micros(captured), content })
}

/// What is wrong with a picture from a page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum UploadError {
    #[error("a binary message is shorter than its header of {UPLOAD_HEADER_BYTES} bytes")]
    Short,
    #[error("a binary message does not begin with version {PROTOCOL} and a kind that is known")]
    Header,
    #[error("a picture of {width}x{height}: {most} pixels a side are the limit")]
    Size { width: usize, height: usize, most: usize },
    #[error("a picture is no JPEG: {0}")]
    Jpeg(String),
    #[error("a picture of {width}x{height} has {expected} bytes as RGBA, not {found}")]
    Rgba { width: usize, height: usize, expected: usize, found: usize },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::Encoded;

    #[test]
    fn a_picture_has_its_header() {
        let bytes = encode(&Picture {
            number: 7,
            kind: Kind::Interpolated,
            sequence: 0x0102,
            captured: Duration::from_millis(3),
            sent: Duration::from_secs(5000),
            settings: 9,
            scene: 4,
            inference: Duration::from_micros(26_400),
            painting: Encoded { bytes: vec![0xAA; 3], size: Size::default() },
            camera: Encoded { bytes: vec![0xBB; 8], size: Size::new(2, 1) },
        });
        assert_eq!(bytes[..16], [1, 2, 72, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..24], 0x0102u64.to_le_bytes());
        assert_eq!(bytes[24..32], 3000u64.to_le_bytes());
        assert_eq!(bytes[32..40], 5_000_000_000u64.to_le_bytes());
        assert_eq!(bytes[40..56], [9, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[56..64], 26_400u64.to_le_bytes());
        assert_eq!(bytes[64..72], [0, 0, 0, 0, 2, 0, 1, 0]);
        assert_eq!(bytes[72..], [&[0xAA; 3][..], &[0xBB; 8]].concat());
    }

    #[test]
    fn an_upload_is_read_back() {
        let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(1_234_567u64.to_le_bytes());
        assert_eq!(decode(&bytes[..15]), Err(UploadError::Short));
        bytes.extend([9, 8, 7, 6]);
        let captured = Duration::from_micros(1_234_567);
        let jpeg = Content::Jpeg(&[9, 8, 7, 6]);
        assert_eq!(decode(&bytes), Ok(Upload { captured, content: jpeg }));
        bytes[1..6].copy_from_slice(&[2, 1, 0, 1, 0]);
        let pixels = Content::Rgba(Size::new(1, 1), &[9, 8, 7, 6]);
        assert_eq!(decode(&bytes), Ok(Upload { captured, content: pixels }));
        for (at, wrong) in [(1, 3), (6, 1), (0, 2)] {
            let mut bytes = bytes.clone();
            bytes[at] = wrong;
            assert_eq!(decode(&bytes), Err(UploadError::Header));
        }
    }

    #[test]
    fn requests_are_short_json() {
        let parse = serde_json::from_str::<Request>;
        let request = parse(r#"{"id": 3, "do": "snapshot", "ack": 5}"#).unwrap();
        assert_eq!((request.id, request.ack), (Some(3), Some(5)));
        assert_eq!(request.command, Some(Command::Snapshot));
        let request = parse(r#"{"view": {"compare": true}}"#).unwrap();
        assert_eq!(request.view, Some(Wanted { compare: true, ..Wanted::default() }));
        let view = parse(r#"{"view": {"format": "rgba"}}"#).unwrap().view.unwrap();
        assert_eq!(view, Wanted { format: Format::Rgba, ..Wanted::default() });
        assert!(
            parse(r#"{"vew": {}}"#).is_err() && parse("\"ack\"").is_err() && parse("7").is_err()
        );
    }

    #[test]
    fn replies_are_short_json() {
        let json = |reply: Reply<'_>| serde_json::to_string(&reply).unwrap();
        assert_eq!(json(Reply::Next(3)), r#"{"next":3}"#);
        assert_eq!(json(Reply::Bye), r#""bye""#);
        let done = Err(Refused::NotNow { why: "busy".into(), hint: Some("wait".into()) });
        assert_eq!(
            json(Reply::Answer(Answer::new(Some(1), &done))),
            r#"{"answer":{"id":1,"ok":false,"error":"busy","hint":"wait"}}"#
        );
    }
}
