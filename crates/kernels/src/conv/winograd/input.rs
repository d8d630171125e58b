//! The first step: tiles of the input, transformed to `[chunk of channels, position, tile, channel]`.

use super::transform::{Columns, MAX_IN, Transform};
use super::{ConvShape, Task};
use crate::aligned::LINE_BYTES;
use crate::gemm::micro::Words;
use crate::isa::Simd;

/// Tiles from one that is transformed to the one whose pixels are asked for.
const AHEAD: usize = 2;

/// Where the channels of a tile's pixels begin.
trait Pixels {
    /// Those of the pixel at row i, column j: all of them are readable.
    fn at(&self, i: usize, j: usize) -> *const f32;
}

/// A tile within the picture: where its rows begin.
struct Inside {
    rows: [*const f32; MAX_IN],
    stride: usize,
}

impl Pixels for Inside {
    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> *const f32 {
        self.rows[i].wrapping_add(j * self.stride)
    }
}

/// A tile of which any pixel may be anywhere.
struct Scattered([[*const f32; MAX_IN]; MAX_IN]);

impl Pixels for Scattered {
    #[inline(always)]
    fn at(&self, i: usize, j: usize) -> *const f32 {
        self.0[i][j]
    }
}

/// A vector of channels of every pixel of a tile.
struct Vector<'a, P> {
    pixels: &'a P,
    channel: usize,
    lanes: usize,
}

impl<P: Pixels> Vector<'_, P> {
    /// # Safety
    /// The pixel has `lanes` channels from `channel` on.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, s: S, i: usize, j: usize) -> S::V {
        let start = self.pixels.at(i, j).wrapping_add(self.channel);
        match self.lanes == S::LANES {
            // SAFETY: the caller's contract.
            true => unsafe { s.load(start) },
            // SAFETY: the caller's contract.
            false => unsafe { s.load_partial(start, self.lanes) },
        }
    }
}

impl<T: Transform, W: Words> Task<'_, T, W> {
    /// B^T d B of one tile, for every channel, into place `slot` of the inputs.
    #[inline(always)]
    pub(super) fn transform_input<S: Simd>(&self, s: S, slot: usize, tile: usize) {
        let (shape, pixels) = (self.job.shape, self.job.x);
        let place = self.tiles.place(T::OUT, tile);
        // Above or left of the picture the difference wraps to a number beyond its size.
        let y = place.y.wrapping_sub(shape.padding.top);
        let x = place.x.wrapping_sub(shape.padding.left);
        let first_row = place.picture * shape.height;
        let inside = |at: usize, size: usize| at < size && at + T::IN <= size;
        if shape.upsample == 1 && inside(y, shape.height) && inside(x, shape.width) {
            let mut inside = Inside { rows: [std::ptr::null(); MAX_IN], stride: pixels.stride() };
            for (i, row) in inside.rows[..T::IN].iter_mut().enumerate() {
                *row = pixels.at(first_row + y + i, x);
            }
            self.prefetch_pixels(s, &inside);
            self.transform_pixels(s, slot, &inside);
        } else {
            self.transform_pixels(s, slot, &Scattered(self.pixels(first_row, y, x)));
        }
    }

    /// Asks for the pixels that a tile some way to the right adds to the one to its left. The
    /// hardware follows too few rows at once to do so itself.
    #[inline(always)]
    fn prefetch_pixels<S: Simd>(&self, s: S, tile: &Inside) {
        let len = T::OUT * tile.stride;
        for row in &tile.rows[..T::IN] {
            let row = row.wrapping_add(AHEAD * len);
            for at in (0..len).step_by(LINE_BYTES / size_of::<f32>()) {
                s.prefetch(row.wrapping_add(at));
            }
        }
    }

    /// The first channel of every pixel of a tile, or zeros beside the picture.
    fn pixels(&self, first_row: usize, y: usize, x: usize) -> [[*const f32; MAX_IN]; MAX_IN] {
        let ConvShape { height, width, upsample, .. } = *self.job.shape;
        let enlarge = upsample.trailing_zeros();
        let zeros = self.job.weights.zeros().as_ptr();
        let mut pixels = [[zeros; MAX_IN]; MAX_IN];
        for (i, pixels) in pixels[..T::IN].iter_mut().enumerate() {
            let y = y.wrapping_add(i);
            if y >= height << enlarge {
                continue;
            }
            let row = first_row + (y >> enlarge);
            for (j, pixel) in pixels[..T::IN].iter_mut().enumerate() {
                let x = x.wrapping_add(j);
                if x < width << enlarge {
                    *pixel = self.job.x.at(row, x >> enlarge);
                }
            }
        }
        pixels
    }

    #[inline(always)]
    fn transform_pixels<S: Simd>(&self, s: S, slot: usize, pixels: &impl Pixels) {
        let (layout, channels) = (&self.layout, self.job.shape.in_channels);
        let tail = channels % S::LANES;
        let mut out = self.inputs.wrapping_add(slot * layout.input_row);
        for start in (0..channels).step_by(layout.chunk) {
            let end = (start + layout.chunk).min(channels - tail);
            for channel in (start..end).step_by(S::LANES) {
                let vector = Vector { pixels, channel, lanes: S::LANES };
                self.transform_vector(s, out.wrapping_add((channel - start) / W::CHANNELS), vector);
            }
            if channels - start <= layout.chunk && tail != 0 {
                let vector = Vector { pixels, channel: channels - tail, lanes: tail };
                let word = (channels - tail - start) / W::CHANNELS;
                self.transform_vector(s, out.wrapping_add(word), vector);
            }
            out = out.wrapping_add(layout.chunk_len());
        }
    }

    /// B^T d B, where d is the vector, to one at `out` for each position.
    #[inline(always)]
    fn transform_vector<S: Simd>(&self, s: S, out: *mut f32, d: Vector<'_, impl Pixels>) {
        let step = self.layout.input_step;
        let mut columns = Columns::<T, _>::unset();
        for j in 0..T::IN {
            let mut column = [s.zero(); MAX_IN];
            for (i, v) in column[..T::IN].iter_mut().enumerate() {
                // SAFETY: `transform_pixels` goes no further than the last channel.
                *v = unsafe { d.load(s, i, j) };
            }
            columns.set(j, T::input(s, column));
        }
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            // SAFETY: all columns are set.
            let row = T::input(s, unsafe { columns.row(s.zero(), i) });
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                // SAFETY: position (i, j) of the chunk has a row of whole vectors for each slot,
                // and the slot is this task's alone.
                unsafe { W::store(s, out.add((i * T::IN + j) * step), row[j]) };
            }
        }
    }
}
