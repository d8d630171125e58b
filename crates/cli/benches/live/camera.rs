//! A browser's camera: a page that feeds pictures with the time drawn into them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use laterna_media::source::counter;
use laterna_pipeline::{Image, Size};
use tungstenite::Message;

use crate::page::Page;

/// A tick of the time that is drawn.
pub const TICK: Duration = Duration::from_micros(100);

/// Feeds until it is dropped.
pub struct Camera {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Draws ticks since `start`, so many pictures a second. They are of the model's
    /// size, as those that the page sends.
    pub fn start(host: &str, start: Instant, size: usize, fps: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut page, stopped) = (Page::connect(host), Arc::clone(&stop));
        let (scene, interval) = (scene(size), Duration::from_secs(1) / fps);
        let thread = std::thread::spawn(move || feed(&mut page, scene, interval, start, &stopped));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "the camera failed");
    }
}

/// One picture at each tick of the camera; one that the session has not asked
/// for by then is dropped, as the page does.
fn feed(page: &mut Page, mut image: Image, interval: Duration, start: Instant, stop: &AtomicBool) {
    page.send(r#"{"feed":true}"#);
    let asked = Instant::now();
    let session = page.session_time();
    let mut is_wanted = true;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        while Instant::now() < due {
            is_wanted |= page.read(due).is_some_and(|message| asks(&message));
        }
        due += interval;
        if !std::mem::take(&mut is_wanted) {
            continue;
        }
        let captured = Instant::now();
        let ticks = (captured - start).as_micros() / TICK.as_micros();
        counter::draw(&mut image, ticks as u32 % counter::LIMIT);
        let at = session + (captured - asked).as_micros() as u64;
        page.socket.send(Message::binary(upload(&image, at))).unwrap();
    }
}

/// Bare pixels, as a page on this machine sends them.
fn upload(image: &Image, captured_us: u64) -> Vec<u8> {
    let Size { width, height } = image.size();
    let mut bytes = vec![1, 2];
    bytes.extend([width, height].map(|side| (side as u16).to_le_bytes()).as_flattened());
    bytes.extend([0, 0]);
    bytes.extend(captured_us.to_le_bytes());
    for &[red, green, blue] in image.rgb().as_chunks::<3>().0 {
        bytes.extend([red, green, blue, 255]);
    }
    bytes
}

fn asks(message: &Message) -> bool {
    matches!(message, Message::Text(text) if text.starts_with(r#"{"next""#))
}

/// Something with edges and slopes, so that a JPEG has its usual weight.
fn scene(side: usize) -> Image {
    let mut image = Image::new(Size::new(side, side));
    for (i, pixel) in image.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i % side, i / side);
        let disc = x.abs_diff(side / 2).pow(2) + y.abs_diff(side / 2).pow(2) < (side / 3).pow(2);
        pixel[0] = (x * 255 / side) as u8;
        pixel[1] = (y * 255 / side) as u8;
        pixel[2] = if disc { 220 } else { (x / 16 * 8 + y / 16 * 24) as u8 };
    }
    image
}
