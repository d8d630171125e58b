//! Sinks as a pipeline drives them: what is recorded when, and how they end.

use std::fs;
use std::sync::{Arc, mpsc};

use laterna_media::sink::recorder::{Options, Recorder, Summary};
use laterna_media::sink::stream::{Format, FrameRate, Stream, StreamSink};
use laterna_pipeline::port::{Kind, Sink};
use laterna_pipeline::{Image, Size};

use crate::boxes;
use crate::support::{Hands, MS, decode, psnr, scene, show};

const SIZE: Size = Size::new(64, 48);

#[test]
fn repeats_are_not_recorded_again_and_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let clock = Hands::default();
    let (tell, told) = mpsc::channel();
    let recorder = Recorder::create(&path, Options::default(), Arc::new(clock.clone())).unwrap();
    let mut recorder = recorder.on_end(move |ended| tell.send(ended.unwrap()).unwrap());
    let shows = [
        (1000, 7, Kind::Repeated),
        (1100, 8, Kind::Interpolated),
        (1200, 8, Kind::Unique),
        (1300, 8, Kind::Repeated),
        (1900, 8, Kind::Repeated),
        (2000, 9, Kind::Unique),
    ];
    for (ms, number, kind) in shows {
        clock.set(ms * MS);
        show(&mut recorder, &scene(SIZE, ms as usize), number, kind).unwrap();
    }
    clock.set(2500 * MS);
    drop(recorder);
    assert_eq!(told.recv().unwrap(), Summary { pictures: 4, left_out: 0, length: 1500 * MS });
    let movie = boxes::read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(movie.times(), [0, 9000, 18_000, 90_000]);
    assert_eq!(movie.length, Some(135_000));
    for (picture, ms) in decode(&movie).iter().zip([1000, 1100, 1200, 2000]) {
        assert!(psnr(picture, &scene(SIZE, ms)) > 34.0, "{ms}");
    }
}

#[test]
fn a_recorder_that_saw_nothing_or_cannot_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let make = || Recorder::create(&path, Options::default(), Arc::new(Hands::default())).unwrap();
    drop(make());
    assert!(!path.exists());
    let mut recorder = make();
    assert!(path.exists());
    let tiny = Image::new(Size::new(4, 4));
    let error = show(&mut recorder, &tiny, 0, Kind::Unique).unwrap_err().to_string();
    assert!(error.contains("a.mp4: pictures of 4x4"), "{error}");
    assert!(show(&mut recorder, &scene(SIZE, 0), 1, Kind::Unique).is_err());
    assert!(!path.exists());
}

#[test]
fn a_stream_follows_the_clock() {
    let clock = Hands::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let rate = FrameRate { frames: 10, seconds: 1 };
    let file = fs::File::create(&path).unwrap();
    let stream = Stream::new(file, Format::Rgb24, rate).unwrap();
    let mut sink: Box<dyn Sink> = Box::new(StreamSink::new(stream, Arc::new(clock.clone())));
    let mut image = Image::new(Size::new(1, 1));
    for (ms, value, kind) in [
        (5000, 1, Kind::Repeated),
        (5110, 1, Kind::Repeated),
        (5200, 2, Kind::Unique),
        (5210, 3, Kind::Interpolated),
    ] {
        clock.set(ms * MS);
        image.rgb_mut().fill(value);
        show(&mut *sink, &image, u64::from(value), kind).unwrap();
    }
    drop(sink);
    let written: Vec<u8> = fs::read(&path).unwrap().iter().copied().step_by(3).collect();
    assert_eq!(written, [1, 1, 2, 3]);
}
