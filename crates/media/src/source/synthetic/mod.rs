//! A moving scene that is drawn here, for trying things without a camera: a
//! function of time, the same each run. With [`super::Want::counter`] each
//! picture carries its number.

mod backdrop;
mod boat;
mod canvas;
mod clouds;
mod figure;
mod noise;
mod scene;
mod sea;
mod tree;

use std::time::Duration;

use laterna_pipeline::{Image, Size};

use super::counter;
use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request};
use super::player::{Frames, Next};

pub use scene::Scene;

/// `synthetic`.
pub(super) const KIND: Kind = Kind {
    name: "synthetic",
    accepts: "a scene drawn by this program: an evening by the sea; with :FPS at that rate",
    stands_alone: true,
    claims: |_| false,
    open,
    list: None,
};

/// If none is wanted and nothing is known of who looks.
const SIZE: Size = Size::new(640, 480);
/// Drawn for a model it has the model's shape, and as many rows or columns at most.
const LONGEST_SIDE: usize = 640;
const FPS: f64 = 30.0;
const RATES: std::ops::RangeInclusive<f64> = 1.0..=1000.0;
const MAX_SIDE: usize = 8192;

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let is_free = request.want.size.is_none();
    let size = request.want.size.unwrap_or(SIZE);
    if size.width.max(size.height) > MAX_SIDE || size.area() == 0 {
        let why = format!("{}x{} is not a size it can have", size.width, size.height);
        return Err(SourceError::Unavailable { name: request.text.clone(), why });
    }
    let fps = rate(request)?;
    let info = Info { size: Some(size), fps: Some(fps), ..Info::named(&request.text) };
    let counter = request.want.counter;
    let scene = Scene::new(size);
    Ok(request.play(Synthetic { scene, is_free, fps, counter, next: 0.0 }, info))
}

/// What stands behind the colon, what is wanted, or the usual rate.
fn rate(request: &Request<'_>) -> Result<f64, SourceError> {
    let argument = request.argument();
    if argument.is_empty() {
        return Ok(request.want.fps_or(FPS));
    }
    let fps = argument.parse().ok().filter(|fps| RATES.contains(fps));
    fps.ok_or_else(|| {
        let why = format!("{argument} is no rate from 1 to 1000 pictures a second");
        SourceError::Unavailable { name: request.text.clone(), why }
    })
}

struct Synthetic {
    scene: Scene,
    /// Nobody has asked for a size.
    is_free: bool,
    fps: f64,
    counter: bool,
    /// Time of the next picture in seconds.
    next: f64,
}

impl Frames for Synthetic {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        let seconds = self.next;
        self.scene.draw(seconds, image);
        if self.counter {
            let number = (seconds * self.fps).round() as u64;
            counter::draw(image, (number % u64::from(counter::LIMIT)) as u32);
        }
        self.next += 1.0 / self.fps;
        Ok(Next::Picture { at: Duration::from_secs_f64(seconds) })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.next = 0.0;
        Ok(())
    }

    /// There is a picture for every moment: the next one is of that very time.
    fn skip_to(&mut self, at: Duration) {
        self.next = self.next.max(at.as_secs_f64());
    }

    fn drawn_every(&self) -> Option<Duration> {
        Some(Duration::from_secs_f64(1.0 / self.fps))
    }

    fn aim(&mut self, size: Size) {
        if self.is_free && reduced(size) != self.scene.size() {
            self.scene = Scene::new(reduced(size));
        }
    }
}

/// The size itself, so that nothing is drawn that is cut off and nothing resampled,
/// or the same shape with the longest side that is drawn.
fn reduced(size: Size) -> Size {
    let longest = size.width.max(size.height).max(1);
    let scaled = |side: usize| (side * LONGEST_SIDE.min(longest)).div_ceil(longest).max(1);
    Size::new(scaled(size.width), scaled(size.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_as_large_as_a_model_needs_it() {
        for (wide, high, width, height) in [
            (256, 256, 256, 256),
            (512, 512, 512, 512),
            (768, 512, 640, 427),
            (1024, 1024, 640, 640),
            (64, 90, 64, 90),
            (9000, 1, 640, 1),
            (0, 0, 1, 1),
        ] {
            assert_eq!(reduced(Size::new(wide, high)), Size::new(width, height));
        }
    }
}
