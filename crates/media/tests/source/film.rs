//! H.264 in MP4, coded by openh264 here and by x264 through ffmpeg.

use std::process::Command;

use laterna_media::source::{Pace, SourceError, open};
use laterna_pipeline::{Image, Size};

use crate::support::*;

fn images(size: Size, count: usize) -> Vec<Image> {
    (0..count).map(|index| stripes(size, index)).collect()
}

#[test]
fn every_picture_comes_with_its_time() {
    let images = images(Size::new(64, 48), 9);
    let (_folder, path) = file("a.mp4", &film(&images, FilmOptions::default()));
    let mut opened = open_offline(&path).unwrap();
    let info = &opened.info;
    assert_eq!((info.size, info.frames), (Some(Size::new(64, 48)), Some(9)));
    assert_eq!(info.duration, Some(300 * MS));
    assert!((info.fps.unwrap() - 30.0).abs() < 0.01);
    let pictures = read_all(&mut opened, 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 33, 67, 100, 133, 167, 200, 233, 267]);
    for ((_, found), image) in pictures.iter().zip(&images) {
        let psnr = psnr(found, image);
        assert!(psnr > 26.0, "{psnr}");
    }
}

#[test]
fn a_film_begins_again() {
    let images = images(Size::new(32, 32), 3);
    let (_folder, path) = file("a.mov", &film(&images, FilmOptions::default()));
    let mut wanted = spec(&path);
    wanted.want.repeat = true;
    let pictures = read_all(&mut open(&wanted, &clock(), Pace::Offline).unwrap(), 7).unwrap();
    assert_eq!(times_ms(&pictures), [0, 33, 67, 100, 133, 167, 200]);
    assert_eq!(pictures[0].1, pictures[3].1);
    assert_eq!(pictures[2].1, pictures[5].1);
    assert_ne!(pictures[0].1, pictures[1].1);
}

#[test]
fn a_film_that_was_held_sideways_is_upright() {
    let images = images(Size::new(64, 32), 1);
    let upright = read_film(&images, [1, 0, 0, 1]);
    let turned = read_film(&images, [0, 1, -1, 0]);
    assert_eq!((upright.size(), turned.size()), (Size::new(64, 32), Size::new(32, 64)));
    assert_eq!(turned.rgb()[..3], upright.rgb()[3 * 31 * 64..][..3]);
    let over = read_film(&images, [-1, 0, 0, -1]);
    assert_eq!(over.rgb()[..3], upright.rgb()[upright.rgb().len() - 3..]);
    let left = read_film(&images, [0, -1, 1, 0]);
    assert_eq!(left.rgb()[..3], upright.rgb()[3 * 63..][..3]);
}

fn read_film(images: &[Image], matrix: [i32; 4]) -> Image {
    let (_folder, path) =
        file("a.mp4", &film(images, FilmOptions { matrix, ..Default::default() }));
    read_file(&path).remove(0).1
}

#[test]
fn what_is_cut_off_at_the_beginning_is_not_shown() {
    let images = images(Size::new(32, 32), 5);
    let options = FilmOptions { edit: Some(40), ..FilmOptions::default() };
    let (_folder, path) = file("a.mp4", &film(&images, options));
    let mut opened = open_offline(&path).unwrap();
    assert_eq!(opened.info.frames, Some(3));
    let pictures = read_all(&mut opened, 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 33, 67]);
    assert!(psnr(&pictures[0].1, &images[2]) > 26.0);
}

#[test]
fn other_codecs_are_named() {
    let options = FilmOptions { codec: *b"hvc1", ..FilmOptions::default() };
    let (_folder, path) = file("a.mp4", &film(&images(Size::new(32, 32), 1), options));
    let mut wanted = format!("mp4:{}", path.display()).parse().unwrap();
    match open(&wanted, &clock(), Pace::Offline) {
        // Without ffmpeg the error says why it is needed; with it, ffmpeg has the
        // last word on a file whose codec is a lie.
        Err(SourceError::NoFfmpeg { why, .. }) => assert!(why.contains("hvc1"), "{why}"),
        Ok(mut opened) => assert!(read_all(&mut opened, 9).is_err()),
        Err(error) => panic!("{error}"),
    }
    wanted = spec(&path);
    assert_eq!(wanted.to_string(), path.to_str().unwrap());
}

#[test]
fn pictures_that_are_coded_out_of_order_are_shown_in_order() {
    if !has("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.mp4");
    let source = "testsrc2=size=160x120:rate=25:duration=2";
    let coding = ["-c:v", "libx264", "-bf", "3", "-g", "12", "-pix_fmt", "yuv420p", "-crf", "12"];
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", source]).args(coding).arg(&path);
    if !command.status().unwrap().success() {
        eprintln!("skipped: this ffmpeg has no libx264");
        return;
    }
    let ours = read_file(&path);
    let theirs = format!("ffmpeg:{}", path.display()).parse().unwrap();
    let theirs = read_all(&mut open(&theirs, &clock(), Pace::Offline).unwrap(), 999).unwrap();
    assert_eq!(times_ms(&ours), (0..50).map(|i| i * 40).collect::<Vec<u128>>());
    assert_eq!(times_ms(&theirs), times_ms(&ours));
    for (index, ((_, a), (_, b))) in ours.iter().zip(&theirs).enumerate() {
        let psnr = psnr(a, b);
        assert!(psnr > 30.0, "picture {index}: {psnr}");
    }
}

#[test]
fn a_real_clip_is_read_like_ffmpeg_reads_it() {
    let Some(folder) = clips() else { return };
    let path = folder.join("bottle-detection.mp4");
    let mut opened = open_offline(&path).unwrap();
    let ours = read_all(&mut opened, 40).unwrap();
    assert_eq!(opened.info.format.as_deref(), Some("h264"));
    assert!(ours.windows(2).all(|pair| pair[0].0 < pair[1].0));
    if !has("ffmpeg") {
        return;
    }
    let theirs = format!("ffmpeg:{}", path.display()).parse().unwrap();
    let mut theirs = open(&theirs, &clock(), Pace::Offline).unwrap();
    assert_eq!(theirs.info.size, opened.info.size);
    let theirs = read_all(&mut theirs, 40).unwrap();
    assert_eq!(times_ms(&ours), times_ms(&theirs));
    for ((_, a), (_, b)) in ours.iter().zip(&theirs) {
        let psnr = psnr(a, b);
        assert!(psnr > 30.0, "{psnr}");
    }
}
