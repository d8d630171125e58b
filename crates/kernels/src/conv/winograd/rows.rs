//! Rows of pixels in memory: a whole picture, or the latest rows of one that nobody needs again.

use crate::gemm::SendPointer;

/// Rows of pixels, counted over the batch, of which the latest `kept` have a place.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    start: SendPointer,
    kept: usize,
    /// Floats from row to row.
    row_stride: usize,
    /// Floats from pixel to pixel.
    stride: usize,
}

impl Rows {
    /// Every row of the pictures from `start` on.
    pub fn whole(start: *const f32, width: usize, stride: usize) -> Self {
        let row_stride = width * stride;
        Self { start: SendPointer(start.cast_mut()), kept: usize::MAX, row_stride, stride }
    }

    /// The last `kept` rows, at least 1, in turn from `start` on.
    pub fn latest(start: *mut f32, kept: usize, row_stride: usize, stride: usize) -> Self {
        Self { start: SendPointer(start), kept, row_stride, stride }
    }

    /// Floats from pixel to pixel.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Where the channels of a pixel begin.
    #[inline(always)]
    pub fn at(&self, row: usize, column: usize) -> *mut f32 {
        let row = if row < self.kept { row } else { row % self.kept };
        let place = row * self.row_stride + column * self.stride;
        self.start.get().wrapping_add(place)
    }
}
