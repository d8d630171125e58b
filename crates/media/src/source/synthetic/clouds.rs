//! Clouds that drift across the sky, lit from below. Each is drawn once as its
//! coverage and blended at a part of a pixel.

use super::backdrop::HORIZON;
use super::canvas::{Canvas, Rgb, blend, mix};
use super::noise::{fractal, step};

/// Left edge, top, width, height in heights of the picture, speed in heights a
/// second, and density.
const CLOUDS: [[f32; 6]; 5] = [
    [0.05, 0.06, 0.62, 0.15, 0.016, 0.85],
    [0.95, 0.12, 0.50, 0.12, 0.021, 0.80],
    [0.45, 0.24, 0.44, 0.09, 0.012, 0.70],
    [1.30, 0.29, 0.56, 0.07, 0.009, 0.65],
    [1.70, 0.03, 0.40, 0.11, 0.018, 0.75],
];

pub(super) struct Clouds {
    clouds: Vec<Cloud>,
}

struct Cloud {
    place: [f32; 6],
    width: usize,
    cover: Vec<f32>,
}

impl Clouds {
    pub(super) fn new(scale: f32) -> Self {
        let clouds = CLOUDS.iter().zip(0..).map(|(&place, seed)| Cloud::new(place, scale, seed));
        Self { clouds: clouds.collect() }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, time: f32) {
        for cloud in &self.clouds {
            cloud.draw(canvas, time);
        }
    }
}

impl Cloud {
    fn new(place: [f32; 6], scale: f32, seed: u32) -> Self {
        let [_, _, wide, high, _, density] = place;
        let [width, height] = [wide, high].map(|side| (side * scale).ceil().max(1.0) as usize);
        let mut cover = Vec::with_capacity(width * height);
        for i in 0..width * height {
            let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
            let (dx, dy) = (2.0 * x - 1.0, 2.0 * y - 1.0);
            // Flat at the bottom, towering at the top.
            let dy = if dy > 0.0 { dy * 1.25 } else { dy };
            let body = 1.0 - (dx * dx + dy * dy);
            let puffs = fractal(x * wide * 16.0, y * high * 26.0, 4, 100 * seed + 7);
            cover.push(
                density * step(0.36, 0.86, puffs * 0.9 + body * 0.42) * step(0.0, 0.25, body),
            );
        }
        Self { place, width, cover }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, time: f32) {
        let [left, top, wide, high, speed, _] = self.place;
        let way = canvas.aspect() + wide;
        let x = ((left + wide + speed * time).rem_euclid(way) - wide) * canvas.scale;
        let (whole, part) = (x.floor(), x - x.floor());
        let first_row = (top * canvas.scale) as usize;
        for (y, row) in self.cover.chunks_exact(self.width).enumerate() {
            if first_row + y >= canvas.rows() {
                return;
            }
            let colour = colour(
                top + high * y as f32 * self.width as f32 / self.cover.len() as f32,
                high,
                top,
            );
            let pixels = canvas.row(first_row + y).as_chunks_mut::<3>().0;
            let start = (whole as isize).max(0) as usize;
            let skip = (-(whole as isize)).max(0) as usize;
            let covers = row.iter().enumerate().skip(skip);
            for (pixel, (i, cover)) in pixels.iter_mut().skip(start).zip(covers) {
                let before = if i > 0 { row[i - 1] } else { 0.0 };
                let cover = cover + (before - cover) * part;
                if cover > 0.004 {
                    blend(pixel, colour, cover);
                }
            }
        }
    }
}

/// Grey violet above, the sun's colours below; warmer near the horizon.
fn colour(y: f32, high: f32, top: f32) -> Rgb {
    let down = ((y - top) / high).clamp(0.0, 1.0);
    let near = (top / HORIZON).clamp(0.0, 1.0);
    let upper = mix([196.0, 182.0, 208.0], [232.0, 176.0, 178.0], near);
    let lower = mix([255.0, 206.0, 176.0], [255.0, 222.0, 168.0], near);
    mix(upper, lower, step(0.25, 0.9, down))
}
