//! What `ffprobe` knows of a file before it is read, where the `ffmpeg` program is
//! and which options it understands.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use laterna_pipeline::Size;

use super::super::kinds::Info;
use super::process::{KillOnDrop, Process};

/// How long a probe may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: u64 = 1 << 16;

/// What `ffprobe` tells of `input`. Nothing but the name if there is no
/// `ffprobe` or it cannot tell: then reading the file will say why.
pub(super) fn info(name: &str, input: &str) -> Info {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries"]);
    command.arg("stream=width,height,avg_frame_rate,nb_frames,duration,codec_name:format=duration");
    command.args(["-of", "default=noprint_wrappers=1", "-i", input]);
    parse(name, &answer(command).unwrap_or_default())
}

/// Whether it has `-fps_mode`, which replaced `-vsync` in 5.1.
pub(super) fn has_fps_mode() -> bool {
    let about = about(Path::new("ffmpeg")).unwrap_or_default();
    version(&about).is_none_or(|version| version >= (5, 1))
}

/// The `ffmpeg` program that sources of its formats are read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ffmpeg {
    /// Where it is.
    pub path: PathBuf,
    /// Its version in its own words; none if it does not run.
    pub version: Option<String>,
}

impl Ffmpeg {
    /// Looks for it where the system looks for programs.
    pub fn find() -> Option<Self> {
        let name = format!("ffmpeg{}", std::env::consts::EXE_SUFFIX);
        let folders = std::env::var_os("PATH")?;
        let paths = std::env::split_paths(&folders).map(|folder| folder.join(&name));
        let path = paths.into_iter().find(|path| path.is_file())?;
        let version = about(&path).and_then(|about| version_text(&about).map(str::to_owned));
        Some(Self { path, version })
    }
}

/// What it says of itself.
fn about(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("-version");
    answer(command)
}

/// A program's output, if it ends well in time.
fn answer(command: Command) -> Option<String> {
    let pipes = Process::start(command).ok()?;
    let guard = KillOnDrop(pipes.process);
    let (send, receive) = channel();
    let body = move || {
        let mut text = Vec::new();
        // What was read before an error is what there is.
        drop(pipes.output.take(MAX_ANSWER).read_to_end(&mut text));
        drop(send.send(text));
    };
    thread::Builder::new().name("ffprobe".to_owned()).spawn(body).ok()?;
    let text = receive.recv_timeout(PATIENCE).ok()?;
    guard.0.finish().ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// `5.1.9-0+deb12u1` of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...`.
fn version_text(text: &str) -> Option<&str> {
    text.strip_prefix("ffmpeg version ")?.split_whitespace().next()
}

/// Its first two numbers; none for a build of a development version.
fn version(text: &str) -> Option<(u32, u32)> {
    let version = version_text(text)?.trim_start_matches('n');
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number().unwrap_or(0)))
}

fn parse(name: &str, text: &str) -> Info {
    // Of the two durations the container's comes last.
    let field = |key: &str| {
        let lines = text.lines().rev().filter_map(|line| line.trim().split_once('='));
        lines
            .filter(|(found, value)| *found == key && *value != "N/A")
            .map(|(_, value)| value)
            .next()
    };
    let side = |key| field(key).and_then(|value| value.parse::<usize>().ok());
    let size = side("width").zip(side("height")).map(|(width, height)| Size { width, height });
    let seconds = field("duration").and_then(|value| value.parse().ok());
    Info {
        size,
        fps: field("avg_frame_rate").and_then(ratio),
        frames: field("nb_frames").and_then(|value| value.parse().ok()),
        duration: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        format: field("codec_name").map(str::to_owned),
        ..Info::named(name)
    }
}

fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
    (over > 0.0 && under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffprobe_says_is_read() {
        let text = "codec_name=h264\nwidth=640\nheight=480\navg_frame_rate=30000/1001\n\
                    duration=N/A\nnb_frames=N/A\nduration=2.502000\n";
        let info = parse("a.mkv", text);
        assert_eq!((info.size, info.frames), (Some(Size::new(640, 480)), None));
        assert_eq!(info.duration, Some(Duration::from_millis(2502)));
        assert!((info.fps.unwrap() - 29.97).abs() < 0.001);
        assert_eq!(parse("a.mkv", "avg_frame_rate=0/0\nwidth=x\n"), Info::named("a.mkv"));
    }

    #[test]
    fn versions_are_compared() {
        assert_eq!(version("ffmpeg version 5.1.9-0+deb12u1 Copyright"), Some((5, 1)));
        assert_eq!(version("ffmpeg version 4.4.2 Copyright"), Some((4, 4)));
        assert_eq!(version("ffmpeg version n7.1 Copyright"), Some((7, 1)));
        assert_eq!(version("ffmpeg version 8.0 Copyright"), Some((8, 0)));
        assert_eq!(version("ffmpeg version N-109542-g1 Copyright"), None);
        assert_eq!(version_text("ffmpeg version N-109542-g1 Copyright"), Some("N-109542-g1"));
        assert_eq!(version_text("command not found"), None);
    }
}
