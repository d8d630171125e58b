//! Pictures in frames of another size: the largest place of the same shape in
//! the middle, and the rows that fill it.

use laterna_pipeline::{Image, Size};

/// How a picture is enlarged or reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Each pixel a rectangle of one colour.
    Nearest,
    /// Blends of the four pixels around. Reducing to less than half leaves
    /// pixels out.
    #[default]
    Bilinear,
}

/// Where a picture lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Columns before it.
    pub(super) left: usize,
    /// Rows above it.
    pub(super) top: usize,
    /// Its extents there.
    pub(super) size: Size,
}

/// The largest place of `picture`'s shape in the middle of `frame`; at least one
/// pixel of a frame that has any.
pub(super) fn letterbox(picture: Size, frame: Size) -> Place {
    let scaled = |length: usize, to: usize, from: usize, most: usize| {
        let rounded = (length as u128 * to as u128 + from as u128 / 2) / from.max(1) as u128;
        (rounded.max(1) as usize).min(most)
    };
    let wide = picture.width as u128 * frame.height as u128
        >= picture.height as u128 * frame.width as u128;
    let size = if wide {
        let height = scaled(picture.height, frame.width, picture.width, frame.height);
        Size::new(frame.width, height)
    } else {
        let width = scaled(picture.width, frame.height, picture.height, frame.width);
        Size::new(width, frame.height)
    };
    let (left, top) = ((frame.width - size.width) / 2, (frame.height - size.height) / 2);
    Place { left, top, size }
}

/// Scales pictures row by row; its tables are kept for the next picture.
#[derive(Debug, Default)]
pub(super) struct Scaler {
    from: Size,
    to: Size,
    filter: Filter,
    columns: Vec<Tap>,
    /// One row at the picture's width, blended of two, in 256ths.
    blend: Vec<u16>,
}

/// A position between two neighbours.
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: usize,
    second: usize,
    /// Of the second, in 256ths.
    weight: u32,
}

impl Scaler {
    /// Prepares for pictures of `from`, which is not empty, enlarged or reduced
    /// to `to`.
    pub(super) fn set(&mut self, from: Size, to: Size, filter: Filter) {
        if (self.from, self.to, self.filter) != (from, to, filter) {
            (self.from, self.to, self.filter) = (from, to, filter);
            self.columns.clear();
            let taps = (0..to.width).map(|x| tap(x, from.width, to.width, filter));
            self.columns.extend(taps);
        }
    }

    /// Row `y` of the scaled picture, one pixel after the other.
    pub(super) fn row(&mut self, image: &Image, y: usize, mut pixel: impl FnMut(usize, [u8; 3])) {
        let stride = 3 * self.from.width;
        let row = |y: usize| &image.rgb()[y * stride..][..stride];
        let Tap { first, second, weight } = tap(y, self.from.height, self.to.height, self.filter);
        if self.filter == Filter::Nearest || (self.from == self.to && weight == 0) {
            let source = row(first).as_chunks::<3>().0;
            self.columns.iter().enumerate().for_each(|(x, tap)| pixel(x, source[tap.first]));
            return;
        }
        blend(row(first), row(second), weight as u16, &mut self.blend);
        let source = self.blend.as_chunks::<3>().0;
        for (x, tap) in self.columns.iter().enumerate() {
            let (a, b) = (source[tap.first], source[tap.second]);
            let mix =
                |c: usize| u32::from(a[c]) * (256 - tap.weight) + u32::from(b[c]) * tap.weight;
            pixel(x, [0, 1, 2].map(|c| ((mix(c) + (1 << 15)) >> 16) as u8));
        }
    }
}

/// Where pixel `index` of `to` comes from among `from`: pixels are squares, so
/// their middles are what corresponds.
fn tap(index: usize, from: usize, to: usize, filter: Filter) -> Tap {
    let (from, to) = (from as u64, to.max(1) as u64);
    let middle = (2 * index as u64 + 1) * from * 128 / to;
    if filter == Filter::Nearest {
        let first = (middle / 256).min(from - 1) as usize;
        return Tap { first, second: first, weight: 0 };
    }
    let position = middle.saturating_sub(128).min((from - 1) * 256);
    let (first, weight) = (position / 256, (position % 256) as u32);
    let second = (first + 1).min(from - 1);
    Tap { first: first as usize, second: second as usize, weight }
}

fn blend(first: &[u8], second: &[u8], weight: u16, out: &mut Vec<u16>) {
    out.resize(first.len(), 0);
    for ((out, &a), &b) in out.iter_mut().zip(first).zip(second) {
        *out = u16::from(a) * (256 - weight) + u16::from(b) * weight;
    }
}

/// Makes every picture one size: letterboxed with black.
#[derive(Debug, Default)]
pub(super) struct Letterbox {
    scaler: Scaler,
    frame: Image,
}

impl Letterbox {
    /// `image` itself if it has `size`, and else as large as fits in the middle.
    pub(super) fn apply<'a>(&'a mut self, image: &'a Image, size: Size) -> &'a Image {
        if image.size() == size {
            return image;
        }
        self.frame.reset(size);
        self.frame.rgb_mut().fill(0);
        if image.size().area() > 0 && size.area() > 0 {
            self.draw(image);
        }
        &self.frame
    }

