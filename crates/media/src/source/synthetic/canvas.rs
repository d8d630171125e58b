//! Soft-edged shapes on an 8-bit picture. Coordinates are in heights of the
//! picture: y from 0 at the top to 1, x from 0 at the left to the aspect ratio.

use std::ops::Range;

use laterna_pipeline::Image;

/// A colour of the picture, 0..=255.
pub(super) type Rgb = [f32; 3];

/// A point in heights of the picture.
pub(super) type Point = [f32; 2];

/// A picture being drawn on.
pub(super) struct Canvas<'a> {
    width: usize,
    height: usize,
    /// Pixels of one height.
    pub(super) scale: f32,
    rgb: &'a mut [u8],
}

impl<'a> Canvas<'a> {
    pub(super) fn new(image: &'a mut Image) -> Self {
        let (width, height) = (image.size().width, image.size().height);
        Self { width, height, scale: height as f32, rgb: image.rgb_mut() }
    }

    /// Width by height, in heights.
    pub(super) fn aspect(&self) -> f32 {
        self.width as f32 / self.scale
    }

    /// Bytes of row `y`.
    pub(super) fn row(&mut self, y: usize) -> &mut [u8] {
        &mut self.rgb[3 * y * self.width..][..3 * self.width]
    }

    pub(super) fn rows(&self) -> usize {
        self.height
    }

    /// A filled circle. Its inside is not blended, since trees have hundreds of them.
    pub(super) fn disc(&mut self, centre: Point, radius: f32, colour: Rgb) {
        let ([cx, cy], radius) = (centre.map(|c| c * self.scale), radius * self.scale);
        let solid = colour.map(|c| c.clamp(0.0, 255.0) as u8);
        let half = |radius: f32, dy: f32| (radius * radius - dy * dy).max(0.0).sqrt();
        for y in clip(cy - radius - 1.0, cy + radius + 1.0, self.height) {
            let dy = y as f32 + 0.5 - cy;
            let (outer, inner) = (half(radius + 0.5, dy), half((radius - 0.5).max(0.0), dy));
            let columns = clip(cx - outer, cx + outer, self.width);
            // Centres that lie within the inner radius.
            let filled = clip(cx - inner + 0.5, cx + inner - 0.5, self.width);
            let filled = filled.start..filled.end.max(filled.start);
            for (x, pixel) in columns.clone().zip(self.pixels(y, columns)) {
                if filled.contains(&x) {
                    *pixel = solid;
                } else {
                    let dx = x as f32 + 0.5 - cx;
                    let cover = radius - (dx * dx + dy * dy).sqrt() + 0.5;
                    blend(pixel, colour, cover.clamp(0.0, 1.0));
                }
            }
        }
    }

    /// A circle whose edge is blurred over `softness` of its radius, 0 to 1.
    pub(super) fn glow(&mut self, centre: Point, radius: f32, strength: f32, colour: Rgb) {
        let inner = 1.0 / (radius * self.scale).powi(2).max(1e-6);
        let ([cx, cy], reach) = (centre.map(|c| c * self.scale), radius * self.scale);
        let columns = [cx - reach, cx + reach];
        self.shade(
            [cy - reach, cy + reach],
            |_| columns,
            colour,
            |x, y| {
                let falloff = (1.0 - ((x - cx).powi(2) + (y - cy).powi(2)) * inner).max(0.0);
                strength * falloff * falloff
            },
        );
    }

    /// A thick line with round ends of different radii.
    pub(super) fn capsule(&mut self, from: Point, to: Point, start: f32, end: f32, colour: Rgb) {
        let scale = self.scale;
        let [ax, ay] = from.map(|c| c * scale);
        let (dx, dy) = ((to[0] - from[0]) * scale, (to[1] - from[1]) * scale);
        let inverse = 1.0 / (dx * dx + dy * dy).max(1e-6);
        let (start, grow) = (start * scale, (end - start) * scale);
        let reach = start.max(start + grow) + 1.0;
        // The part of the line that a row may be near to, widened.
        let span = |y: f32| {
            let part = |y: f32| ((y - ay) / if dy == 0.0 { 1e-6 } else { dy }).clamp(0.0, 1.0);
            let (a, b) = (ax + dx * part(y - reach), ax + dx * part(y + reach));
            [a.min(b) - reach, a.max(b) + reach]
        };
        let rows = [from[1].min(to[1]) * scale - reach, from[1].max(to[1]) * scale + reach];
        self.shade(rows, span, colour, |x, y| {
            let (px, py) = (x - ax, y - ay);
            let along = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
            let distance = ((px - along * dx).powi(2) + (py - along * dy).powi(2)).sqrt();
            (start + along * grow - distance + 0.5).clamp(0.0, 1.0)
        });
    }

