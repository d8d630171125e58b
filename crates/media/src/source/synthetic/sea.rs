//! The sea: the sky's colours mirrored, waves that run towards the shore, and the
//! sun's glitter.

use super::backdrop::{HORIZON, SUN, sky};
use super::canvas::{Canvas, Rgb, mix, rounded};
use super::noise::hash;

pub(super) struct Sea {
    rows: Vec<Row>,
}

/// What does not change in a row.
struct Row {
    colour: Rgb,
    /// Distance from the shore's viewer: 0 at the horizon, 1 at the bottom.
    near: f32,
    /// In turns.
    phase: f32,
}

/// How far the swell moves the waves, in turns.
const PUSH: f32 = 0.44;

/// Pixels computed at once, so that the compiler uses vectors.
const BLOCK: usize = 16;

impl Sea {
    /// The rows from the horizon to `bottom`, in heights, of a picture `height`
    /// pixels high.
    pub(super) fn new(height: usize, bottom: f32) -> Self {
        let [first, last] = [HORIZON, bottom].map(|edge| (edge * height as f32) as usize);
        let rows = first..(last + 1).min(height);
        let rows = rows.map(|y| Row::new((y as f32 + 0.5) / height as f32, y as u32));
        Self { rows: rows.collect() }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, time: f32) {
        let (scale, aspect) = (canvas.scale, canvas.aspect());
        let first = (HORIZON * scale) as usize;
        for (y, row) in self.rows.iter().enumerate() {
            let water = Water::new(row, scale, aspect, time);
            let blocks = canvas.row(first + y).chunks_mut(3 * BLOCK);
            for (block, pixels) in blocks.enumerate() {
                let rgb = water.block((block * BLOCK) as f32);
                for (i, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    *pixel = [rgb[0][i], rgb[1][i], rgb[2][i]];
                }
            }
        }
    }
}

impl Row {
    fn new(y: f32, index: u32) -> Self {
        // The first row begins a little above the horizon.
        let near = ((y - HORIZON) / (1.0 - HORIZON)).max(0.0);
        let mirrored = sky(HORIZON - 0.9 * (y - HORIZON) - 0.02);
        let colour = mix(mirrored, [38.0, 74.0, 112.0], 0.38 + 0.4 * near);
        // Each row is out of step with the next.
        let phase = 9.5 * near.sqrt() + 0.54 * (hash(index) - 0.5);
        Self { colour, near, phase }
    }
}

/// A row at a moment.
struct Water {
    colour: Rgb,
    amplitude: f32,
    /// Waves, smaller waves, swell: turns in a pixel, and at the row's start.
    waves: [[f32; 2]; 3],
    /// Where the sun's light falls, and one over its half width, in pixels.
    sun: [f32; 2],
}

impl Water {
    fn new(row: &Row, scale: f32, aspect: f32, time: f32) -> Self {
        // Waves look longer the nearer they are.
        let length = (0.012 + 0.11 * row.near) * scale;
        let wave = |size: f32, speed: f32, shift: f32| {
            let start = time * speed + row.phase + shift;
            [1.0 / (length * size).max(2.0), start - start.floor()]
        };
        Self {
            colour: row.colour,
            amplitude: 9.0 + 20.0 * row.near,
            waves: [wave(1.0, 0.143, 0.0), wave(0.37, -0.095, 0.33), wave(3.1, 0.056, 0.64)],
            sun: [SUN[0] * aspect * scale, 1.0 / ((0.05 + 0.16 * row.near) * scale)],
        }
    }

    /// Red, green and blue of the pixels from column `x` on.
    fn block(&self, x: f32) -> [[u8; BLOCK]; 3] {
        let [[step, start], [small_step, small_start], [swell_step, swell_start]] = self.waves;
        let [sun, narrow] = self.sun;
        let [r, g, b] = self.colour;
        let (mut red, mut green, mut blue) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            let x = x + i as f32;
            // The swell pushes the waves together and apart.
            let swell = wave(swell_start + swell_step * x);
            let large = wave(start + step * x + PUSH * swell);
            let height = 0.6 * large + 0.4 * wave(small_start + small_step * x);
            let side = (x - sun) * narrow;
            let light = 1.0 / (1.0 + side * side);
            let glint = (height - 0.72 + 0.9 * light).max(0.0) * light * 330.0;
            let shade = height * self.amplitude;
            red[i] = to_byte(r + shade + glint);
            green[i] = to_byte(g + shade + 0.82 * glint);
            blue[i] = to_byte(b + 0.8 * shade + 0.52 * glint);
        }
        [red, green, blue]
    }
}

/// A wave of period 1 between -1 and 1: two parabolas, which look like a sine.
fn wave(turns: f32) -> f32 {
    // Adding and taking off 1.5 * 2^23 rounds to the nearest whole number, in
    // vectors too, which `round` is not without SSE4.1.
    const ROUND: f32 = 12_582_912.0;
    let part = turns - ((turns + ROUND) - ROUND);
    8.0 * part * (1.0 - 2.0 * part.abs())
}

fn to_byte(value: f32) -> u8 {
    rounded(value.clamp(0.0, 255.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_repeat_and_resemble_sines() {
        for i in -4000..4000 {
            let turns = i as f32 / 777.0;
            let sine = (turns * std::f32::consts::TAU).sin();
            assert!((wave(turns) - sine).abs() < 0.06, "{turns}");
        }
    }

    #[test]
    fn no_row_is_black() {
        use laterna_pipeline::{Image, Size};

        for height in [1, 2, 48, 121, 480] {
            let mut image = Image::new(Size::new(40, height));
            Sea::new(height, 1.0).draw(&mut Canvas::new(&mut image), 3.0);
            let first = (HORIZON * height as f32) as usize;
            assert!(
                image.rgb()[3 * 40 * first..].chunks(120).all(|row| row.iter().any(|&b| b > 9))
            );
        }
    }

    #[test]
    fn bytes_are_rounded_and_clamped() {
        let bytes = [-9.0, 0.0, 0.4, 0.6, 127.2, 254.9, 255.0, 9e9].map(to_byte);
        assert_eq!(bytes, [0, 0, 0, 1, 127, 255, 255, 255]);
    }
}
