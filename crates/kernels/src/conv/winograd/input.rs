//! The first step: tiles of the input, transformed to `[position, tile, channel]`.

use super::transform::{Columns, MAX_IN, Transform};
use super::{ConvShape, Task};
use crate::aligned::LINE_BYTES;
use crate::isa::Simd;

/// Tiles from one that is transformed to the one whose pixels are asked for.
const AHEAD: usize = 2;

/// Where a tile is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub picture: usize,
    /// Its first output pixel.
    pub y: usize,
    pub x: usize,
}

impl<T: Transform> Task<'_, T> {
    pub(super) fn place(&self, tile: usize) -> Place {
        let blocks = &self.job.blocks;
        let (row, column) = (tile / blocks.columns, tile % blocks.columns);
        let (picture, row) = (row / blocks.rows, row % blocks.rows);
        Place { picture, y: row * T::OUT, x: column * T::OUT }
    }

    /// B^T d B of one tile, for every channel, into place `slot` of the block.
    #[inline(always)]
    pub(super) fn transform_input<S: Simd>(&self, s: S, slot: usize, tile: usize) {
        let (shape, stride) = (self.job.shape, self.job.x_stride);
        let place = self.place(tile);
        // Above or left of the picture the difference wraps to a number beyond its size.
        let y = place.y.wrapping_sub(shape.padding.top);
        let x = place.x.wrapping_sub(shape.padding.left);
        let first_row = place.picture * shape.height;
        let inside = |at: usize, size: usize| at < size && at + T::IN <= size;
        if shape.upsample == 1 && inside(y, shape.height) && inside(x, shape.width) {
            let row_stride = shape.width * stride;
            let start = ((first_row + y) * shape.width + x) * stride;
            let base = self.job.x[start..].as_ptr();
            self.prefetch_pixels(s, base.wrapping_add(AHEAD * T::OUT * stride), row_stride);
            self.transform_pixels(s, slot, |i, j| base.wrapping_add(i * row_stride + j * stride));
        } else {
            let pixels = self.pixels(first_row, y, x);
            self.transform_pixels(s, slot, |i, j| pixels[i][j]);
        }
    }

    /// Asks for the pixels from `start` on that the tile there adds to the one to its left. The
    /// hardware follows too few rows at once to do so itself.
    #[inline(always)]
    fn prefetch_pixels<S: Simd>(&self, s: S, start: *const f32, row_stride: usize) {
        let len = T::OUT * self.job.x_stride;
        for i in 0..T::IN {
            let row = start.wrapping_add(i * row_stride);
            for at in (0..len).step_by(LINE_BYTES / size_of::<f32>()) {
                s.prefetch(row.wrapping_add(at));
            }
        }
    }

    /// The first channel of every pixel of a tile, or zeros beside the picture.
    fn pixels(&self, first_row: usize, y: usize, x: usize) -> [[*const f32; MAX_IN]; MAX_IN] {
        let ConvShape { height, width, upsample, .. } = *self.job.shape;
        let enlarge = upsample.trailing_zeros();
        let zeros = self.job.weights.packed.zero_row().as_ptr();
        let mut pixels = [[zeros; MAX_IN]; MAX_IN];
        for (i, row) in pixels[..T::IN].iter_mut().enumerate() {
            let y = y.wrapping_add(i);
            if y >= height << enlarge {
                continue;
            }
            let start = (first_row + (y >> enlarge)) * width;
            for (j, pixel) in row[..T::IN].iter_mut().enumerate() {
                let x = x.wrapping_add(j);
                if x < width << enlarge {
                    *pixel = self.job.x[(start + (x >> enlarge)) * self.job.x_stride..].as_ptr();
                }
            }
        }
        pixels
    }

    /// `pixel(i, j)`: the channels of the tile's pixel at row i, column j, all of them readable.
    #[inline(always)]
    fn transform_pixels<S: Simd>(
        &self,
        s: S,
        slot: usize,
        pixel: impl Fn(usize, usize) -> *const f32,
    ) {
        let (blocks, channels) = (&self.job.blocks, self.job.shape.in_channels);
        let out = self.inputs.wrapping_add(slot * blocks.input_row);
        let tail = channels % S::LANES;
        for channel in (0..channels - tail).step_by(S::LANES) {
            // SAFETY: a vector of the pixel's channels is left from `channel` on.
            let load = |i, j| unsafe { s.load(pixel(i, j).wrapping_add(channel)) };
            self.transform_vector(s, out.wrapping_add(channel), load);
        }
        if tail != 0 {
            let channel = channels - tail;
            // SAFETY: `tail` channels of the pixel are left from `channel` on.
            let load = |i, j| unsafe { s.load_partial(pixel(i, j).wrapping_add(channel), tail) };
            self.transform_vector(s, out.wrapping_add(channel), load);
        }
    }

    /// B^T d B, where `load(i, j)` is d, to a vector at `out` for each position.
    #[inline(always)]
    fn transform_vector<S: Simd>(&self, s: S, out: *mut f32, load: impl Fn(usize, usize) -> S::V) {
        let step = self.job.blocks.input_step;
        let columns = Columns::<T, _>::new(|j| {
            let mut d = [s.zero(); MAX_IN];
            for (i, v) in d[..T::IN].iter_mut().enumerate() {
                *v = load(i, j);
            }
            T::input(s, d)
        });
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let row = T::input(s, columns.row(s.zero(), |column| column[i]));
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                // SAFETY: position (i, j) of the block has a row of whole vectors for each slot, in
                // the part of the scratch memory that is this thread's alone.
                unsafe { s.store(out.add((i * T::IN + j) * step), row[j]) };
            }
        }
    }
}