    /// A filled convex polygon, its corners clockwise on the screen.
    pub(super) fn polygon<const N: usize>(&mut self, corners: [Point; N], colour: Rgb) {
        let scale = self.scale;
        let edges: [[f32; 3]; N] = std::array::from_fn(|i| {
            let ([ax, ay], [bx, by]) = (corners[i], corners[(i + 1) % N]);
            let (nx, ny) = (-(by - ay), bx - ax);
            let length = nx.hypot(ny).max(1e-9);
            let (nx, ny) = (nx / length, ny / length);
            [nx, ny, -(nx * ax + ny * ay) * scale]
        });
        let [left, top, right, bottom] = bounds(&corners).map(|side| side * scale);
        let columns = [left - 1.0, right + 1.0];
        self.shade(
            [top - 1.0, bottom + 1.0],
            |_| columns,
            colour,
            |x, y| {
                let inside = edges.iter().map(|[nx, ny, offset]| nx * x + ny * y + offset);
                (inside.fold(f32::MAX, f32::min) + 0.5).clamp(0.0, 1.0)
            },
        );
    }

    /// Blends `colour` over the rows between two edges, in each over the columns of
    /// its `span`, by the coverage 0 to 1 at each pixel's centre; all in pixels.
    fn shade(
        &mut self,
        [top, bottom]: [f32; 2],
        span: impl Fn(f32) -> [f32; 2],
        colour: Rgb,
        coverage: impl Fn(f32, f32) -> f32,
    ) {
        for y in clip(top, bottom, self.height) {
            let middle = y as f32 + 0.5;
            let [left, right] = span(middle);
            let columns = clip(left, right, self.width);
            for (x, pixel) in columns.clone().zip(self.pixels(y, columns)) {
                let cover = coverage(x as f32 + 0.5, middle);
                if cover > 0.0 {
                    blend(pixel, colour, cover);
                }
            }
        }
    }

    /// Pixels of a part of row `y`.
    fn pixels(&mut self, y: usize, columns: Range<usize>) -> &mut [[u8; 3]] {
        &mut self.row(y).as_chunks_mut::<3>().0[columns]
    }
}

/// The pixels that lie at least in part between two edges.
fn clip(low: f32, high: f32, limit: usize) -> Range<usize> {
    let start = (low.max(0.0) as usize).min(limit);
    // One more than the pixel that `high` is in; a float of the limit is exact.
    let end = (high + 1.0).clamp(0.0, limit as f32) as usize;
    start..end.max(start)
}

/// Moves a pixel towards `colour` by `cover`, 0 to 1.
pub(super) fn blend(pixel: &mut [u8; 3], colour: Rgb, cover: f32) {
    for (byte, colour) in pixel.iter_mut().zip(colour) {
        let value = f32::from(*byte);
        *byte = rounded(value + (colour - value) * cover);
    }
}

/// The nearest byte to a value of 0..=255: with 2^23 added, the lowest bits of a
/// float are its whole number. A cast would also look for what lies outside.
pub(super) fn rounded(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

/// The colour between two.
pub(super) fn mix(a: Rgb, b: Rgb, weight: f32) -> Rgb {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * weight)
}

/// Left, top, right and bottom of the rectangle around points.
fn bounds(points: &[Point]) -> [f32; 4] {
    let extreme = |axis: usize, pick: fn(f32, f32) -> f32, start: f32| {
        points.iter().map(|point| point[axis]).fold(start, pick)
    };
    let [low, high]: [fn(f32, f32) -> f32; 2] = [f32::min, f32::max];
    let (first, last) = (f32::MAX, f32::MIN);
    [extreme(0, low, first), extreme(1, low, first), extreme(0, high, last), extreme(1, high, last)]
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::Size;

    use super::*;

    fn covered(draw: impl Fn(&mut Canvas<'_>)) -> (f64, Image) {
        let mut image = Image::new(Size::new(200, 100));
        draw(&mut Canvas::new(&mut image));
        let sum: f64 = image.rgb().iter().map(|&byte| f64::from(byte) / 255.0).sum();
        (sum / 3.0 / 1e4, image)
    }

    #[test]
    fn shapes_cover_their_areas() {
        let white = [255.0; 3];
        let (disc, image) = covered(|canvas| canvas.disc([1.0, 0.5], 0.3, white));
        assert!((disc - std::f64::consts::PI * 0.09).abs() < 0.002, "{disc}");
        assert_eq!(image.rgb()[3 * (50 * 200 + 100)], 255);
        let corners = [[0.5, 0.2], [1.5, 0.2], [1.5, 0.7], [0.5, 0.7]];
        let (rectangle, _) = covered(|canvas| canvas.polygon(corners, white));
        assert!((rectangle - 0.5).abs() < 0.002, "{rectangle}");
        let (line, _) = covered(|c| c.capsule([0.5, 0.5], [1.5, 0.5], 0.1, 0.1, white));
        assert!((line - 0.2 - std::f64::consts::PI * 0.01).abs() < 0.002, "{line}");
    }

    #[test]
    fn shapes_beyond_the_edge_are_clipped() {
        let far = [[-5.0, -5.0], [9.0, 0.5], [1.0, 9.0], [f32::NAN, 0.5]];
        for centre in far {
            covered(|canvas| canvas.disc(centre, 0.2, [9.0; 3]));
            covered(|canvas| canvas.glow(centre, 3.0, 0.5, [9.0; 3]));
            covered(|canvas| canvas.polygon([centre, [0.1, 0.1], [0.2, 0.3]], [9.0; 3]));
        }
        let (all, _) = covered(|canvas| canvas.disc([1.0, 0.5], 9.0, [255.0; 3]));
        assert!((all - 2.0).abs() < 1e-9);
    }
}
