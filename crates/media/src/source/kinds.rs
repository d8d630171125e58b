//! The table of sources: a kind's name, what it accepts and how it is opened.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::Size;
use laterna_pipeline::port::{Clock, Source};

use super::error::SourceError;
use super::player::{Frames, Pace, Player};
use super::spec::{Given, Spec, Want};
use super::{camera, ffmpeg, folder, gif, mjpeg, mp4, screen, stdin, stills, synthetic, y4m};

/// Every kind of source. The first row that claims what the user named opens it.
pub static KINDS: &[Kind] = &[
    camera::KIND,
    synthetic::KIND,
    screen::KIND,
    stdin::KIND,
    folder::KIND,
    y4m::KIND,
    mjpeg::KIND,
    gif::KIND,
    stills::KIND,
    mp4::KIND,
    ffmpeg::KIND,
];

/// A kind of source.
pub struct Kind {
    /// What the user writes before a `:`.
    pub name: &'static str,
    /// What it reads, in one line.
    pub accepts: &'static str,
    /// Whether the name without an argument means something.
    pub(super) stands_alone: bool,
    pub(super) claims: fn(&Claim<'_>) -> bool,
    pub(super) open: fn(&Request<'_>) -> Result<Opened, SourceError>,
    /// Finds what is there.
    pub(super) list: Option<fn() -> Vec<Device>>,
}

/// What a kind decides by whether a source is its own, if the user did not say.
pub(super) struct Claim<'a> {
    pub(super) given: &'a Given,
    /// The file's first bytes; empty if it is no regular file.
    pub(super) head: &'a [u8],
}

impl Claim<'_> {
    pub(super) fn path(&self) -> Option<&Path> {
        if let Given::Path(path) = self.given { Some(path) } else { None }
    }

    /// Whether it is a file that begins so.
    pub(super) fn starts_with(&self, magic: &[u8]) -> bool {
        self.head.starts_with(magic)
    }

    /// Whether it is a path that ends in one of `extensions`, in small letters.
    pub(super) fn ends_in(&self, extensions: &[&str]) -> bool {
        self.path().is_some_and(|path| has_extension(path, extensions))
    }
}

pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|e| extensions.contains(&e.to_ascii_lowercase().as_str()))
}

/// What a kind is asked to open.
pub(super) struct Request<'a> {
    pub(super) given: &'a Given,
    /// The user's text.
    pub(super) text: String,
    pub(super) want: &'a Want,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) pace: Pace,
}

impl Request<'_> {
    /// What stands behind the kind's name; empty if nothing does.
    pub(super) fn argument(&self) -> &str {
        match self.given {
            Given::Named { argument, .. } => argument.as_deref().unwrap_or_default(),
            Given::Url(url) => url,
            Given::Path(path) => path.to_str().unwrap_or_default(),
            Given::Stdin => "-",
        }
    }

    /// The file.
    pub(super) fn path(&self) -> PathBuf {
        match self.given {
            Given::Path(path) => path.clone(),
            _ => PathBuf::from(self.argument()),
        }
    }

    /// A source that plays `frames` as it was asked for.
    pub(super) fn play(&self, frames: impl Frames + 'static, info: Info) -> Opened {
        let player = Player::new(frames, self.clock, self.pace, self.want.repeat);
        Opened { source: Box::new(player), info }
    }
}

/// A source that is ready, and what is known of it.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// What its container or device tells.
    pub info: Info,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What a container or device tells of its pictures, without reading them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// The file, device or address, as errors name it.
    pub name: String,
    /// Their size. Pictures may turn out to be of another.
    pub size: Option<Size>,
    /// Pictures a second, on average.
    pub fps: Option<f64>,
    /// How many there are.
    pub frames: Option<u64>,
    /// How long they last.
    pub duration: Option<Duration>,
    /// How the pictures are stored or sent, if that is of interest: `MJPEG`.
    pub format: Option<String>,
}

impl Info {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// A device that pictures can come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// What the user writes to open it: `camera:/dev/video0`.
    pub spec: String,
    /// Its name in words.
    pub name: String,
    /// What it offers, a line each, or why it offers nothing.
    pub details: Vec<String>,
}

/// Every camera and screen that this system shows.
pub fn list() -> Vec<Device> {
    KINDS.iter().filter_map(|kind| kind.list).flat_map(|list| list()).collect()
}

/// Opens what `spec` names. Recordings begin with their first picture, devices
/// with the next. `captured` of each picture is a time of `clock`, or with
/// [`Pace::Offline`] its time in the recording.
///
/// # Errors
/// If it does not exist, is damaged, or needs what this system does not have.
pub fn open(spec: &Spec, clock: &Arc<dyn Clock>, pace: Pace) -> Result<Opened, SourceError> {
    let Spec { given, want, .. } = spec;
    let request = Request { given, text: spec.to_string(), want, clock, pace };
    let kind = choose(given)?;
    match (kind.open)(&request) {
        Err(SourceError::Unsupported { why, .. }) if kind.name != ffmpeg::KIND.name => {
            ffmpeg::open_file(&request, &format!(": {why}"))
        }
        result => result,
    }
}

fn choose(given: &Given) -> Result<&'static Kind, SourceError> {
    if let Given::Named { kind, .. } = given {
        return Ok(KINDS.iter().find(|row| row.name == *kind).unwrap_or(&ffmpeg::KIND));
    }
    let head = match given {
        Given::Path(path) => head(path)?,
        _ => Vec::new(),
    };
    let claim = Claim { given, head: &head };
    Ok(KINDS.iter().find(|row| (row.claims)(&claim)).unwrap_or(&ffmpeg::KIND))
}

/// The first bytes of a regular file: enough to know a format by.
fn head(path: &Path) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::io(path, error);
    let mut head = Vec::new();
    if path.metadata().map_err(failed)?.is_file() {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(64).read_to_end(&mut head).map_err(failed)?;
    }
    Ok(head)
}
