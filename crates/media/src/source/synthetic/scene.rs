//! The scene: a picture for each moment, the same each time.

use laterna_pipeline::{Image, Size};

use super::backdrop::{HORIZON, Meadow, far, meadow_edge};
use super::canvas::{Canvas, Point};
use super::clouds::Clouds;
use super::noise::hash;
use super::sea::Sea;
use super::tree::{Tree, wind};
use super::{boat, figure};

/// An evening by the sea: a sunset with drifting clouds and gulls, glitter on the
/// water, a sailing boat, a tree in the wind and a juggler on the meadow.
pub struct Scene {
    size: Size,
    far: Image,
    clouds: Clouds,
    sea: Sea,
    meadow: Meadow,
    tree: Tree,
    blades: Vec<Blade>,
}

/// A blade of grass at the meadow's edge.
struct Blade {
    foot: Point,
    height: f32,
    phase: f32,
}

impl Scene {
    /// Draws what stands still. Empty sizes count as one pixel.
    pub fn new(size: Size) -> Self {
        let size = Size::new(size.width.max(1), size.height.max(1));
        let aspect = size.width as f32 / size.height as f32;
        let blades = (0..(90.0 * aspect) as u32).map(|index| Blade::new(index, aspect)).collect();
        Self {
            size,
            far: far(size),
            clouds: Clouds::new(size.height as f32),
            sea: Sea::new(size.height, lowest_edge(aspect)),
            meadow: Meadow::new(size),
            tree: Tree::new(),
            blades,
        }
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Draws the moment `seconds` after the beginning. Allocates nothing if
    /// `image` was as large before.
    pub fn draw(&self, seconds: f64, image: &mut Image) {
        // All motion repeats or wraps; beyond an hour f32 would be too coarse.
        let time = seconds.rem_euclid(3600.0) as f32;
        image.reset(self.size);
        let sky = 3 * self.size.width * self.sky_rows();
        image.rgb_mut()[..sky].copy_from_slice(&self.far.rgb()[..sky]);
        let canvas = &mut Canvas::new(image);
        self.clouds.draw(canvas, time);
        boat::draw_gulls(canvas, time);
        self.sea.draw(canvas, time);
        boat::draw(canvas, time);
        self.draw_blades(canvas, time);
        let aspect = canvas.aspect();
        let standing = |part: f32| [part * aspect, meadow_edge(part * aspect, aspect)];
        let [x, y] = standing(0.16);
        self.tree.draw(canvas, [x, y + 0.03], time);
        self.meadow.draw(canvas);
        let [x, y] = standing(0.76);
        figure::draw(canvas, [x, y + 0.07], time);
    }

    fn sky_rows(&self) -> usize {
        (HORIZON * self.size.height as f32) as usize
    }

    fn draw_blades(&self, canvas: &mut Canvas<'_>, time: f32) {
        for blade in &self.blades {
            let [x, y] = blade.foot;
            let lean = blade.height * (4.0 * wind(time - 0.4 * x) + 0.35 * blade.phase.sin());
            let tip = [x + lean, y - blade.height];
            canvas.capsule([x, y + 0.01], tip, 0.0026, 0.0008, [96.0, 104.0, 60.0]);
        }
    }
}

/// Where the meadow's edge is lowest: the sea is seen down to there.
fn lowest_edge(aspect: f32) -> f32 {
    let edges = (0..=200_u8).map(|x| meadow_edge(f32::from(x) / 200.0 * aspect, aspect));
    // A little more, for what lies between the points looked at.
    edges.fold(HORIZON, f32::max) + 0.01
}

impl Blade {
    fn new(index: u32, aspect: f32) -> Self {
        let random = |which: u32| hash(9000 + index * 4 + which);
        let x = random(0) * aspect;
        let height = 0.014 + 0.026 * random(1);
        Self { foot: [x, meadow_edge(x, aspect)], height, phase: random(2) * 6.3 }
    }
}
