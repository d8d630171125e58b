//! The live commands from outside: the synthetic scene or a clip made here goes
//! in; files, a pipe and a page come out.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn laterna(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
    command.current_dir(folder).args(args);
    command
}

fn succeed(folder: &Path, args: &[&str]) -> Output {
    let output = laterna(folder, args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    output
}

fn fail(folder: &Path, args: &[&str]) -> String {
    let output = laterna(folder, args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// 80x64 at 10 a second.
fn clip(path: &Path, frames: usize) {
    common::clip(path, (80, 64), 10, frames);
}

#[test]
fn a_live_session_paints_records_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let output = succeed(
        folder.path(),
        &[
            "run",
            "--input",
            "synthetic",
            "--no-web",
            "--size",
            "64",
            "--duration",
            "4",
            "--json",
            "--record",
            "a.mp4",
            "--log",
            "session.json",
        ],
    );
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let frames = &counts["frames"];
    assert!(frames["generated"].as_u64().unwrap() > 10, "{frames}");
    let ends = ["dropped", "skipped", "failed", "generated", "in_flight"];
    let sum: u64 = ends.iter().map(|end| frames[end].as_u64().unwrap()).sum();
    assert_eq!(frames["captured"].as_u64().unwrap(), sum);
    let recording = fs::read(folder.path().join("a.mp4")).unwrap();
    assert_eq!(&recording[4..8], b"ftyp");
    assert!(recording.len() > 2000);
    let log = fs::read_to_string(folder.path().join("session.json")).unwrap();
    assert!(log.starts_with("{\"laterna_log\":1"));
}

#[test]
fn frames_go_to_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = laterna(
        folder.path(),
        &[
            "run",
            "--input",
            "synthetic",
            "--no-web",
            "--size",
            "64",
            "--pipe",
            "y4m",
            "--fps",
            "10",
            "--duration",
            "60",
        ],
    );
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut frames = BufReader::new(child.stdout.take().unwrap());
    let mut header = String::new();
    frames.read_line(&mut header).unwrap();
    assert!(header.starts_with("YUV4MPEG2 W64 H64 F10:1"), "{header}");
    let mut frame = vec![0; "FRAME\n".len() + 64 * 64 * 3 / 2];
    for _ in 0..5 {
        frames.read_exact(&mut frame).unwrap();
        assert_eq!(&frame[..6], b"FRAME\n");
    }
    let luma = &frame[6..6 + 64 * 64];
    assert!(luma.iter().max().unwrap() - luma.iter().min().unwrap() > 50, "a picture");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_page_is_served_at_the_address_that_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = laterna(
        folder.path(),
        &["run", "--input", "synthetic", "--size", "64", "--port", "0", "--duration", "60"],
    );
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("open ")).unwrap().unwrap();
    let host = line.trim_start_matches("open http://").trim_end_matches('/').to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(get("/").contains("<title>laterna"));
    let state = get("/api/v1/state");
    assert!(state.starts_with("HTTP/1.1 200") && state.contains("\"strength\":0.8"), "{state}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_clip_is_painted_frame_by_frame_and_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    clip(&folder.path().join("clip.y4m"), 7);
    let paint = |output: &str, more: &[&str]| {
        let mut args = vec![
            "video",
            "--input",
            "clip.y4m",
            "--size",
            "64",
            "--output",
            output,
            "--prompt",
            "oil painting",
        ];
        args.extend(more);
        let done = succeed(folder.path(), &args);
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(told.contains("7 frames"), "{told}");
        fs::read(folder.path().join(output)).unwrap()
    };
    let first = paint("a.mp4", &[]);
    assert_eq!(first, paint("b.mp4", &[]), "two runs are byte-identical");
    assert_ne!(first, paint("c.mp4", &["--seed", "3"]));
    assert!(!folder.path().join("a.mp4.part").exists());

    let info =
        succeed(folder.path(), &["video", "--input", "a.mp4", "--size", "64", "--output", "d.mp4"]);
    assert!(String::from_utf8(info.stderr).unwrap().contains("7 frames"), "it has as many frames");
}

#[test]
fn a_replay_follows_the_log() {
    let folder = tempfile::tempdir().unwrap();
    clip(&folder.path().join("clip.y4m"), 6);
    let log = "{\"laterna_log\":1,\"at_ms\":0,\"set\":{\"strength\":0.0,\"smoothing\":0}}\n\
               {\"at_ms\":300,\"set\":{\"strength\":0.9,\"prompts\":[{\"text\":\"pop art\"}],\"glide_s\":0}}\n";
    fs::write(folder.path().join("log.json"), log).unwrap();
    let sizes = |more: &[&str], output: &str| {
        let mut args = vec!["video", "--input", "clip.y4m", "--size", "64", "--output", output];
        args.extend(more);
        succeed(folder.path(), &args);
        fs::read(folder.path().join(output)).unwrap()
    };
    let replayed = sizes(&["--replay", "log.json"], "a.mp4");
    let untouched = sizes(&["--strength", "0", "--smoothing", "0"], "b.mp4");
    assert_ne!(replayed, untouched, "the second half is painted");
    assert_eq!(replayed, sizes(&["--replay", "log.json"], "c.mp4"));
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    clip(&folder.path().join("clip.y4m"), 1);
    let video = |more: &[&str]| {
        let mut args = vec!["video", "--input", "clip.y4m", "--size", "64"];
        args.extend(more);
        fail(folder.path(), &args)
    };
    assert!(video(&["--output", "a.avi"]).contains("only MP4"));
    assert!(video(&["--output", "no/a.mp4"]).contains("there is no folder"));
    assert!(video(&["--output", "a.mp4", "--strength", "7"]).contains("strength is 7"));
    fs::write(folder.path().join("taken.mp4"), "x").unwrap();
    assert!(video(&["--output", "taken.mp4"]).contains("--overwrite"));
    fs::write(folder.path().join("log.json"), "nonsense\n").unwrap();
    assert!(video(&["--output", "a.mp4", "--replay", "log.json"]).contains("line 1"));
    let cut = fs::read(folder.path().join("clip.y4m")).unwrap();
    fs::write(folder.path().join("cut.y4m"), &cut[..60]).unwrap();
    let error =
        fail(folder.path(), &["video", "--input", "cut.y4m", "--size", "64", "--output", "a.mp4"]);
    assert!(error.contains("cannot read the clip"), "{error}");
    assert!(!folder.path().join("a.mp4").exists() && !folder.path().join("a.mp4.part").exists());
    assert!(fail(folder.path(), &["run", "--folder", "nowhere"]).contains("no such folder"));
}
