//! Pictures, a clock that is set, and a decoder.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use laterna_pipeline::frame::{Frame, Span, Step};
use laterna_pipeline::port::{Clock, Kind, PortError, Shown, Sink};
use laterna_pipeline::{Bell, Image, Size};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use crate::boxes::Movie;

pub const MS: Duration = Duration::from_millis(1);

/// Soft coloured blobs that move with `step`.
pub fn scene(size: Size, step: usize) -> Image {
    let mut image = Image::new(size);
    let scale = 6.0 / size.width.max(size.height) as f64;
    let phase = step as f64 * 0.15;
    for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((i % size.width) as f64 * scale, (i / size.width) as f64 * scale);
        let wave = |a: f64, b: f64| (127.5 + 120.0 * (a.sin() * b.cos())) as u8;
        *pixel = [wave(x + phase, y), wave(y - phase, x * 0.5), wave(0.3 * x, y + phase)];
    }
    image
}

/// Decoded pictures as RGB, by the formula of BT.709 in floating point.
pub fn decode(movie: &Movie) -> Vec<Image> {
    let mut decoder = Decoder::new().unwrap();
    let mut pictures = Vec::new();
    for i in 0..movie.samples.len() {
        if let Some(yuv) = decoder.decode(&movie.bytestream(i)).unwrap() {
            pictures.push(rgb(&yuv));
        }
    }
    pictures
}

fn rgb(yuv: &impl YUVSource) -> Image {
    let ((width, height), (stride, half, _)) = (yuv.dimensions(), yuv.strides());
    let mut image = Image::new(Size::new(width, height));
    for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        let luma = (f64::from(yuv.y()[y * stride + x]) - 16.0) * 255.0 / 219.0;
        let chroma =
            |plane: &[u8]| (f64::from(plane[y / 2 * half + x / 2]) - 128.0) * 255.0 / 224.0;
        let (blue, red) = (chroma(yuv.u()) * 1.8556, chroma(yuv.v()) * 1.5748);
        let green = -(0.2126 * red + 0.0722 * blue) / 0.7152;
        *pixel = [red, green, blue].map(|difference| (luma + difference).round() as u8);
    }
    image
}

/// The part of `image` that begins at the top left.
pub fn crop(image: &Image, size: Size) -> Image {
    let mut out = Image::new(size);
    let rows = image.rgb().chunks_exact(3 * image.size().width);
    for (to, from) in out.rgb_mut().chunks_exact_mut(3 * size.width).zip(rows) {
        to.copy_from_slice(&from[..3 * size.width]);
    }
    out
}

pub fn psnr(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.size(), b.size());
    laterna_quality::psnr_rgb(a.rgb(), b.rgb()).unwrap()
}

/// A clock that shows what a test says.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<Duration>>);

impl Hands {
    pub fn set(&self, now: Duration) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn wait(&self, _: &Arc<Bell>, _: u64, _: Option<Duration>) {}
    fn spawn(
        &self,
        _: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<JoinHandle<()>, std::io::Error> {
        Ok(std::thread::spawn(body))
    }
    fn time(&self, _: Step, work: &mut dyn FnMut()) -> Span {
        work();
        Span::default()
    }
}

/// Shows the frame of this number.
pub fn show(sink: &mut dyn Sink, image: &Image, number: u64, kind: Kind) -> Result<(), PortError> {
    let mut frame = Frame { painting: image.clone(), ..Frame::default() };
    frame.trail.sequence = number;
    sink.show(&Shown { frame: &Arc::new(frame), image, kind })
}
