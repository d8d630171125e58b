//! From the pixel layouts of cameras and codecs to interleaved 8-bit RGB, in
//! fixed point. Chroma is repeated, not interpolated, where it has fewer samples.
//!
//! Coefficients follow ITU-R BT.601-7 and BT.709-6, with the full ranges that
//! JPEG (JFIF) uses.

use laterna_pipeline::Size;

/// Which primaries luma was weighted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matrix {
    Bt601,
    Bt709,
}

/// Which bytes stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Luma 16..=235, chroma 16..=240.
    Limited,
    /// 0..=255.
    Full,
}

/// How luma and chroma stand for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    pub(super) matrix: Matrix,
    pub(super) range: Range,
}

impl Colour {
    /// What a stream that does not say is taken for: standard definition is
    /// BT.601, high definition BT.709, both in their limited ranges.
    pub(super) fn of(size: Size) -> Self {
        let matrix = if size.height < 720 { Matrix::Bt601 } else { Matrix::Bt709 };
        Self { matrix, range: Range::Limited }
    }
}

/// Samples of one component: sample `(x, y)` is byte `y * stride + x * step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) step: usize,
}

impl<'a> Plane<'a> {
    pub(super) fn new(bytes: &'a [u8], stride: usize, step: usize) -> Self {
        Self { bytes, stride, step }
    }
}

/// A picture in luma and chroma. One chroma sample stands for `1 << across` by
/// `1 << down` pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yuv<'a> {
    pub(super) size: Size,
    pub(super) y: Plane<'a>,
    pub(super) u: Plane<'a>,
    pub(super) v: Plane<'a>,
    pub(super) across: usize,
    pub(super) down: usize,
}

impl<'a> Yuv<'a> {
    /// Packed 4:2:2: Y0 U Y1 V.
    #[cfg(any(test, target_os = "linux", windows))]
    pub(super) fn yuyv(size: Size, bytes: &'a [u8], stride: usize) -> Self {
        let y = Plane::new(bytes, stride, 2);
        let u = Plane::new(bytes.get(1..).unwrap_or_default(), stride, 4);
        let v = Plane::new(bytes.get(3..).unwrap_or_default(), stride, 4);
        Self { size, y, u, v, across: 1, down: 0 }
    }

