//! Truncated and altered files of every format: errors, never panics, and never
//! more pictures than there were.

use std::path::Path;

use laterna_media::source::{Pace, Spec, open};
use laterna_pipeline::Size;

use crate::support::*;

/// Reads `bytes` as a file of `kind`; whether it was read to its end. Pictures may
/// be damaged, but their number is bounded.
fn read_damaged(kind: &str, path: &Path, bytes: &[u8], limit: usize) -> bool {
    std::fs::write(path, bytes).unwrap();
    let spec: Spec = format!("{kind}:{}", path.display()).parse().unwrap();
    let name = path.to_str().unwrap();
    let mut opened = match open(&spec, &clock(), Pace::Offline) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.to_string().contains(name), "{error}");
            return false;
        }
    };
    match read_all(&mut opened, limit + 1) {
        Ok(pictures) => {
            assert!(pictures.len() <= limit, "{} pictures", pictures.len());
            true
        }
        Err(error) => {
            assert!(error.contains(name), "{error}");
            false
        }
    }
}

/// Cuts and alters a file of `count` pictures in `rounds` ways.
fn damage(kind: &str, whole: &[u8], count: usize, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    assert!(read_damaged(kind, &path, whole, count), "{kind} whole");
    let mut random = Random(7);
    let mut failures = 0;
    for round in 0..rounds {
        let end = if round < 64 { round * whole.len() / 64 } else { random.below(whole.len()) };
        failures += usize::from(!read_damaged(kind, &path, &whole[..end], count));
        let mut altered = whole.to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(whole.len());
            altered[at] = [0, 1, 0x7F, 0x80, 0xFF, random.below(256) as u8][random.below(6)];
        }
        // An altered size can make more and smaller pictures of the same bytes.
        read_damaged(kind, &path, &altered, 64 * count + whole.len());
    }
    assert!(failures > rounds / 4, "{kind}: {failures} of {rounds}");
}

#[test]
fn damaged_y4m() {
    let header = "YUV4MPEG2 W16 H8 F25:1 C420jpeg";
    let whole = y4m(header, [128, 32, 32], &[[50, 128, 128], [90, 100, 128], [70, 1, 255]]);
    damage("y4m", &whole, 3, 300);
}

#[test]
fn damaged_mjpeg() {
    let size = Size::new(32, 24);
    let whole: Vec<u8> = (0..3).flat_map(|index| jpeg(&stripes(size, index), 80)).collect();
    damage("mjpeg", &whole, 3, 300);
}

#[test]
fn damaged_stills() {
    let picture = stripes(Size::new(32, 24), 1);
    damage("still", &jpeg(&picture, 80), 1, 200);
    let buffer = image::RgbImage::from_raw(32, 24, picture.rgb().to_vec()).unwrap();
    for format in [image::ImageFormat::Png, image::ImageFormat::WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        buffer.write_to(&mut bytes, format).unwrap();
        damage("still", bytes.get_ref(), 1, 200);
    }
}

#[test]
fn damaged_gif() {
    let mut whole = Vec::new();
    let mut encoder = gif::Encoder::new(&mut whole, 16, 12, &[0, 0, 0, 255, 255, 255]).unwrap();
    for frame in 0..3_usize {
        let buffer: Vec<u8> = (0..16 * 12).map(|i| ((i / (frame + 1)) % 2) as u8).collect();
        let frame =
            gif::Frame { width: 16, height: 12, buffer: buffer.into(), ..Default::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    damage("gif", &whole, 3, 300);
}

#[test]
fn a_huge_canvas_is_refused() {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 65535, 65535, &[0, 0, 0, 9, 9, 9]).unwrap();
    let frame = gif::Frame { width: 1, height: 1, buffer: vec![0].into(), ..Default::default() };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let (_folder, path) = file("a.gif", &bytes);
    let error = open_offline(&path).unwrap_err().to_string();
    assert!(error.contains("65535x65535"), "{error}");
}

/// Without ffmpeg's help: damaged films would be handed to it.
#[test]
fn damaged_films() {
    let images: Vec<_> = (0..4).map(|index| stripes(Size::new(32, 32), index)).collect();
    let whole = film(&images, FilmOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.mp4");
    let mut random = Random(11);
    let mut errors = 0;
    for round in 0..160 {
        let mut altered = whole.clone();
        match round % 2 {
            0 => altered.truncate(random.below(whole.len())),
            _ => {
                for _ in 0..=random.below(4) {
                    // Half of them in the tables, at the end of the file.
                    let from = if random.below(2) == 0 { whole.len() - 700 } else { 0 };
                    let at = from + random.below(whole.len() - from);
                    altered[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)];
                }
            }
        }
        std::fs::write(&path, &altered).unwrap();
        errors += usize::from(!read_film(&path));
    }
    assert!(errors > 60, "{errors}");
}

/// Whether a film was read to its end by this program.
fn read_film(path: &Path) -> bool {
    let wanted: Spec = format!("mp4:{}", path.display()).parse().unwrap();
    match open(&wanted, &clock(), Pace::Offline) {
        Ok(mut opened) if opened.info.format.as_deref() == Some("h264") => {
            read_all(&mut opened, 10_000).is_ok()
        }
        Ok(_) | Err(_) => false,
    }
}
