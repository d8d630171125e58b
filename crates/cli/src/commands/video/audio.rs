//! The sound of a clip, carried over by an ffmpeg where there is one.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::console::Console;

/// Adds the input's sound to the painted clip. Without ffmpeg, or if it fails,
/// the clip stays as it is.
pub fn keep(input: &str, clip: &Path, console: &Console) {
    if !Path::new(input).is_file() || !has_sound(input) {
        return;
    }
    let mixed = clip.with_extension("sound");
    let done = ffmpeg()
        .args(["-v", "error", "-y", "-i"])
        .arg(clip)
        .args(["-i", input, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"])
        .args(["-fflags", "+bitexact", "-flags:a", "+bitexact", "-f", "mp4"])
        .arg(&mixed)
        .status();
    let moved = done.ok().filter(|status| status.success());
    if moved.is_none() || std::fs::rename(&mixed, clip).is_err() {
        // Whether it was begun or not, nothing of it stays.
        let _ = std::fs::remove_file(&mixed);
        console.warn("the sound was not kept: ffmpeg failed");
    }
}

fn has_sound(input: &str) -> bool {
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "a",
            "-show_entries",
            "stream=index",
            "-of",
            "csv",
        ])
        .arg(input)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    probe.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
