//! The sound of a clip, carried over by an ffmpeg where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::console::Console;

/// Writes the painted clip with the input's sound beside it, and says where: the
/// clip as it is without ffmpeg, without sound, or if it fails.
pub fn keep(input: &str, clip: &Path, console: &Console) -> PathBuf {
    if !Path::new(input).is_file() || !has_sound(input) {
        return clip.to_owned();
    }
    let mixed = clip.with_extension("sound");
    let done = ffmpeg()
        .args(["-v", "error", "-y", "-i"])
        .arg(clip)
        .args(["-i", input, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"])
        .args(["-fflags", "+bitexact", "-flags:a", "+bitexact", "-f", "mp4"])
        .arg(&mixed)
        .status();
    if done.is_ok_and(|status| status.success()) {
        return mixed;
    }
    // Whether it was begun or not, nothing of it stays.
    let _ = std::fs::remove_file(&mixed);
    console.warn("the sound was not kept: ffmpeg failed");
    clip.to_owned()
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
