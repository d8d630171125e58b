//! RGB to luma and colour differences, 8 bits, limited range (luma 16..=235,
//! chroma 16..=240): planar 4:2:0 for video, packed 4:2:2 for cameras.

use laterna_pipeline::{Image, Size};

/// Which weights red and blue have in luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matrix {
    /// ITU-R BT.601, which readers assume where nothing is said.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
}

/// Three planes: luma, blue difference, red difference. Chroma has half the
/// columns and rows, rounded up, and lies in the middle of its four pixels.
#[derive(Debug, Default)]
pub(super) struct Planes {
    size: Size,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

/// Fixed point with [`BITS`] binary digits; one row for each of luma, blue and
/// red difference.
struct Weights {
    y: [i32; 3],
    u: [i32; 3],
    v: [i32; 3],
}

const BITS: u32 = 16;

/// Adds the offset of luma and half a step, which the shift rounds by.
const LUMA: i32 = (16 << BITS) + (1 << (BITS - 1));

/// The offset of chroma and half a step.
const CHROMA: i32 = (128 << BITS) + (1 << (BITS - 1));

impl Matrix {
    /// Luma's weights of red and blue; green has the rest.
    const fn luma(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
        }
    }

    fn weights(self) -> Weights {
        let (red, blue) = self.luma();
        let luma = [red, 1.0 - red - blue, blue];
        let difference = |of: usize| {
            let scale = 224.0 / 255.0 / (2.0 * (1.0 - luma[of]));
            let own = |i: usize| if i == of { 1.0 } else { 0.0 };
            let mut weights = [0, 1, 2].map(|i| fixed(scale * (own(i) - luma[i])));
            // Grey has no colour, not even by rounding.
            weights[1] -= weights.iter().sum::<i32>();
            weights
        };
        let y = luma.map(|weight| fixed(219.0 / 255.0 * weight));
        Weights { y, u: difference(2), v: difference(0) }
    }
}

fn fixed(value: f64) -> i32 {
    (value * f64::from(1 << BITS)).round() as i32
}

impl Planes {
    /// Becomes `image` with `size`, which may be larger: the last column and row
    /// are then repeated. An empty image leaves what was there.
    pub(super) fn convert(&mut self, image: &Image, size: Size, matrix: Matrix) {
        self.reset(size);
        let stride = 3 * image.size().width;
        if image.rgb().is_empty() || size.area() == 0 {
            return;
        }
        let last = image.size().height - 1;
        let row = |y: usize| &image.rgb()[y.min(last) * stride..][..stride];
        let (weights, half) = (matrix.weights(), size.width.div_ceil(2));
        for (y, luma) in self.y.chunks_exact_mut(size.width).enumerate() {
            luma_row(row(y), luma, weights.y);
        }
        let chroma = self.u.chunks_exact_mut(half).zip(self.v.chunks_exact_mut(half));
        for (y, (u, v)) in chroma.enumerate() {
            chroma_row([row(2 * y), row(2 * y + 1)], u, v, &weights);
        }
    }

    fn reset(&mut self, size: Size) {
        let chroma = size.width.div_ceil(2) * size.height.div_ceil(2);
        self.size = size;
        self.y.resize(size.area(), 16);
        self.u.resize(chroma, 128);
        self.v.resize(chroma, 128);
    }

    /// Extents of luma.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Luma, blue difference, red difference; rows without padding.
    pub(super) fn planes(&self) -> [&[u8]; 3] {
        [&self.y, &self.u, &self.v]
    }
}

fn luma_row(rgb: &[u8], out: &mut [u8], weights: [i32; 3]) {
    let pixels = rgb.as_chunks::<3>().0;
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = luma(*pixel, weights);
    }
    let last = out[pixels.len().min(out.len()) - 1];
    out.iter_mut().skip(pixels.len()).for_each(|out| *out = last);
}

fn luma(pixel: [u8; 3], weights: [i32; 3]) -> u8 {
    ((dot(pixel.map(i32::from), weights) + LUMA) >> BITS) as u8
}

fn chroma_row(rows: [&[u8]; 2], u: &mut [u8], v: &mut [u8], weights: &Weights) {
    let pairs = rows.map(|row| row.as_chunks::<6>());
    let whole = pairs[0].0.iter().zip(pairs[1].0);
    let mut out = u.iter_mut().zip(v);
    for ((top, bottom), (u, v)) in whole.zip(&mut out) {
        let sum = [0, 1, 2].map(|c| add(top[c], top[c + 3]) + add(bottom[c], bottom[c + 3]));
        (*u, *v) = chroma::<2>(sum, weights);
    }
    let last = rows.map(|row| &row[row.len() - 3..]);
    let sum = [0, 1, 2].map(|c| 2 * add(last[0][c], last[1][c]));
    for (u, v) in out {
        (*u, *v) = chroma::<2>(sum, weights);
    }
}

fn add(a: u8, b: u8) -> i32 {
    i32::from(a) + i32::from(b)
}

/// Both differences of the sum of `2^SHIFT` pixels.
fn chroma<const SHIFT: u32>(sum: [i32; 3], weights: &Weights) -> (u8, u8) {
    let [u, v] = [weights.u, weights.v];
    let of = |weights| (dot(sum, weights) + (CHROMA << SHIFT)) >> (BITS + SHIFT);
    (of(u) as u8, of(v) as u8)
}

