//! Two-dimensional convolution on channels-last pictures, as a product whose rows are windows.
//!
//! Nothing is copied: each kernel position of a window is a pointer into the input, to a row of
//! zeros where the window leaves the picture, or to the nearest pixel of a picture that is
//! enlarged on the fly. Where pixels follow each other without a gap, one pointer stands for a whole
//! row of a window.

mod grouped;
mod measure;
pub mod reference;
mod winograd;

pub use grouped::conv2d_grouped;
pub use measure::measure_ways;
pub use winograd::{
    CONVOLUTIONS_VARIABLE, Chain, Convolutions, Halving, Link, MAX_LINKS, UnknownConvolutions, Way,
    Winograd, WinogradWeights, conv2d_winograd, winograd_scratch_len,
};

use crate::gemm::driver::Gather;
use crate::gemm::micro::RowPointers;
use crate::gemm::{Epilogue, Operand, PackedWeights, multiply};
use crate::isa::MAX_TILE_ROWS;
use crate::pool::Pool;
use std::ops::Range;

/// Channels up to which the positions in a row of a window are read as one: beyond, reading each by
/// itself costs nothing, and a pass may hold some of the channels only.
const MOST_JOINED: usize = 64;

/// The extents of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Pixels of the input, from top to bottom, before it is enlarged.
    pub height: usize,
    /// Pixels of the input, from left to right, before it is enlarged.
    pub width: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps of the window, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros around the (enlarged) input.
    pub padding: Padding,
    /// The input is enlarged by this power of two, nearest pixel, before the convolution; 1 for
    /// none.
    pub upsample: usize,
}

/// Zero pixels added on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on every side.
    pub fn all(pixels: usize) -> Self {
        Self { top: pixels, left: pixels, bottom: pixels, right: pixels }
    }
}

impl ConvShape {
    /// A 3x3 convolution with stride 1 that keeps the size.
    pub fn same3x3(
        batch: usize,
        height: usize,
        width: usize,
        in_channels: usize,
        out_channels: usize,
    ) -> Self {
        Self {
            batch,
            height,
            width,
            in_channels,
            out_channels,
            kernel: [3, 3],
            stride: [1, 1],
            padding: Padding::all(1),
            upsample: 1,
        }
    }

    /// Kernel positions.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rows of the output; 0 when the kernel is larger than the padded input.
    pub fn out_height(&self) -> usize {
        let padded = self.height * self.upsample + self.padding.top + self.padding.bottom;
        (padded + self.stride[0]).saturating_sub(self.kernel[0]) / self.stride[0]
    }

    /// Columns of the output; 0 when the kernel is larger than the padded input.
    pub fn out_width(&self) -> usize {
        let padded = self.width * self.upsample + self.padding.left + self.padding.right;
        (padded + self.stride[1]).saturating_sub(self.kernel[1]) / self.stride[1]
    }

    /// Pixels of the input, over the batch.
    pub fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Pixels of the output, over the batch.
    pub fn out_rows(&self) -> usize {
        self.batch * self.out_height() * self.out_width()
    }
}

/// out = epilogue(conv(x)).
///
/// x: `[batch, height, width, in_channels]` with `x_stride` floats from pixel to pixel, rounded as
/// `weights` are, their products summed in f32; weights: `[out_channels, in_channels, kernel]` packed;
/// scratch: [`PackedWeights::scratch_len`] of the pixels of x, of any content; out: `[batch,
/// out_height, out_width, columns]` with `out_stride` floats from pixel to pixel. A row of the
/// epilogue is a pixel.
///
/// # Panics
/// When a slice is too short for its extents, `weights` are of another shape, or `upsample` is no
/// power of two.
pub fn conv2d(
    pool: &Pool,
    shape: &ConvShape,
    x: &[f32],
    x_stride: usize,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
    out_stride: usize,
) {
    let packed = weights.shape();
    assert_eq!(
        (packed.outputs, packed.inputs, packed.taps),
        (shape.out_channels, shape.in_channels, shape.taps()),
        "weights of the convolution {shape:?}"
    );
    assert!(shape.upsample.is_power_of_two(), "enlarged by a power of two: {shape:?}");
    let Operand { words: x, stride, .. } =
        weights.operand(pool, shape.pixels(), x, x_stride, scratch);
    let zeros = weights.zero_row();
    let in_words = ConvShape { in_channels: zeros.len(), ..*shape };
    let windows = Windows { shape: &in_words, x, stride, zeros };
    multiply(pool, &windows, None, shape.out_rows(), weights, epilogue, out, out_stride);
}

