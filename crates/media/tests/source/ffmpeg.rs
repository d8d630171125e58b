//! What is read through the ffmpeg program, where it is installed.

use std::process::Command;
use std::time::{Duration, Instant};

use laterna_media::source::{Pace, open};
use laterna_pipeline::port::Read;
use laterna_pipeline::{Image, Size};

use crate::support::*;

#[test]
fn a_real_clip_is_read_whole() {
    let Some(folder) = clips() else { return };
    if !has("ffmpeg") || !has("ffprobe") {
        return;
    }
    let mut opened = open_offline(&folder.join("milk.mkv")).unwrap();
    let info = opened.info.clone();
    assert_eq!((info.size, info.format.as_deref()), (Some(Size::new(640, 480)), Some("h264")));
    let pictures = read_all(&mut opened, 9999).unwrap();
    let seconds = info.duration.unwrap().as_secs_f64();
    let expected = seconds * info.fps.unwrap();
    assert!((pictures.len() as f64 - expected).abs() < 3.0, "{} {expected}", pictures.len());
    assert_eq!(pictures[0].0, Duration::ZERO);
    assert!(pictures.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let last = pictures.last().unwrap().0.as_secs_f64();
    assert!((seconds - last).abs() < 0.2, "{seconds} {last}");
}

#[test]
fn uneven_times_are_kept() {
    if !has("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    let mut command = Command::new("ffmpeg");
    let source = "testsrc=size=64x48:rate=10:duration=1,settb=1/1000,setpts=N*N*20";
    command.args(["-v", "error", "-f", "lavfi", "-i", source, "-c:v", "ffv1"]);
    command.args(["-enc_time_base", "1/1000"]).arg(&path);
    assert!(command.status().unwrap().success());
    let times = times_ms(&read_file(&path));
    assert_eq!(times, [0, 20, 80, 180, 320, 500, 720, 980, 1280, 1620]);
    let mut wanted = spec(&path);
    wanted.want.repeat = true;
    let again = read_all(&mut open(&wanted, &clock(), Pace::Offline).unwrap(), 13).unwrap();
    assert_eq!(times_ms(&again)[10..], [1960, 1980, 2040]);
}

#[test]
fn large_pictures_are_shrunk_to_cover_what_is_wanted() {
    if !has("ffmpeg") {
        return;
    }
    let sizes = |size| {
        let mut wanted: laterna_media::source::Spec =
            "ffmpeg:lavfi:testsrc=size=320x180:rate=5:duration=1".parse().unwrap();
        wanted.want.size = Some(size);
        let mut opened = open(&wanted, &clock(), Pace::Offline).unwrap();
        read_all(&mut opened, 99)
            .unwrap()
            .into_iter()
            .map(|(_, image)| image.size())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(Size::new(90, 90)), [Size::new(160, 90); 5]);
    assert_eq!(sizes(Size::new(640, 640)), [Size::new(320, 180); 5]);
}

#[test]
fn what_ffmpeg_says_is_in_the_error() {
    if !has("ffmpeg") {
        return;
    }
    let (_folder, path) = file("a.mkv", b"this is no film at all");
    let error = read_all(&mut open_offline(&path).unwrap(), 9).unwrap_err();
    assert!(error.contains("a.mkv") && error.contains("Invalid data"), "{error}");
    let missing = "ffmpeg:nosuchformat:x".parse().unwrap();
    let error = read_all(&mut open(&missing, &clock(), Pace::Offline).unwrap(), 9).unwrap_err();
    assert!(error.contains("nosuchformat"), "{error}");
}

#[test]
fn a_recording_keeps_real_time_and_can_be_dropped() {
    if !has("ffmpeg") {
        return;
    }
    let wanted = "ffmpeg:lavfi:testsrc=size=64x48:rate=20".parse().unwrap();
    let clock = clock();
    let mut opened = open(&wanted, &clock, Pace::Live).unwrap();
    let (mut image, mut captured) = (Image::default(), Vec::new());
    while captured.len() < 11 {
        let before = Instant::now();
        if let Read::Picture { captured: at } = opened.source.read(&mut image).unwrap() {
            assert!(at <= clock.now());
            captured.push(at);
        }
        assert!(before.elapsed() < Duration::from_millis(500));
    }
    let length = *captured.last().unwrap() - captured[0];
    assert!(length >= 500 * MS && length < 5000 * MS, "{length:?}");
    let before = Instant::now();
    drop(opened);
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_address_without_a_server_is_an_error_that_keeps_the_password() {
    if !has("ffmpeg") {
        return;
    }
    let wanted = "http://me:secret@127.0.0.1:9/none.mp4".parse().unwrap();
    let error = read_all(&mut open(&wanted, &clock(), Pace::Live).unwrap(), 9).unwrap_err();
    assert!(error.contains("127.0.0.1") && !error.contains("secret"), "{error}");
}

#[test]
fn the_screen_is_read_from_an_x_server() {
    if !has("ffmpeg") || Command::new("Xvfb").arg("-help").output().is_err() {
        eprintln!("skipped: there is no ffmpeg or no Xvfb");
        return;
    }
    let display = ":87";
    let mut server = Command::new("Xvfb")
        .args([display, "-screen", "0", "320x240x24", "-nolisten", "tcp"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let read = || {
        let mut wanted: laterna_media::source::Spec = format!("screen:{display}").parse().unwrap();
        wanted.want.fps = Some(20.0);
        let mut opened = open(&wanted, &clock(), Pace::Live).map_err(|error| error.to_string())?;
        read_all(&mut opened, 3)
    };
    // The server takes a while to listen.
    let deadline = Instant::now() + Duration::from_secs(20);
    let pictures = loop {
        match read() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(200 * MS),
            result => break result,
        }
    };
    server.kill().unwrap();
    server.wait().unwrap();
    let pictures = pictures.unwrap();
    assert!(pictures.iter().all(|(_, image)| image.size() == Size::new(320, 240)));
    assert!(pictures.windows(2).all(|pair| pair[0].0 < pair[1].0));
}