fn dot(a: [i32; 3], b: [i32; 3]) -> i32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Packs `image` as `Y U Y V` for each two pixels of a row. An odd last column
/// is repeated.
pub(super) fn yuyv(image: &Image, matrix: Matrix, out: &mut Vec<u8>) {
    let Size { width, height } = image.size();
    let stride = 4 * width.div_ceil(2);
    out.resize(stride * height, 0);
    if image.rgb().is_empty() {
        return;
    }
    let weights = matrix.weights();
    let rows = image.rgb().chunks_exact(3 * width);
    for (rgb, out) in rows.zip(out.chunks_exact_mut(stride)) {
        yuyv_row(rgb, out, &weights);
    }
}

fn yuyv_row(rgb: &[u8], out: &mut [u8], weights: &Weights) {
    let (pixels, last) = (rgb.as_chunks::<3>().0, rgb.len() / 3 - 1);
    for (i, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (left, right) = (pixels[2 * i], pixels[(2 * i + 1).min(last)]);
        let (u, v) = chroma::<1>([0, 1, 2].map(|c| add(left[c], right[c])), weights);
        *out = [luma(left, weights.y), u, luma(right, weights.y), v];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the recommendations say, in floating point, for the mean of pixels.
    fn reference(rgb: [f64; 3], matrix: Matrix) -> [f64; 3] {
        let (red, blue) = matrix.luma();
        let [r, g, b] = rgb.map(|value| value / 255.0);
        let y = red * r + (1.0 - red - blue) * g + blue * b;
        let (u, v) = ((b - y) / (2.0 - 2.0 * blue), (r - y) / (2.0 - 2.0 * red));
        [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v]
    }

    fn noise(size: Size) -> Image {
        let mut image = Image::new(size);
        let mut x = 7_u32;
        for byte in image.rgb_mut() {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (x >> 24) as u8;
        }
        image
    }

    fn mean(image: &Image, places: &[(usize, usize)]) -> [f64; 3] {
        let Size { width, height } = image.size();
        let at = |&(x, y): &(usize, usize), c: usize| {
            f64::from(image.rgb()[3 * (y.min(height - 1) * width + x.min(width - 1)) + c])
        };
        [0, 1, 2].map(|c| places.iter().map(|p| at(p, c)).sum::<f64>() / places.len() as f64)
    }

    /// Half a step of rounding and what the fixed point's digits leave.
    fn assert_near(found: u8, expected: f64, place: &str) {
        assert!((f64::from(found) - expected).abs() < 0.51, "{place}: {found} for {expected}");
    }

    #[test]
    fn planes_are_the_recommendations_rounded() {
        for (width, height, extra) in [(64, 48, 0), (7, 5, 0), (7, 5, 1), (1, 1, 1), (2, 3, 0)] {
            for matrix in [Matrix::Bt601, Matrix::Bt709] {
                let image = noise(Size::new(width, height));
                let size = Size::new(width + extra, height + extra);
                let mut planes = Planes::default();
                planes.convert(&image, size, matrix);
                check_planes(&image, &planes, matrix);
            }
        }
    }

    fn check_planes(image: &Image, planes: &Planes, matrix: Matrix) {
        let ([y, u, v], Size { width, height }) = (planes.planes(), planes.size());
        for (i, &luma) in y.iter().enumerate() {
            let place = (i % width, i / width);
            let expected = reference(mean(image, &[place]), matrix)[0];
            assert_near(luma, expected, &format!("{matrix:?} luma {place:?}"));
        }
        let half = width.div_ceil(2);
        assert_eq!((u.len(), v.len()), (half * height.div_ceil(2), u.len()));
        for i in 0..u.len() {
            let (x, y) = (2 * (i % half), 2 * (i / half));
            let four = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)];
            let [_, blue, red] = reference(mean(image, &four), matrix);
            assert_near(u[i], blue, &format!("{matrix:?} blue {x} {y}"));
            assert_near(v[i], red, &format!("{matrix:?} red {x} {y}"));
        }
    }

    #[test]
    fn packed_pairs_are_the_recommendations_rounded() {
        let (image, mut out) = (noise(Size::new(5, 3)), Vec::new());
        yuyv(&image, Matrix::Bt601, &mut out);
        assert_eq!(out.len(), 3 * 12);
        for (i, &[left, u, right, v]) in out.as_chunks::<4>().0.iter().enumerate() {
            let (x, y) = (2 * (i % 3), i / 3);
            let of = |places: &[_]| reference(mean(&image, places), Matrix::Bt601);
            assert_near(left, of(&[(x, y)])[0], "left");
            assert_near(right, of(&[(x + 1, y)])[0], "right");
            let [_, blue, red] = of(&[(x, y), (x + 1, y)]);
            assert_near(u, blue, "blue");
            assert_near(v, red, "red");
        }
    }

    #[test]
    fn grey_has_no_colour_and_the_range_has_its_ends() {
        let mut image = Image::new(Size::new(2, 2));
        let mut planes = Planes::default();
        for value in 0..=255 {
            image.rgb_mut().fill(value);
            planes.convert(&image, image.size(), Matrix::Bt709);
            let [y, u, v] = planes.planes();
            assert_eq!((u, v), (&[128][..], &[128][..]), "{value}");
            let expected = if value == 0 { 16 } else { 235 };
            assert!(value % 255 != 0 || y == [expected; 4], "{value}: {y:?}");
        }
    }

    #[test]
    fn an_empty_picture_is_no_panic() {
        let empty = Image::default();
        Planes::default().convert(&empty, empty.size(), Matrix::Bt709);
        yuyv(&empty, Matrix::Bt601, &mut Vec::new());
    }
}
