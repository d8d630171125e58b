//! `laterna video` killed while it paints, and run again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// More than two checkpoints apart, and long enough to be killed between them.
const FRAMES: usize = 140;

fn video(folder: &Path, output: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
    let given = ["video", "--input", "clip.y4m", "--size", "64", "--threads", "1"];
    command.current_dir(folder).args(given).args(["--output", output]).args(more);
    command
}

/// Runs to the end and gives what was told.
fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

/// Kills the command once it has left a checkpoint.
fn kill(folder: &Path, signal: &str) -> Option<i32> {
    let mut child = video(folder, "a.mp4", &[]).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !folder.join("a.mp4.resume").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint comes");
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert!(!folder.join("a.mp4").exists(), "it was done before it was killed");
    status.code()
}

#[test]
fn a_killed_command_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    common::clip(&folder.join("clip.y4m"), (64, 64), 25, FRAMES);
    let told = finish(&mut video(folder, "whole.mp4", &[]));
    assert!(told.contains("140 frames in ") && !told.contains("resuming"), "{told}");
    let whole = fs::read(folder.join("whole.mp4")).unwrap();

    for (signal, code) in [("-KILL", None), ("-INT", Some(130))] {
        assert_eq!(kill(folder, signal), code);
        let told = finish(&mut video(folder, "a.mp4", &[]));
        assert!(told.contains("resuming at frame ") && told.contains(" of 140"), "{told}");
        assert!(told.contains("140 frames, ") && told.contains(" now in "), "{told}");
        assert!(fs::read(folder.join("a.mp4")).unwrap() == whole, "{signal}: {told}");
        fs::remove_file(folder.join("a.mp4")).unwrap();
    }

    kill(folder, "-KILL");
    let told = finish(&mut video(folder, "a.mp4", &["--seed", "3", "--strength", "0"]));
    assert!(told.contains("warning: starting over: changed: seed, strength\n"), "{told}");
    assert!(fs::read(folder.join("a.mp4")).unwrap() != whole);
    let left = fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 3, "the clip and the two outputs");
}