    /// A plane of luma and one of pairs U V, 4:2:0, with their strides.
    #[cfg(any(test, target_os = "linux", target_os = "macos", windows))]
    pub(super) fn nv12(size: Size, planes: [&'a [u8]; 2], strides: [usize; 2]) -> Self {
        let ([luma, chroma], [luma_stride, chroma_stride]) = (planes, strides);
        let (y, u) = (Plane::new(luma, luma_stride, 1), Plane::new(chroma, chroma_stride, 2));
        let v = Plane::new(chroma.get(1..).unwrap_or_default(), chroma_stride, 2);
        Self { size, y, u, v, across: 1, down: 1 }
    }

    /// Three planes; the strides are those of luma and of chroma.
    pub(super) fn planar(
        size: Size,
        planes: [&'a [u8]; 3],
        strides: [usize; 2],
        (across, down): (usize, usize),
    ) -> Self {
        let [y, u, v] = planes;
        let [luma, chroma] = strides;
        let (u, v) = (Plane::new(u, chroma, 1), Plane::new(v, chroma, 1));
        Self { size, y: Plane::new(y, luma, 1), u, v, across, down }
    }

    /// Whether every sample lies within its plane.
    pub(super) fn is_complete(&self) -> bool {
        let Size { width, height } = self.size;
        let chroma = (width.div_ceil(1 << self.across), height.div_ceil(1 << self.down));
        [(&self.y, (width, height)), (&self.u, chroma), (&self.v, chroma)]
            .into_iter()
            .all(|(plane, (columns, rows))| plane.holds(columns, rows))
    }

    /// Writes the picture into `rgb`, [height, width, 3].
    ///
    /// # Panics
    /// If a plane is too short (see [`Self::is_complete`]) or `rgb` of another
    /// length.
    pub(super) fn write_rgb(&self, colour: Colour, rgb: &mut [u8]) {
        assert_eq!(rgb.len(), 3 * self.size.area(), "a picture of another size");
        if self.size.area() == 0 {
            return;
        }
        let weights = Weights::of(colour);
        for (row, out) in rgb.chunks_exact_mut(3 * self.size.width).enumerate() {
            let [y, u, v] =
                [(&self.y, row), (&self.u, row >> self.down), (&self.v, row >> self.down)]
                    .map(|(plane, row)| &plane.bytes[row * plane.stride..]);
            match (self.across, self.y.step, self.u.step) {
                (0, 1, 1) => write_row::<0, 1, 1>(y, u, v, weights, out),
                (1, 1, 1) => write_row::<1, 1, 1>(y, u, v, weights, out),
                (1, 1, 2) => write_row::<1, 1, 2>(y, u, v, weights, out),
                (1, 2, 4) => write_row::<1, 2, 4>(y, u, v, weights, out),
                (2, 1, 1) => write_row::<2, 1, 1>(y, u, v, weights, out),
                layout => unreachable!("no constructor makes {layout:?}"),
            }
        }
    }
}

impl Plane<'_> {
    fn holds(&self, columns: usize, rows: usize) -> bool {
        let last = |count: usize, by: usize| count.saturating_sub(1).saturating_mul(by);
        let end = last(rows, self.stride).saturating_add(last(columns, self.step));
        self.stride >= last(columns, self.step) && end < self.bytes.len()
    }
}

/// Pixels converted at once, on the stack; even, for chroma.
const BLOCK: usize = 32;

/// One row. `y`, `u`, `v` begin at its first sample.
fn write_row<const ACROSS: usize, const LUMA: usize, const CHROMA: usize>(
    y: &[u8],
    u: &[u8],
    v: &[u8],
    weights: Weights,
    out: &mut [u8],
) {
    for (block, out) in out.chunks_mut(3 * BLOCK).enumerate() {
        let (start, count) = (block * BLOCK, out.len() / 3);
        let luma = gather::<LUMA, 0>(y, start, count);
        let blue = gather::<CHROMA, ACROSS>(u, start, count);
        let red = gather::<CHROMA, ACROSS>(v, start, count);
        let rgb = weights.convert(&luma, &blue, &red);
        for (pixel, rgb) in out.as_chunks_mut::<3>().0.iter_mut().zip(rgb) {
            *pixel = rgb;
        }
    }
}

/// `count` samples, each repeated `1 << ACROSS` times, from pixel `start` on.
fn gather<const STEP: usize, const ACROSS: usize>(
    samples: &[u8],
    start: usize,
    count: usize,
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let samples = &samples[(start >> ACROSS) * STEP..];
    let enough = ((BLOCK - 1) >> ACROSS) * STEP < samples.len();
    if enough && count == BLOCK {
        let samples = &samples[..=((BLOCK - 1) >> ACROSS) * STEP];
        for (i, value) in block.iter_mut().enumerate() {
            *value = samples[(i >> ACROSS) * STEP];
        }
    } else {
        for (i, value) in block[..count].iter_mut().enumerate() {
            *value = samples[(i >> ACROSS) * STEP];
        }
    }
    block
}

/// Fractional bits of a weight.
const WEIGHT_BITS: u32 = 13;
/// Samples are taken this far up, so that the upper half of a product is left
/// with four fractional bits, all in 16 bits.
const SAMPLE_BITS: u32 = 7;
const RESULT_BITS: u32 = WEIGHT_BITS + SAMPLE_BITS - 16;

/// What luma and chroma weigh in red, green and blue.
#[derive(Clone, Copy, Debug)]
struct Weights {
    black: i16,
    luma: i16,
    red: i16,
    green: [i16; 2],
    blue: i16,
}

impl Weights {
    fn of(colour: Colour) -> Self {
        let [luma, red, green_u, green_v, blue] = coefficients(colour).map(|c| {
            let fixed = c * f64::from(1 << WEIGHT_BITS);
            fixed.round() as i16
        });
        let black = if colour.range == Range::Limited { 16 } else { 0 };
        Self { black, luma, red, green: [green_u, green_v], blue }
    }

