//! What the user names as a source, as text, and what is wanted of it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use laterna_pipeline::Size;
use thiserror::Error;

use super::kinds::KINDS;

/// A source named by the user: `camera`, `camera:1`, `synthetic`, `screen`, `-`
/// (standard input), a path, an address with `://`, or `KIND:ARGUMENT` for any
/// kind of [`KINDS`]. A file whose name reads like one of these is written with
/// its folder, `./camera`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub(super) given: Given,
    text: String,
    /// What is wanted of it.
    pub want: Want,
}

/// Kinds whose pictures are not those of a file or a folder, whatever stands
/// behind their names.
const ELSEWHERE: &[&str] = &["camera", "synthetic", "screen", "ffmpeg"];

impl Spec {
    /// The file or folder whose pictures it names, which are the same each time
    /// that they are read; none for devices, addresses and pipes.
    pub fn recording(&self) -> Option<&Path> {
        let path = match &self.given {
            Given::Path(path) => path.as_path(),
            Given::Named { kind, argument: Some(path) } if !ELSEWHERE.contains(kind) => {
                Path::new(path)
            }
            _ => return None,
        };
        (path.is_file() || path.is_dir()).then_some(path)
    }
}

/// What is wanted of a source. Each kind uses what makes sense for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// The size that the pictures are for. A camera picks its nearest mode, the
    /// synthetic scene is of this size, ffmpeg shrinks what is much larger.
    pub size: Option<Size>,
    /// Pictures a second.
    pub fps: Option<f64>,
    /// How long each picture of a folder stays.
    pub hold: Duration,
    /// Begin again at the end.
    pub repeat: bool,
    /// The synthetic scene carries its frame number, see [`super::counter`].
    pub counter: bool,
}

impl Default for Want {
    fn default() -> Self {
        let hold = Duration::from_secs(5);
        Self { size: None, fps: None, hold, repeat: false, counter: false }
    }
}

impl Want {
    /// The wanted rate, if it is one that a picture can have, or `default`.
    pub(super) fn fps_or(&self, default: f64) -> f64 {
        self.fps.filter(|fps| (0.01..=1000.0).contains(fps)).unwrap_or(default)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Named { kind: &'static str, argument: Option<String> },
    Stdin,
    Url(String),
    Path(PathBuf),
}

/// Why a text names no source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// There is no text.
    #[error("no source is named: try camera, synthetic, a path or an address")]
    Empty,
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let given = given(text)?;
        Ok(Self { given, text: text.to_owned(), want: Want::default() })
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn given(text: &str) -> Result<Given, SpecError> {
    if text.is_empty() {
        return Err(SpecError::Empty);
    }
    if text == "-" {
        return Ok(Given::Stdin);
    }
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name, Some(argument.to_owned())),
        None => (text, None),
    };
    let row = KINDS.iter().find(|row| row.name == name);
    let row = row.filter(|row| argument.is_some() || row.stands_alone);
    Ok(match row {
        Some(row) => Given::Named { kind: row.name, argument },
        None if text.contains("://") => Given::Url(text.to_owned()),
        None => Given::Path(PathBuf::from(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: &'static str, argument: Option<&str>) -> Given {
        Given::Named { kind, argument: argument.map(str::to_owned) }
    }

    #[test]
    fn texts_are_devices_files_or_addresses() {
        let cases = [
            ("camera", named("camera", None)),
            ("camera:1", named("camera", Some("1"))),
            ("camera:/dev/video2", named("camera", Some("/dev/video2"))),
            ("synthetic", named("synthetic", None)),
            ("ffmpeg:dshow:video=Cam", named("ffmpeg", Some("dshow:video=Cam"))),
            ("y4m:clip.bin", named("y4m", Some("clip.bin"))),
            ("-", Given::Stdin),
            ("./camera", Given::Path("./camera".into())),
            ("gif", Given::Path("gif".into())),
            (r"C:\clips\a.mp4", Given::Path(r"C:\clips\a.mp4".into())),
            ("rtsp://host:554/live", Given::Url("rtsp://host:554/live".into())),
        ];
        for (text, given) in cases {
            let spec: Spec = text.parse().unwrap();
            assert_eq!((spec.given.clone(), spec.to_string()), (given, text.to_owned()));
        }
        assert_eq!("".parse::<Spec>(), Err(SpecError::Empty));
    }

    #[test]
    fn recordings_are_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("a.y4m");
        std::fs::write(&clip, "").unwrap();
        let path = clip.display().to_string();
        let recording = |text: &str| {
            let spec: Spec = text.parse().unwrap();
            spec.recording().map(Path::to_owned)
        };
        assert_eq!(recording(&path), Some(clip.clone()));
        assert_eq!(recording(&format!("y4m:{path}")), Some(clip));
        assert_eq!(recording(&folder.path().display().to_string()).as_deref(), Some(folder.path()));
        for text in ["-", "camera", "synthetic", "rtsp://host/live", "absent.y4m"] {
            assert_eq!(recording(text), None, "{text}");
        }
        assert_eq!(recording(&format!("ffmpeg:{path}")), None);
        #[cfg(unix)]
        assert_eq!(recording("/dev/null"), None);
    }

    #[test]
    fn odd_rates_are_not_wanted() {
        for fps in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e9] {
            let want = Want { fps: Some(fps), ..Want::default() };
            assert!((want.fps_or(30.0) - 30.0).abs() < 1e-9);
        }
    }
}