/// The windows of a picture: row r is the window of output pixel r.
struct Windows<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    stride: usize,
    zeros: &'a [f32],
}

impl Gather for Windows<'_> {
    fn fill(
        &self,
        rows: Range<usize>,
        taps: Range<usize>,
        channel: usize,
        pointers: &mut [RowPointers],
    ) -> usize {
        let s = self.shape;
        let mut corners = [Corner::default(); MAX_TILE_ROWS];
        let corners = &mut corners[..rows.len()];
        self.corners(rows.start, corners);
        let (mut ky, mut kx) = (taps.start / s.kernel[1], taps.start % s.kernel[1]);
        let whole_rows = kx == 0 && taps.len().is_multiple_of(s.kernel[1]);
        if whole_rows && self.are_joined() && corners.iter().all(|corner| self.is_inside(corner)) {
            for (ky, pointers) in (ky..).zip(&mut pointers[..taps.len() / s.kernel[1]]) {
                for (pointer, corner) in pointers.iter_mut().zip(corners.iter()) {
                    *pointer = self.position(corner, ky, 0, channel);
                }
            }
            return s.kernel[1];
        }
        for pointers in &mut pointers[..taps.len()] {
            for (pointer, corner) in pointers.iter_mut().zip(corners.iter()) {
                *pointer = self.position(corner, ky, kx, channel);
            }
            kx += 1;
            if kx == s.kernel[1] {
                (ky, kx) = (ky + 1, 0);
            }
        }
        1
    }

    fn distance(&self, rows: usize) -> usize {
        rows * self.shape.stride[1] * self.stride / self.shape.upsample
    }
}

impl Windows<'_> {
    /// Whether the channels of pixels side by side follow each other, and are few enough for one
    /// pass.
    fn are_joined(&self) -> bool {
        let s = self.shape;
        self.stride == s.in_channels && s.upsample == 1 && s.in_channels <= MOST_JOINED
    }

    /// Whether a window lies within the picture.
    fn is_inside(&self, corner: &Corner) -> bool {
        let s = self.shape;
        let fits = |at: usize, kernel: usize, size: usize| at < size && at + kernel <= size;
        fits(corner.y, s.kernel[0], s.height) && fits(corner.x, s.kernel[1], s.width)
    }

    /// The windows of the output pixels from `row` on.
    fn corners(&self, row: usize, corners: &mut [Corner]) {
        let s = self.shape;
        let (out_height, out_width) = (s.out_height(), s.out_width());
        let (mut x, y) = (row % out_width, row / out_width);
        let (mut y, mut picture) = (y % out_height, y / out_height);
        for corner in corners {
            // Left of or above the picture the difference wraps to a number beyond its size.
            *corner = Corner {
                y: (y * s.stride[0]).wrapping_sub(s.padding.top),
                x: (x * s.stride[1]).wrapping_sub(s.padding.left),
                first_row: picture * s.height,
            };
            x += 1;
            if x == out_width {
                (x, y) = (0, y + 1);
            }
            if y == out_height {
                (y, picture) = (0, picture + 1);
            }
        }
    }

    /// The channels that kernel position (ky, kx) of a window reads.
    #[inline(always)]
    fn position(&self, corner: &Corner, ky: usize, kx: usize, channel: usize) -> *const f32 {
        let s = self.shape;
        let (y, x) = (corner.y.wrapping_add(ky), corner.x.wrapping_add(kx));
        let enlarge = s.upsample.trailing_zeros();
        if y >= s.height << enlarge || x >= s.width << enlarge {
            return self.zeros[channel..].as_ptr();
        }
        let row = corner.first_row + (y >> enlarge);
        self.x[(row * s.width + (x >> enlarge)) * self.stride + channel..].as_ptr()
    }
}

/// The top left position of a window, in pixels of the enlarged input.
#[derive(Clone, Copy, Default)]
struct Corner {
    y: usize,
    x: usize,
    /// The first row of the window's picture, counted over the batch, before it is enlarged.
    first_row: usize,
}

#[cfg(test)]
mod tests;
