//! Stills, folders, YUV4MPEG2, MJPEG and GIF.

use std::time::Duration;

use gif::{DisposalMethod, Encoder, Frame};
use laterna_media::source::{KINDS, Pace, SourceError, open};
use laterna_pipeline::port::Read;
use laterna_pipeline::sim::SimClock;
use laterna_pipeline::{Image, Size};

use crate::support::*;

#[test]
fn a_still_is_repeated_live_and_comes_once_offline() {
    let picture = stripes(Size::new(40, 30), 3);
    let (_folder, path) = file("a.jpg", &jpeg(&picture, 95));
    let pictures = read_file(&path);
    assert_eq!(pictures.len(), 1);
    assert!(psnr(&pictures[0].1, &picture) > 30.0);
    let clock = SimClock::new();
    let shared: std::sync::Arc<dyn laterna_pipeline::port::Clock> = std::sync::Arc::new(clock);
    let mut wanted = spec(&path);
    wanted.want.fps = Some(10.0);
    let mut opened = open(&wanted, &shared, Pace::Live).unwrap();
    let live = read_all(&mut opened, 4).unwrap();
    assert_eq!(times_ms(&live), [0, 100, 200, 300]);
    assert!(live.iter().all(|(_, image)| *image == pictures[0].1));
}

#[test]
fn transparent_and_deep_pictures_are_read() {
    let picture = image::RgbaImage::from_fn(3, 2, |x, _| {
        if x == 0 { image::Rgba([9, 9, 9, 0]) } else { image::Rgba([200, 100, 50, 255]) }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    picture.save(&path).unwrap();
    assert_eq!(read_file(&path)[0].1.rgb()[..6], [255, 255, 255, 200, 100, 50]);
    let deep =
        image::ImageBuffer::from_fn(2, 1, |x, _| image::Luma([if x == 0 { 0_u16 } else { 65535 }]));
    image::DynamicImage::ImageLuma16(deep).save(&path).unwrap();
    assert_eq!(read_file(&path)[0].1.rgb(), [0, 0, 0, 255, 255, 255]);
}

#[test]
fn a_folder_is_shown_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, index) in [("10.png", 3), ("9.PNG", 2), ("1.png", 1), ("notes.txt", 0)] {
        let image = stripes(Size::new(8, 8), index);
        let buffer = image::RgbImage::from_raw(8, 8, image.rgb().to_vec()).unwrap();
        buffer.save_with_format(folder.path().join(name), image::ImageFormat::Png).unwrap();
    }
    let mut wanted = spec(folder.path());
    wanted.want.hold = 250 * MS;
    let mut opened = open(&wanted, &clock(), Pace::Offline).unwrap();
    assert_eq!((opened.info.frames, opened.info.duration), (Some(3), Some(750 * MS)));
    let pictures = read_all(&mut opened, 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 250, 500]);
    for (index, (_, image)) in pictures.iter().enumerate() {
        assert_eq!(*image, stripes(Size::new(8, 8), index + 1));
    }
}

#[test]
fn a_live_folder_leaves_out_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let image = stripes(Size::new(8, 8), 1);
    std::fs::write(folder.path().join("a.jpg"), b"no picture").unwrap();
    std::fs::write(folder.path().join("b.jpg"), jpeg(&image, 90)).unwrap();
    let mut wanted = spec(folder.path());
    (wanted.want.hold, wanted.want.fps) = (200 * MS, Some(20.0));
    let shared: std::sync::Arc<dyn laterna_pipeline::port::Clock> =
        std::sync::Arc::new(SimClock::new());
    let mut opened = open(&wanted, &shared, Pace::Live).unwrap();
    let pictures = read_all(&mut opened, 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 50, 100, 150]);
    let error = read_all(&mut open(&wanted, &shared, Pace::Offline).unwrap(), 9).unwrap_err();
    assert!(error.contains("a.jpg"), "{error}");
    std::fs::remove_file(folder.path().join("b.jpg")).unwrap();
    let error = read_all(&mut open(&wanted, &shared, Pace::Live).unwrap(), 9).unwrap_err();
    assert!(error.contains("a.jpg"), "{error}");
}

#[test]
fn an_empty_folder_and_a_missing_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_offline(folder.path()).unwrap_err();
    assert!(
        matches!(&error, SourceError::Unavailable { why, .. } if why.contains("png")),
        "{error}"
    );
    let missing = folder.path().join("missing.mp4");
    let error = open_offline(&missing).unwrap_err().to_string();
    assert!(error.starts_with(missing.to_str().unwrap()), "{error}");
}