    fn draw(&mut self, image: &Image) {
        let frame = self.frame.size();
        let place = letterbox(image.size(), frame);
        self.scaler.set(image.size(), place.size, Filter::Bilinear);
        let rows = self.frame.rgb_mut().chunks_exact_mut(3 * frame.width).skip(place.top);
        for (y, row) in rows.take(place.size.height).enumerate() {
            let out = row[3 * place.left..].as_chunks_mut::<3>().0;
            self.scaler.row(image, y, |x, pixel| out[x] = pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(left: usize, top: usize, width: usize, height: usize) -> Place {
        Place { left, top, size: Size::new(width, height) }
    }

    #[test]
    fn the_shape_is_kept_and_the_middle_found() {
        let of = |a: [usize; 4]| letterbox(Size::new(a[0], a[1]), Size::new(a[2], a[3]));
        assert_eq!(of([512, 512, 1920, 1080]), place(420, 0, 1080, 1080));
        assert_eq!(of([1920, 1080, 640, 640]), place(0, 140, 640, 360));
        assert_eq!(of([64, 48, 64, 48]), place(0, 0, 64, 48));
        assert_eq!(of([10_000, 1, 8, 8]), place(0, 3, 8, 1));
        assert_eq!(of([1, 10_000, 8, 8]), place(3, 0, 1, 8));
    }

    /// The formula in floating point.
    fn reference(image: &Image, to: Size, x: usize, y: usize, c: usize) -> f64 {
        let from = image.size();
        let axis = |i: usize, from: usize, to: usize| {
            let position = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            position.clamp(0.0, (from - 1) as f64)
        };
        let (px, py) = (axis(x, from.width, to.width), axis(y, from.height, to.height));
        let at = |x: f64, y: f64| {
            let (x, y) = ((x as usize).min(from.width - 1), (y as usize).min(from.height - 1));
            f64::from(image.rgb()[3 * (y * from.width + x) + c])
        };
        let (fx, fy) = (px.fract(), py.fract());
        let top = at(px, py) * (1.0 - fx) + at(px + 1.0, py) * fx;
        let bottom = at(px, py + 1.0) * (1.0 - fx) + at(px + 1.0, py + 1.0) * fx;
        top * (1.0 - fy) + bottom * fy
    }

    fn pattern(size: Size) -> Image {
        let mut image = Image::new(size);
        let bytes = image.rgb_mut().iter_mut().enumerate();
        bytes.for_each(|(i, byte)| *byte = (i * i * 31 % 251) as u8);
        image
    }

    fn scale(image: &Image, to: Size, filter: Filter) -> Image {
        let (mut scaler, mut out) = (Scaler::default(), Image::new(to));
        scaler.set(image.size(), to, filter);
        for (y, row) in out.rgb_mut().chunks_exact_mut(3 * to.width).enumerate() {
            scaler.row(image, y, |x, pixel| row[3 * x..][..3].copy_from_slice(&pixel));
        }
        out
    }

    #[test]
    fn bilinear_rows_follow_the_formula() {
        for (from, to) in [((9, 7), (23, 16)), ((9, 7), (5, 4)), ((1, 1), (3, 2)), ((4, 4), (4, 4))]
        {
            let (image, to) = (pattern(Size::new(from.0, from.1)), Size::new(to.0, to.1));
            let scaled = scale(&image, to, Filter::Bilinear);
            for (i, &found) in scaled.rgb().iter().enumerate() {
                let (x, y) = (i / 3 % to.width, i / 3 / to.width);
                let expected = reference(&image, to, x, y, i % 3);
                // Weights have eight binary digits on each axis.
                assert!((f64::from(found) - expected).abs() < 2.5, "{from:?} {x} {y}: {found}");
            }
        }
    }

    #[test]
    fn an_equal_size_is_a_copy_and_nearest_repeats_pixels() {
        let image = pattern(Size::new(6, 5));
        assert_eq!(scale(&image, image.size(), Filter::Bilinear), image);
        let double = scale(&image, Size::new(12, 10), Filter::Nearest);
        for (i, pixel) in double.rgb().as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (i % 12 / 2, i / 12 / 2);
            assert_eq!(pixel, &image.rgb()[3 * (y * 6 + x)..][..3], "{i}");
        }
    }

    #[test]
    fn another_size_gets_black_bars() {
        let mut image = Image::new(Size::new(4, 2));
        image.rgb_mut().fill(200);
        let mut boxed = Letterbox::default();
        let frame = boxed.apply(&image, Size::new(8, 8)).rgb().to_vec();
        for (y, row) in frame.chunks_exact(24).enumerate() {
            let expected = if (2..6).contains(&y) { 200 } else { 0 };
            assert_eq!(row, [expected; 24], "{y}");
        }
        assert_eq!(boxed.apply(&Image::default(), Size::new(2, 1)).rgb(), [0; 6]);
    }
}
