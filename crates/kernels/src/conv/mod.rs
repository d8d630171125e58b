//! Two-dimensional convolution on channels-last pictures, as a product whose rows are windows.
//!
//! Nothing is copied: each kernel position of a window is a pointer into the input, to a row of
//! zeros where the window leaves the picture, or to the nearest pixel of a picture that is
//! enlarged on the fly.

pub mod reference;

use crate::gemm::driver::{Gather, Job, MAX_TAPS, Split, execute};
use crate::gemm::micro::RowPointers;
use crate::gemm::{Epilogue, PackedWeights, SendPointer, check_matrix};
use crate::pool::Pool;
use std::ops::Range;

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
    /// The input is enlarged by this factor, nearest pixel, before the convolution; 1 for none.
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

    /// Pixels of the output, over the batch.
    pub fn out_rows(&self) -> usize {
        self.batch * self.out_height() * self.out_width()
    }
}

/// out = epilogue(conv(x)).
///
/// x: `[batch, height, width, in_channels]` with `x_stride` floats from pixel to pixel;
/// weights: `[out_channels, in_channels, kernel]` packed; out: `[batch, out_height, out_width,
/// columns]` with `out_stride` floats from pixel to pixel. A row of the epilogue is a pixel.
///
/// # Panics
/// When a slice is too short for its extents, or `weights` are of another shape.
pub fn conv2d(
    pool: &Pool,
    shape: &ConvShape,
    x: &[f32],
    x_stride: usize,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let packed = weights.shape();
    assert_eq!(
        (packed.outputs, packed.inputs, packed.taps),
        (shape.out_channels, shape.in_channels, shape.taps()),
        "weights of the convolution {shape:?}"
    );
    let pixels = shape.batch * shape.height * shape.width;
    let rows = shape.out_rows();
    check_matrix("x", x.len(), pixels, shape.in_channels, x_stride);
    check_matrix("out", out.len(), rows, weights.columns(), out_stride);
    epilogue.check(rows, weights.columns(), packed.outputs);
    execute(
        pool,
        &Job {
            gather: &Windows { shape, x, stride: x_stride, zeros: weights.zero_row() },
            weights,
            epilogue,
            rows,
            out: SendPointer(out.as_mut_ptr()),
            out_stride,
            split: Split::new(rows, weights, pool.threads()),
        },
    );
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
        pointers: &mut [RowPointers; MAX_TAPS],
    ) {
        let (out_height, out_width) = (self.shape.out_height(), self.shape.out_width());
        let mut pixel = Pixel {
            x: rows.start % out_width,
            y: rows.start / out_width % out_height,
            picture: rows.start / out_width / out_height,
        };
        for i in 0..rows.len() {
            for (pointers, tap) in pointers.iter_mut().zip(taps.clone()) {
                pointers[i] = self.position(&pixel, tap, channel);
            }
            pixel.advance(out_width, out_height);
        }
    }
}

impl Windows<'_> {
    /// The channels that kernel position `tap` reads for an output pixel.
    #[inline(always)]
    fn position(&self, pixel: &Pixel, tap: usize, channel: usize) -> *const f32 {
        let s = self.shape;
        let (ky, kx) = (tap / s.kernel[1], tap % s.kernel[1]);
        // Left of or above the picture the difference wraps to a number beyond its size.
        let y = (pixel.y * s.stride[0] + ky).wrapping_sub(s.padding.top);
        let x = (pixel.x * s.stride[1] + kx).wrapping_sub(s.padding.left);
        if y >= s.height * s.upsample || x >= s.width * s.upsample {
            return self.zeros[channel..].as_ptr();
        }
        let row = pixel.picture * s.height + y / s.upsample;
        self.x[(row * s.width + x / s.upsample) * self.stride + channel..].as_ptr()
    }
}

/// An output pixel.
struct Pixel {
    x: usize,
    y: usize,
    picture: usize,
}

impl Pixel {
    fn advance(&mut self, width: usize, height: usize) {
        self.x += 1;
        if self.x == width {
            self.x = 0;
            self.y += 1;
        }
        if self.y == height {
            self.y = 0;
            self.picture += 1;
        }
    }
}

#[cfg(test)]
mod tests;