    fn convert(self, y: &[u8; BLOCK], u: &[u8; BLOCK], v: &[u8; BLOCK]) -> [[u8; 3]; BLOCK] {
        let (mut red, mut green, mut blue) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        for i in 0..BLOCK {
            let luma = times(i16::from(y[i]) - self.black, self.luma);
            let (u, v) = (i16::from(u[i]) - 128, i16::from(v[i]) - 128);
            red[i] = to_byte(luma + times(v, self.red));
            green[i] = to_byte(luma - times(u, self.green[0]) - times(v, self.green[1]));
            blue[i] = to_byte(luma + times(u, self.blue));
        }
        std::array::from_fn(|i| [red[i], green[i], blue[i]])
    }
}

/// With [`RESULT_BITS`] fractional bits.
fn times(sample: i16, weight: i16) -> i16 {
    ((i32::from(sample << SAMPLE_BITS) * i32::from(weight)) >> 16) as i16
}

fn to_byte(value: i16) -> u8 {
    ((value + (1 << (RESULT_BITS - 1))) >> RESULT_BITS).clamp(0, 255) as u8
}

/// Of luma; of V in red; of U and V in green, negated; of U in blue.
fn coefficients(colour: Colour) -> [f64; 5] {
    let (kr, kb) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    let (luma, chroma) = match colour.range {
        Range::Limited => (255.0 / 219.0, 255.0 / 224.0),
        Range::Full => (1.0, 1.0),
    };
    let (red, blue) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
    let kg = 1.0 - kr - kb;
    [luma, red, blue * kb / kg, red * kr / kg, blue]
}

/// Copies rows of `stride` bytes of interleaved RGB.
///
/// # Panics
/// If `bytes` are too few or `rgb` is of another length.
#[cfg(any(test, target_os = "linux", windows))]
pub(super) fn copy_rgb(bytes: &[u8], stride: usize, size: Size, rgb: &mut [u8]) {
    let width = 3 * size.width;
    for (row, out) in rgb.chunks_exact_mut(width.max(1)).enumerate() {
        out.copy_from_slice(&bytes[row * stride..][..width]);
    }
}

/// Leaves out the fourth byte of blue, green, red, from rows of `stride` bytes.
///
/// # Panics
/// If `bytes` are too few or `rgb` is of another length.
#[cfg(any(test, target_os = "macos"))]
pub(super) fn bgra_to_rgb(bytes: &[u8], stride: usize, size: Size, rgb: &mut [u8]) {
    let rows = rgb.as_chunks_mut::<3>().0.chunks_exact_mut(size.width.max(1));
    for (row, out) in rows.enumerate() {
        let pixels = bytes[row * stride..][..4 * size.width].as_chunks::<4>().0;
        for (&[blue, green, red, _], pixel) in pixels.iter().zip(out) {
            *pixel = [red, green, blue];
        }
    }
}

/// Exchanges red and blue.
#[cfg(any(test, target_os = "linux", windows))]
pub(super) fn swap_red_and_blue(rgb: &mut [u8]) {
    for pixel in rgb.as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
}

/// Interleaved RGB of RGBA on white, as on paper.
///
/// # Panics
/// If the lengths differ in pixels.
pub(super) fn on_white(rgba: &[u8], rgb: &mut [u8]) {
    let (from, to) = (rgba.as_chunks::<4>().0, rgb.as_chunks_mut::<3>().0);
    assert_eq!(from.len(), to.len(), "pictures of different sizes");
    for (&[r, g, b, alpha], pixel) in from.iter().zip(to) {
        let blend = |c: u8| {
            let sum = u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            ((sum + 127) / 255) as u8
        };
        *pixel = [blend(r), blend(g), blend(b)];
    }
}

/// Turns a picture clockwise by `quarters` of a full turn.
///
/// # Panics
/// If a buffer is not of the picture's size.
pub(super) fn turn(rgb: &[u8], size: Size, quarters: u8, out: &mut [u8]) -> Size {
    let Size { width, height } = size;
    let (from, to) = (rgb.as_chunks::<3>().0, out.as_chunks_mut::<3>().0);
    assert_eq!((from.len(), to.len()), (size.area(), size.area()), "a picture of another size");
    let turned = if quarters % 2 == 1 { Size::new(height, width) } else { size };
    for (y, row) in to.chunks_exact_mut(turned.width.max(1)).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (source_x, source_y) = match quarters % 4 {
                0 => (x, y),
                1 => (y, height - 1 - x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (width - 1 - y, x),
            };
            *pixel = from[source_y * width + source_x];
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: [Colour; 4] = [
        Colour { matrix: Matrix::Bt601, range: Range::Limited },
        Colour { matrix: Matrix::Bt601, range: Range::Full },
        Colour { matrix: Matrix::Bt709, range: Range::Limited },
        Colour { matrix: Matrix::Bt709, range: Range::Full },
    ];

    /// The standards' formulas, in floating point, from analogue values.
    fn reference(y: u8, u: u8, v: u8, colour: Colour) -> [u8; 3] {
        let (y, pb, pr) = match colour.range {
            Range::Limited => (
                (f64::from(y) - 16.0) / 219.0,
                (f64::from(u) - 128.0) / 224.0,
                (f64::from(v) - 128.0) / 224.0,
            ),
            Range::Full => (
                f64::from(y) / 255.0,
                (f64::from(u) - 128.0) / 255.0,
                (f64::from(v) - 128.0) / 255.0,
            ),
        };
        let (kr, kb) = match colour.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let (red, blue) = (y + 2.0 * (1.0 - kr) * pr, y + 2.0 * (1.0 - kb) * pb);
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|c| (c * 255.0).round().clamp(0.0, 255.0) as u8)
    }

    /// Deterministic noise.
    fn noise(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn assert_matches(yuv: &Yuv<'_>) {
        assert!(yuv.is_complete());
        let Size { width, height } = yuv.size;
        let mut rgb = vec![0; 3 * width * height];
        for colour in COLOURS {
            yuv.write_rgb(colour, &mut rgb);
            for (i, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let at = |plane: &Plane<'_>, x: usize, y: usize| {
                    plane.bytes[y * plane.stride + x * plane.step]
                };
                let (cx, cy) = (x >> yuv.across, y >> yuv.down);
                let (u, v) = (at(&yuv.u, cx, cy), at(&yuv.v, cx, cy));
                let expected = reference(at(&yuv.y, x, y), u, v, colour);
                let near = (0..3).all(|c| pixel[c].abs_diff(expected[c]) <= 1);
                assert!(near, "{colour:?} ({x}, {y}): {pixel:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn the_fourth_byte_and_what_pads_rows_is_left_out() {
        let row =
            |first: u8| [first, first + 1, first + 2, 255, first + 3, first + 4, first + 5, 9];
        let bytes = [row(10).as_slice(), &[7, 7], &row(20)].concat();
        let mut rgb = [0; 12];
        bgra_to_rgb(&bytes, 10, Size::new(2, 2), &mut rgb);
        assert_eq!(rgb, [12, 11, 10, 15, 14, 13, 22, 21, 20, 25, 24, 23]);
    }

    #[test]
    fn every_layout_matches_the_formulas() {
        for size in [Size::new(1, 1), Size::new(67, 5), Size::new(64, 4), Size::new(130, 7)] {
            let Size { width, height } = size;
            let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
            let (y, u, v) = (noise(width * height, 1), noise(cw * ch, 2), noise(cw * ch, 3));
            assert_matches(&Yuv::planar(size, [&y, &u, &v], [width, cw], (1, 1)));
            let (u, v) = (noise(cw * height, 4), noise(cw * height, 5));
            assert_matches(&Yuv::planar(size, [&y, &u, &v], [width, cw], (1, 0)));
            let quarter = width.div_ceil(4);
            let short = &u[..quarter * height];
            assert_matches(&Yuv::planar(
                size,
                [&y, short, &v[..quarter * height]],
                [width, quarter],
                (2, 0),
            ));
            let (u, v) = (noise(width * height, 6), noise(width * height, 7));
            assert_matches(&Yuv::planar(size, [&y, &u, &v], [width, width], (0, 0)));
            let stride = 2 * cw + 6;
            let (y, uv) = (noise(stride * height, 8), noise(stride * ch, 9));
            assert_matches(&Yuv::nv12(size, [&y, &uv], [stride, stride]));
            let packed = noise(4 * cw * height + 3, 10);
            assert_matches(&Yuv::yuyv(size, &packed, 4 * cw));
        }
    }

    #[test]
    fn every_luma_and_chroma_is_within_one_level() {
        for chroma in 0..=255_u8 {
            let y: Vec<u8> = (0..=255).collect();
            let (u, v) = (vec![chroma; 256], vec![255 - chroma; 256]);
            assert_matches(&Yuv::planar(Size::new(256, 1), [&y, &u, &v], [256, 256], (0, 0)));
        }
    }

    #[test]
    fn a_plane_that_is_too_short_is_noticed() {
        let (size, full) = (Size::new(6, 4), vec![0; 24]);
        let complete =
            |y: &[u8], u: &[u8]| Yuv::planar(size, [y, u, &full], [6, 3], (1, 1)).is_complete();
        assert!(complete(&full, &full[..6]));
        assert!(!complete(&full[..23], &full[..6]));
        assert!(!complete(&full, &full[..5]));
        let huge = Size::new(usize::MAX, usize::MAX);
        assert!(!Yuv::planar(huge, [&full, &full, &full], [6, 3], (1, 1)).is_complete());
        assert!(!Yuv::yuyv(Size::new(2, 1), &[0; 3], 4).is_complete());
        assert!(!Yuv::nv12(Size::new(2, 2), [&[0; 4], &[0; 1]], [2, 2]).is_complete());
    }

    #[test]
    fn a_quarter_turn_is_clockwise_and_four_are_none() {
        let (size, rgb) = (Size::new(3, 2), noise(18, 11));
        let mut out = vec![0; 18];
        assert_eq!(turn(&rgb, size, 1, &mut out), Size::new(2, 3));
        assert_eq!(out[..6], [&rgb[9..12], &rgb[..3]].concat());
        let (mut now, mut turned) = (size, rgb.clone());
        for _ in 0..4 {
            now = turn(&turned.clone(), now, 1, &mut turned);
        }
        assert_eq!((now, turned), (size, rgb.clone()));
        let (mut twice, mut half) = (vec![0; 18], vec![0; 18]);
        turn(&out, Size::new(2, 3), 1, &mut twice);
        turn(&rgb, size, 2, &mut half);
        assert_eq!(twice, half);
        let mut back = vec![0; 18];
        turn(&out, Size::new(2, 3), 3, &mut back);
        assert_eq!(back, rgb);
    }

    #[test]
    fn transparent_pixels_are_white() {
        let mut rgb = [0; 9];
        on_white(&[10, 20, 30, 255, 1, 2, 3, 0, 0, 100, 255, 128], &mut rgb);
        assert_eq!(rgb, [10, 20, 30, 255, 255, 255, 127, 177, 255]);
    }

    #[test]
    fn rows_are_copied_without_their_padding() {
        let mut rgb = [0; 6];
        copy_rgb(&[1, 2, 3, 9, 9, 4, 5, 6, 9], 5, Size::new(1, 2), &mut rgb);
        assert_eq!(rgb, [1, 2, 3, 4, 5, 6]);
        swap_red_and_blue(&mut rgb);
        assert_eq!(rgb, [3, 2, 1, 6, 5, 4]);
    }
}
