//! Real webcam clips through `laterna video`, where ffmpeg and the clips are at
//! hand: every frame comes out, at its time, and the same each time.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Containers count in milliseconds or coarser ticks.
const TICK_S: f64 = 0.002;

#[test]
fn frames_and_durations_of_clips_are_kept() {
    let Some(clips) = clips() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in clips {
        let paint = |name: &str| {
            let output = folder.path().join(name);
            let (from, to) = (common::arg(&clip), common::arg(&output));
            common::succeed(&["video", "--input", from, "--output", to, "--size", "64"]);
            output
        };
        let (first, second) = (paint("a.mp4"), paint("b.mp4"));
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap(), "{}", clip.display());
        let (before, after) = (video(&clip), video(&first));
        assert_eq!(before.frames, after.frames, "{}", clip.display());
        let difference = (before.seconds - after.seconds).abs();
        assert!(difference < TICK_S, "{}: {before:?} became {after:?}", clip.display());
        println!("{}: {after:?}", clip.file_name().unwrap().display());
        fs::remove_file(first).unwrap();
        fs::remove_file(second).unwrap();
    }
}

/// The clips, or nothing if something is missing, which is said.
fn clips() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/clips");
    let Ok(entries) = fs::read_dir(folder) else {
        eprintln!("skipped: the webcam clips are not here");
        return None;
    };
    if Command::new("ffprobe").arg("-version").output().is_err() {
        eprintln!("skipped: there is no ffmpeg, and the clips are Matroska files");
        return None;
    }
    let paths = entries.map(|entry| entry.unwrap().path());
    Some(paths.filter(|path| path.extension().is_some_and(|end| end == "mkv")).collect())
}

#[derive(Debug)]
struct Video {
    frames: usize,
    /// From the first picture to the end of the last.
    seconds: f64,
}

fn video(path: &Path) -> Video {
    let times = probe(path, "packet=pts_time");
    let seconds = |what: &str| probe(path, what).trim().parse::<f64>().unwrap();
    // Matroska's duration is the end of the last picture; some begin after 0.
    let seconds = seconds("format=duration") - seconds("format=start_time");
    Video { frames: times.lines().count(), seconds }
}

fn probe(path: &Path, entries: &str) -> String {
    let args = ["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0", "-show_entries"];
    let output = Command::new("ffprobe").args(args).arg(entries).arg(path).output().unwrap();
    common::text(&output.stdout)
}
