//! What stands still, drawn once: the evening sky with the sun, two ranges of
//! hills, and the meadow in front.

use laterna_pipeline::{Image, Size};

use super::canvas::{Canvas, Rgb, blend, mix};
use super::noise::{fractal, hash, step, value};

/// Height of the horizon.
pub(super) const HORIZON: f32 = 0.56;
/// The sun, as a part of the width, and its height.
pub(super) const SUN: [f32; 2] = [0.60, 0.43];

/// From the zenith to the horizon.
const SKY: [(f32, Rgb); 5] = [
    (0.0, [58.0, 74.0, 138.0]),
    (0.35, [122.0, 112.0, 168.0]),
    (0.62, [222.0, 146.0, 150.0]),
    (0.85, [252.0, 190.0, 128.0]),
    (1.0, [255.0, 220.0, 150.0]),
];

/// The colour of the sky at a height, without the sun.
pub(super) fn sky(y: f32) -> Rgb {
    let at = (y / HORIZON).clamp(0.0, 1.0);
    let upper = SKY.windows(2).find(|pair| at <= pair[1].0).unwrap_or(&SKY[SKY.len() - 2..]);
    let ((low, a), (high, b)) = (upper[0], upper[1]);
    mix(a, b, (at - low) / (high - low))
}

/// The sky, the sun and the hills, of the whole picture's size.
pub(super) fn far(size: Size) -> Image {
    let mut image = Image::new(size);
    let mut canvas = Canvas::new(&mut image);
    let (scale, aspect) = (canvas.scale, canvas.aspect());
    for y in 0..size.height {
        let height = (y as f32 + 0.5) / scale;
        let colour = sky(height);
        for (x, pixel) in canvas.row(y).as_chunks_mut::<3>().0.iter_mut().enumerate() {
            // Half a level of noise keeps the gradient from banding.
            let grain = hash((y * size.width + x) as u32) - 0.5;
            *pixel = colour.map(|c| (c + grain * 1.5 + 0.5).clamp(0.0, 255.0) as u8);
        }
    }
    let sun = [SUN[0] * aspect, SUN[1]];
    canvas.glow(sun, 0.75, 0.55, [255.0, 206.0, 130.0]);
    canvas.glow(sun, 0.26, 0.75, [255.0, 232.0, 170.0]);
    canvas.disc(sun, 0.062, [255.0, 247.0, 214.0]);
    hills(&mut canvas, 0.13, 3, 2.2, [[150.0, 112.0, 152.0], [214.0, 150.0, 150.0]]);
    hills(&mut canvas, 0.07, 8, 3.4, [[84.0, 78.0, 122.0], [150.0, 112.0, 136.0]]);
    image
}

/// A range of hills up to `height` above the horizon, from its colour at the top
/// to that in the haze below.
fn hills(canvas: &mut Canvas<'_>, height: f32, seed: u32, across: f32, colours: [Rgb; 2]) {
    let scale = canvas.scale;
    for y in 0..((HORIZON * scale) as usize).min(canvas.rows()) {
        let above = HORIZON - (y as f32 + 0.5) / scale;
        let colour = mix(colours[1], colours[0], (above / height).clamp(0.0, 1.0));
        for (x, pixel) in canvas.row(y).as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let ridge = height * fractal(x as f32 / scale * across, 0.5, 5, seed);
            let cover = ((ridge - above) * scale + 0.5).clamp(0.0, 1.0);
            if cover > 0.0 {
                blend(pixel, colour, cover);
            }
        }
    }
}

/// The height of the meadow's edge at `x`, in heights of the picture.
pub(super) fn meadow_edge(x: f32, aspect: f32) -> f32 {
    let part = x / aspect;
    let swell = 0.05 * (part * 5.2 + 2.2).sin() + 0.018 * (part * 13.0).sin();
    0.87 - swell - 0.075 * step(0.45, 0.0, part)
}

