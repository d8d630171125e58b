//! What the pipeline's threads do to each picture, on one core: the median and
//! the best of many runs. `cargo bench -p laterna-pipeline`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use laterna_pipeline::blend::{Smoother, interpolate, mix, planes_to_rgb};
use laterna_pipeline::prepare::{Fit, Prepare};
use laterna_pipeline::similar::Thumbnail;
use laterna_pipeline::{Image, Size};

/// Runs of each, with `--bench`; otherwise, as in `cargo test`, one.
const RUNS: usize = 200;

/// The model's size.
const SIZE: Size = Size::new(512, 512);

fn main() {
    let cameras = [(1280, 720), (1920, 1080), (640, 480), (512, 512), (3840, 2160), (320, 240)];
    for (width, height) in cameras {
        for fit in [Fit::Crop, Fit::Letterbox] {
            prepare(Size::new(width, height), fit);
        }
    }
    let planes: Vec<f32> = (0..3 * SIZE.area()).map(|i| (i % 511) as f32 / 255.0 - 1.0).collect();
    let (mut picture, other) = (noise(SIZE), noise(SIZE));
    let rgb = picture.rgb_mut();
    measure("planes_to_rgb", || planes_to_rgb(black_box(&planes), rgb));
    let mut smoother = Smoother::default();
    measure("smooth", || smoother.apply(black_box(rgb), 0.4));
    measure("mix", || mix(black_box(rgb), other.rgb(), 77));
    let mut out = vec![0; rgb.len()];
    measure("interpolate", || interpolate(&mut out, black_box(rgb), other.rgb(), 77));
    let mut thumbnail = Thumbnail::default();
    measure("thumbnail", || thumbnail.read(black_box(&planes), SIZE));
}

fn prepare(from: Size, fit: Fit) {
    let image = noise(from);
    let mut planes = vec![0.0; 3 * SIZE.area()];
    let mut prepare = Prepare::default();
    let name = format!("prepare {}x{} {fit:?}", from.width, from.height);
    measure(&name, || prepare.run(black_box(&image), fit.into(), SIZE, &mut planes));
}

fn noise(size: Size) -> Image {
    let mut image = Image::new(size);
    let mut x = 1_u32;
    for byte in image.rgb_mut() {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (x >> 24) as u8;
    }
    image
}

fn measure(name: &str, mut body: impl FnMut()) {
    let runs = if std::env::args().any(|argument| argument == "--bench") { RUNS } else { 1 };
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{name:32} {:>10.3?} {:>10.3?}", times[runs / 2], times[0]);
}