#[test]
fn every_layout_of_y4m_is_read() {
    let (area, half) = (6 * 4, 3 * 2);
    let layouts = [
        ("", [area, half, half]),
        ("C420jpeg", [area, half, half]),
        ("C420mpeg2", [area, half, half]),
        ("C420paldv", [area, half, half]),
        ("C422", [area, 3 * 4, 3 * 4]),
        ("C444", [area, area, area]),
        ("C411", [area, 2 * 4, 2 * 4]),
        ("Cmono", [area, 0, 0]),
    ];
    for (layout, planes) in layouts {
        let header = format!("YUV4MPEG2 W6 H4 F25:1 Ip A1:1 {layout}");
        let bytes = y4m(&header, planes, &[[16, 128, 128], [235, 128, 128], [82, 90, 240]]);
        let (_folder, path) = file("a.y4m", &bytes);
        let mut opened = open_offline(&path).unwrap();
        assert_eq!((opened.info.frames, opened.info.size), (Some(3), Some(Size::new(6, 4))));
        assert_eq!(opened.info.duration, Some(120 * MS));
        let pictures = read_all(&mut opened, 99).unwrap();
        assert_eq!(times_ms(&pictures), [0, 40, 80], "{layout}");
        assert!(pictures[0].1.rgb().iter().all(|&byte| byte == 0));
        assert!(pictures[1].1.rgb().iter().all(|&byte| byte == 255));
        let [red, green, blue] = pictures[2].1.rgb()[..3] else { unreachable!() };
        let is_red = red > 250 && green < 5 && blue < 5;
        let is_grey = red == green && green == blue;
        assert!(if layout == "Cmono" { is_grey } else { is_red }, "{layout} {red} {green} {blue}");
    }
}

#[test]
fn full_range_y4m_is_read_as_such_and_begins_again() {
    let header = "YUV4MPEG2 W2 H2 F10:1 C444 XCOLORRANGE=FULL";
    let (_folder, path) =
        file("a.y4m", &y4m(header, [4, 4, 4], &[[16, 128, 128], [235, 128, 128]]));
    let mut wanted = spec(&path);
    wanted.want.repeat = true;
    let mut opened = open(&wanted, &clock(), Pace::Offline).unwrap();
    let pictures = read_all(&mut opened, 5).unwrap();
    assert_eq!(times_ms(&pictures), [0, 100, 200, 300, 400]);
    let values: Vec<u8> = pictures.iter().map(|(_, image)| image.rgb()[0]).collect();
    assert_eq!(values, [16, 235, 16, 235, 16]);
}

#[test]
fn mjpeg_is_split_at_its_pictures() {
    let size = Size::new(48, 32);
    let images: Vec<Image> = (0..4).map(|index| stripes(size, index)).collect();
    let mut bytes = Vec::new();
    for image in &images {
        bytes.extend_from_slice(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n");
        bytes.extend_from_slice(&jpeg(image, 95));
    }
    let (_folder, path) = file("a.mjpeg", &bytes);
    let mut wanted = spec(&path);
    wanted.want.fps = Some(20.0);
    let pictures = read_all(&mut open(&wanted, &clock(), Pace::Offline).unwrap(), 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 50, 100, 150]);
    for ((_, found), image) in pictures.iter().zip(&images) {
        assert!(psnr(found, image) > 30.0);
    }
}

/// A GIF of 4x4 with a frame for each way to dispose of one.
fn gif_file() -> Vec<u8> {
    let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 4, 4, &palette).unwrap();
    let frames = [
        ((0, 0, 4, 4), 0, DisposalMethod::Keep, 7),
        ((1, 1, 2, 2), 1, DisposalMethod::Previous, 0),
        ((0, 0, 2, 2), 2, DisposalMethod::Background, 1),
        ((3, 3, 1, 1), 1, DisposalMethod::Keep, 20),
    ];
    for ((left, top, width, height), colour, dispose, delay) in frames {
        let buffer = vec![colour; usize::from(width) * usize::from(height)].into();
        let frame = Frame { delay, dispose, left, top, width, height, buffer, ..Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

#[test]
fn gif_frames_are_disposed_of_and_delayed() {
    let (_folder, path) = file("a.gif", &gif_file());
    let pictures = read_file(&path);
    assert_eq!(times_ms(&pictures), [0, 70, 170, 270]);
    let drawn: Vec<String> = pictures
        .iter()
        .map(|(_, image)| {
            let letter = |pixel: &[u8]| match pixel {
                [255, 0, 0] => 'r',
                [0, 255, 0] => 'g',
                [0, 0, 255] => 'b',
                _ => '.',
            };
            image.rgb().chunks_exact(3).map(letter).collect()
        })
        .collect();
    assert_eq!(
        drawn,
        ["rrrrrrrrrrrrrrrr", "rrrrrggrrggrrrrr", "bbrrbbrrrrrrrrrr", "..rr..rrrrrrrrrg"]
    );
}

#[test]
fn pipes_are_read_without_waiting_for_them() {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert!(kinds.contains(&"stdin") && kinds.last() == Some(&"ffmpeg"), "{kinds:?}");
    if cfg!(not(unix)) || std::process::Command::new("mkfifo").arg("--version").output().is_err() {
        eprintln!("skipped: there is no mkfifo");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut opened = open_offline(&path).unwrap();
    let mut image = Image::default();
    let before = std::time::Instant::now();
    assert_eq!(opened.source.read(&mut image).unwrap(), Read::Nothing);
    assert!(before.elapsed() < Duration::from_millis(500));
    let bytes = y4m("YUV4MPEG2 W2 H2 F10:1 C444", [4, 4, 4], &[[16, 128, 128], [235, 128, 128]]);
    std::fs::write(&path, &bytes).unwrap();
    let pictures = read_all(&mut opened, 99).unwrap();
    assert_eq!(times_ms(&pictures), [0, 100]);
    assert_eq!(pictures[1].1.rgb(), [255; 12]);
}