/// The meadow: its pixels and how far each covers what lies behind, for the rows
/// from `top` down.
pub(super) struct Meadow {
    top: usize,
    image: Image,
    cover: Vec<u8>,
}

impl Meadow {
    pub(super) fn new(size: Size) -> Self {
        let (scale, aspect) = (size.height as f32, size.width as f32 / size.height as f32);
        let edges: Vec<f32> =
            (0..size.width).map(|x| meadow_edge((x as f32 + 0.5) / scale, aspect)).collect();
        let highest = edges.iter().copied().fold(1.0, f32::min);
        let top = ((highest * scale).floor().max(0.0) as usize).min(size.height);
        let mut image = Image::new(Size::new(size.width, size.height - top));
        let mut cover = Vec::with_capacity(image.size().area());
        for (i, pixel) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (x, y) = (i % size.width, top + i / size.width);
            let (px, py) = ((x as f32 + 0.5) / scale, (y as f32 + 0.5) / scale);
            let below = py - edges[x];
            *pixel = grass(px, py, below, px / aspect).map(|c| c.clamp(0.0, 255.0) as u8);
            cover.push(((below * scale + 0.5).clamp(0.0, 1.0) * 255.0) as u8);
        }
        let mut meadow = Self { top, image, cover };
        meadow.plant(scale, aspect);
        meadow
    }

    /// Flowers, smaller towards the edge.
    fn plant(&mut self, scale: f32, aspect: f32) {
        const PETALS: [Rgb; 4] = [
            [250.0, 236.0, 190.0],
            [244.0, 142.0, 120.0],
            [252.0, 202.0, 92.0],
            [214.0, 150.0, 220.0],
        ];
        let top = self.top as f32 / scale;
        let mut canvas = Canvas::new(&mut self.image);
        let shrink = canvas.scale / scale;
        for flower in 0..110_u32 {
            let random = |which: u32| hash(1000 + flower * 8 + which);
            let x = random(0) * aspect;
            let below = 0.02 + 0.2 * random(1) * random(1);
            let y = meadow_edge(x, aspect) + below;
            let radius = (0.0022 + 0.024 * below) * (0.7 + 0.6 * random(2));
            let centre = [x / shrink, (y - top) / shrink];
            let petal = PETALS[(random(3) * 4.0) as usize % 4];
            canvas.disc(centre, radius / shrink, mix(petal, [60.0, 80.0, 50.0], 0.15));
            canvas.disc(centre, radius * 0.4 / shrink, [150.0, 96.0, 60.0]);
        }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>) {
        let width = self.image.size().width;
        let rows = self.image.rgb().chunks_exact((3 * width).max(1));
        for (y, (row, cover)) in rows.zip(self.cover.chunks_exact(width.max(1))).enumerate() {
            let pixels = canvas.row(self.top + y).as_chunks_mut::<3>().0.iter_mut();
            for ((pixel, from), cover) in pixels.zip(row.as_chunks::<3>().0).zip(cover) {
                match cover {
                    0 => {}
                    255 => *pixel = *from,
                    &part => blend(pixel, from.map(f32::from), f32::from(part) / 255.0),
                }
            }
        }
    }
}

/// The colour of grass `below` the meadow's edge: warm where the low sun grazes
/// it, dark at the feet of the picture.
fn grass(x: f32, y: f32, below: f32, part: f32) -> Rgb {
    let blades = value(x * 260.0, y * 46.0, 21) - 0.5;
    let patches = fractal(x * 9.0, y * 22.0, 3, 33) - 0.5;
    let light = step(0.16, 0.0, below) * (0.55 + 0.45 * step(0.55, 0.15, (part - SUN[0]).abs()));
    let colour = mix([44.0, 66.0, 50.0], [150.0, 146.0, 74.0], light);
    colour.map(|c| c * (1.0 + 0.28 * blades + 0.5 * patches))
}
