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

    /// Writes dense elements into padded rows, each through `convert`.
    ///
    /// # Panics
    /// If a slice is shorter than the rows.
    pub fn scatter<S: Copy, T>(self, dense: &[S], padded: &mut [T], convert: impl Fn(S) -> T) {
        for (to, from) in self.pairs() {
            for (target, &source) in padded[to].iter_mut().zip(&dense[from]) {
                *target = convert(source);
            }
        }
    }

    /// Reads padded rows into dense elements, each through `convert`.
    ///
    /// # Panics
    /// If a slice is shorter than the rows.
    pub fn gather<S: Copy, T>(self, padded: &[S], dense: &mut [T], convert: impl Fn(S) -> T) {
        for (from, to) in self.pairs() {
            for (target, &source) in dense[to].iter_mut().zip(&padded[from]) {
                *target = convert(source);
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
        rows.scatter(&[1, 2, 3, 4, 5, 6], &mut padded, |x: i8| i32::from(x));
        assert_eq!(padded, [1, 2, 3, -1, 4, 5, 6]);
        let mut dense = [0i64; 6];
        rows.gather(&padded, &mut dense, i64::from);
        assert_eq!(dense, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn overlapping_rows_are_refused() {
        assert_eq!(Rows::dense(&[2, 3]).with_stride(2), None);
    }
}
