//! What sinks do to each picture, on one core: the median and the best of many
//! runs, at 512x512. `cargo bench -p laterna-media --bench sinks`, with a picture
//! file after `--` for other contents than a drawn one.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use laterna_media::sink::jpeg::{Colour, Encoder};
use laterna_media::sink::recorder::{Options, Rate, Writer};
use laterna_media::sink::stream::{Format, FrameRate, Stream};
use laterna_pipeline::{Image, Size};

/// Runs of each, with `--bench`; otherwise, as in `cargo test`, one.
const RUNS: usize = 200;

const SIZE: Size = Size::new(512, 512);

fn main() {
    let image = given().unwrap_or_else(|| drawn(0));
    jpeg(&image);
    streams(&image);
    recorder(&image);
}

fn jpeg(image: &Image) {
    let mut out = Vec::new();
    for (colour, quality) in [(Colour::Quarter, 75), (Colour::Quarter, 85), (Colour::Full, 85)] {
        let mut encoder = Encoder { colour };
        let name = format!("jpeg {colour:?} {quality}");
        measure(&name, || encoder.encode(black_box(image), quality, &mut out).is_ok());
        println!("{:32} {:>10} bytes", "", out.len());
    }
}

fn streams(image: &Image) {
    let rate = FrameRate { frames: 1, seconds: 1 };
    for (name, format) in [("rgb to yuv, y4m", Format::Y4m), ("rgb24", Format::Rgb24)] {
        let Ok(mut stream) = Stream::new(io::sink(), format, rate) else { return };
        let mut second = 0;
        measure(name, || {
            second += 1;
            stream.write(black_box(image), Duration::from_secs(second)).is_ok()
        });
    }
}

/// The picture moves by a pixel each time, as a painting of a camera's does.
fn recorder(image: &Image) {
    for rate in [Rate::Quality { quantizer: 22 }, Rate::Quality { quantizer: 30 }] {
        let Ok(folder) = tempfile::tempdir() else { return };
        let path = folder.path().join("a.mp4");
        let Ok(mut writer) = Writer::new(&path, SIZE, Options { rate, ..Options::default() })
        else {
            return;
        };
        let (mut moved, mut time) = (image.clone(), Duration::ZERO);
        measure(&format!("record {rate:?}"), || {
            moved.rgb_mut().rotate_left(3);
            time += Duration::from_millis(33);
            writer.write(black_box(&moved), time).is_ok()
        });
        drop(writer);
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        println!("{:32} {:>10} bits a second", "", 8 * bytes / time.as_secs().max(1));
    }
}

/// The picture of a file.
fn given() -> Option<Image> {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with('-'))?;
    let picture = image::open(&path).ok()?;
    let filter = image::imageops::FilterType::Triangle;
    let picture = picture.resize_exact(SIZE.width as u32, SIZE.height as u32, filter);
    let mut image = Image::default();
    image.swap(SIZE, &mut picture.to_rgb8().into_raw()).ok()?;
    Some(image)
}

/// Soft shapes with some grain.
fn drawn(seed: u32) -> Image {
    let mut image = Image::new(SIZE);
    let mut x = seed | 1;
    for (i, byte) in image.rgb_mut().iter_mut().enumerate() {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (column, row) = ((i / 3 % 512) as f32, (i / 3 / 512) as f32);
        let wave = (column * 0.02).sin() * (row * 0.03 + (i % 3) as f32).cos();
        *byte = (128.0 + 100.0 * wave + (x >> 28) as f32) as u8;
    }
    image
}

fn measure(name: &str, mut body: impl FnMut() -> bool) {
    let runs = if std::env::args().any(|argument| argument == "--bench") { RUNS } else { 1 };
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            assert!(body(), "{name} failed");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name:32} {:>10.3?} {:>10.3?}", times[runs / 2], times[0]);
}
