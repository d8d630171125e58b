//! Once it runs, a source allocates nothing: an allocator of our own counts.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use laterna_media::source::{Pace, Spec, open, push};
use laterna_pipeline::port::{Clock, Read, Source};
use laterna_pipeline::{Image, Size, SystemClock};
use laterna_testing::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// No test harness: its own thread allocates now and then, and would be counted.
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let mut synthetic: Spec = "synthetic".parse().unwrap();
    synthetic.want.size = Some(Size::new(160, 120));
    synthetic.want.fps = Some(200.0);
    synthetic.want.counter = true;
    let mut video: Spec = write_y4m(folder.path()).parse().unwrap();
    video.want.repeat = true;
    let still: Spec = write_png(folder.path()).parse().unwrap();
    for (spec, pace) in [
        (&synthetic, Pace::Offline),
        (&synthetic, Pace::Live),
        (&video, Pace::Offline),
        (&video, Pace::Live),
        (&still, Pace::Live),
    ] {
        let mut opened = open(spec, &clock, pace).unwrap();
        let allocations = count(&mut *opened.source, || {});
        assert_eq!(allocations, 0, "{spec} {pace:?}");
    }
    let (pusher, mut source) = push::pair(Arc::clone(&clock));
    let mut image = Image::default();
    let allocations = count(&mut source, || {
        image.reset(Size::new(64, 64));
        pusher.push(&mut image, Duration::ZERO);
    });
    assert_eq!(allocations, 0, "push");
    println!("test a_running_source_allocates_nothing ... ok");
}

/// Allocations of twenty reads that give a picture, after ten that do not count.
fn count(source: &mut dyn Source, mut feed: impl FnMut()) -> usize {
    let mut image = Image::default();
    let mut read = |count| {
        for _ in 0..count {
            feed();
            while source.read(&mut image).unwrap() == Read::Nothing {}
        }
    };
    read(10);
    let before = allocations();
    read(20);
    allocations() - before
}

fn write_y4m(folder: &Path) -> String {
    let mut bytes = b"YUV4MPEG2 W64 H48 F200:1 C420jpeg\n".to_vec();
    for frame in 0..4 {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend(std::iter::repeat_n(60 + 20 * frame, 64 * 48 * 3 / 2));
    }
    write(folder, "video.y4m", &bytes)
}

fn write_png(folder: &Path) -> String {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([9, 8, 7]));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    write(folder, "still.png", bytes.get_ref())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}
