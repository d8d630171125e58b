//! Arrays whose rows are padded: a row is the last axis, its start a multiple of
//! what the device wants.

use std::ops::Range;

/// Rows of `length` elements, the next one `stride` elements further.
///
/// An array of shape [a, b, c] is a * b rows of c, as Core ML lays it out in a
/// pixel buffer a * b high and c wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Number of rows.
    pub count: usize,
    /// Elements of a row.
    pub length: usize,
    /// Elements from the start of a row to that of the next, `length` or more.
    pub stride: usize,
}

impl Rows {
    /// The dense rows of a shape; a scalar is one row of one element.
    pub fn dense(shape: &[usize]) -> Self {
        let length = shape.last().copied().unwrap_or(1);
        let count = shape.split_last().map_or(1, |(_, outer)| outer.iter().product());
        Self { count, length, stride: length }
    }

    /// The same rows at another distance; `None` if they would overlap.
    pub fn with_stride(self, stride: usize) -> Option<Self> {
        (stride >= self.length).then_some(Self { stride, ..self })
    }

    /// Elements from the start of the first row to the end of the last.
    pub fn extent(&self) -> usize {
        match self.count {
            0 => 0,
            count => (count - 1) * self.stride + self.length,
        }
    }

    /// Where each row lies: in the padded array, and in a dense one.
    fn pairs(self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        (0..self.count).map(move |row| {
            let (padded, dense) = (row * self.stride, row * self.length);
            (padded..padded + self.length, dense..dense + self.length)
        })
    }

    /// Writes dense elements into padded rows, a row at a time through `convert`.
    ///
    /// # Panics
    /// If a slice is shorter than the rows.
    pub fn scatter<S, T>(self, dense: &[S], padded: &mut [T], convert: impl Fn(&[S], &mut [T])) {
        self.pairs().for_each(|(to, from)| convert(&dense[from], &mut padded[to]));
    }

    /// Reads padded rows into dense elements, a row at a time through `convert`.
    ///
    /// # Panics
    /// If a slice is shorter than the rows.
    pub fn gather<S, T>(self, padded: &[S], dense: &mut [T], convert: impl Fn(&[S], &mut [T])) {
        self.pairs().for_each(|(from, to)| convert(&padded[from], &mut dense[to]));
    }
}

/// Bytes of a pixel: blue, green, red, and one that is opaque.
pub const PIXEL_BYTES: usize = 4;

/// Where the channels of `[1, 3, height, width]` (red, green, blue) are in a pixel.
const CHANNEL_BYTES: [usize; 3] = [2, 1, 0];

/// A pixel's bytes as numbers in -1..=1 are rounded to 0..=255.
const HALF_RANGE: f32 = 127.5;

/// Writes `[1, 3, height, width]` in -1..=1 as BGRA pixels. `rows` are those of the
/// picture's bytes; numbers beyond are limited, NaN is black.
///
/// # Panics
/// If a slice is shorter than the picture.
pub fn write_bgra(rows: Rows, planes: &[f32], bytes: &mut [u8]) {
    let width = rows.length / PIXEL_BYTES;
    let area = width * rows.count;
    for (y, (padded, _)) in rows.pairs().enumerate() {
        let (pixels, _) = bytes[padded].as_chunks_mut::<PIXEL_BYTES>();
        for (x, pixel) in pixels.iter_mut().enumerate() {
            pixel[3] = u8::MAX;
            for (channel, &at) in CHANNEL_BYTES.iter().enumerate() {
                let value = planes[channel * area + y * width + x];
                pixel[at] = ((value + 1.0) * HALF_RANGE).round_ties_even() as u8;
            }
        }
    }
}

/// Reads BGRA pixels as `[1, 3, height, width]` in -1..=1.
///
/// # Panics
/// If a slice is shorter than the picture.
pub fn read_bgra(rows: Rows, bytes: &[u8], planes: &mut [f32]) {
    let width = rows.length / PIXEL_BYTES;
    let area = width * rows.count;
    for (y, (padded, _)) in rows.pairs().enumerate() {
        let (pixels, _) = bytes[padded].as_chunks::<PIXEL_BYTES>();
        for (x, pixel) in pixels.iter().enumerate() {
            for (channel, &at) in CHANNEL_BYTES.iter().enumerate() {
                planes[channel * area + y * width + x] = f32::from(pixel[at]) / HALF_RANGE - 1.0;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_rows() {
        assert_eq!(Rows::dense(&[2, 3, 4]), Rows { count: 6, length: 4, stride: 4 });
        assert_eq!(Rows::dense(&[5]), Rows { count: 1, length: 5, stride: 5 });
        assert_eq!(Rows::dense(&[]), Rows { count: 1, length: 1, stride: 1 });
    }

    #[test]
    fn padding_is_neither_read_nor_written() {
        let rows = Rows::dense(&[2, 3]).with_stride(4).unwrap();
        assert_eq!(rows.extent(), 7);
        let mut padded = [-1; 7];
        rows.scatter(&[1, 2, 3, 4, 5, 6], &mut padded, |from, to| to.copy_from_slice(from));
        assert_eq!(padded, [1, 2, 3, -1, 4, 5, 6]);
        let mut dense = [0; 6];
        rows.gather(&padded, &mut dense, |from, to| to.copy_from_slice(from));
        assert_eq!(dense, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn pixels_are_blue_green_red() {
        let rows = Rows::dense(&[2, 2 * PIXEL_BYTES]).with_stride(3 * PIXEL_BYTES).unwrap();
        // Red, green and blue of the four pixels.
        let red = [-1.0, 1.0, 0.0, -3.0];
        let green = [1.0, -1.0, 0.2, f32::NAN];
        let blue = [-1.0, -1.0, -0.2, 3.0];
        let planes = [red, green, blue].concat();
        let mut bytes = [7; 20];
        write_bgra(rows, &planes, &mut bytes);
        assert_eq!(bytes[..8], [0, 255, 0, 255, 0, 0, 255, 255]);
        assert_eq!(bytes[8..12], [7; 4]);
        assert_eq!(bytes[12..], [102, 153, 128, 255, 255, 0, 0, 255]);
        let mut read = [0.0; 12];
        read_bgra(rows, &bytes, &mut read);
        let expected = [-1.0, 1.0, 0.5 / 127.5, -1.0, 1.0, -1.0, 0.2, -1.0, -1.0, -1.0, -0.2, 1.0];
        for (found, expected) in read.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn overlapping_rows_are_refused() {
        assert_eq!(Rows::dense(&[2, 3]).with_stride(2), None);
    }
}
