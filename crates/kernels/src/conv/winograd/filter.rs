//! The step before the products of streamed filters: G g G^T of some channels' filters and one
//! panel's outputs.

use super::transform::{MAX_IN, Transform};
use super::weights::TAPS;
use crate::gemm::micro::Words;
use crate::isa::{Simd, SimdOp};
use std::marker::PhantomData;

/// Taps in a row of a filter.
const SIDE: usize = 3;

/// Some channels' filters of one panel.
pub(super) struct Filters<T, W> {
    pub channels: usize,
    pub vectors: usize,
    /// `[channels, taps, vectors * LANES]`
    pub taps: *const f32,
    /// `[position, words of channels, vectors * LANES]` with `step` words from position to position.
    pub out: *mut f32,
    pub step: usize,
    pub kinds: PhantomData<(T, W)>,
}

impl<T: Transform, W: Words> SimdOp for Filters<T, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let width = self.vectors * S::LANES;
        for channel in (0..self.channels).step_by(W::CHANNELS) {
            let taps = self.taps.wrapping_add(channel * TAPS * width);
            let out = self.out.wrapping_add(channel / W::CHANNELS * width);
            for column in (0..width).step_by(S::LANES) {
                let (taps, out) = (taps.wrapping_add(column), out.wrapping_add(column));
                if W::CHANNELS == 1 {
                    self.transform(s, taps, width, out);
                } else {
                    let has_second = channel + 1 < self.channels;
                    self.transform_pair(s, taps, width, has_second, out);
                }
            }
        }
    }
}

impl<T: Transform, W: Words> Filters<T, W> {
    /// As [`Filters::transform`], of two channels whose results share words.
    #[inline(always)]
    fn transform_pair<S: Simd>(
        &self,
        s: S,
        taps: *const f32,
        width: usize,
        has_second: bool,
        out: *mut f32,
    ) {
        let columns = Self::columns(s, taps, width);
        let second = match has_second {
            true => Self::columns(s, taps.wrapping_add(TAPS * width), width),
            false => [[s.zero(); MAX_IN]; SIDE],
        };
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let row = |columns: &[[S::V; MAX_IN]; SIDE]| {
                T::filter(s, [columns[0][i], columns[1][i], columns[2][i]])
            };
            let (first, second) = (row(&columns), row(&second));
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                let words = s.pack_pairs(first[j], second[j]);
                // SAFETY: each position has a row of `vectors` vectors for each word of channels.
                unsafe { s.store(out.add((i * T::IN + j) * self.step), words) };
            }
        }
    }

    /// G g G^T, where g is a vector every `width` floats, to one at `out` for each position.
    #[inline(always)]
    fn transform<S: Simd>(&self, s: S, taps: *const f32, width: usize, out: *mut f32) {
        let columns = Self::columns(s, taps, width);
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let row = T::filter(s, [columns[0][i], columns[1][i], columns[2][i]]);
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                // SAFETY: each position has a row of `vectors` vectors for each channel.
                unsafe { s.store(out.add((i * T::IN + j) * self.step), row[j]) };
            }
        }
    }

    /// G g of one channel's taps.
    #[inline(always)]
    fn columns<S: Simd>(s: S, taps: *const f32, width: usize) -> [[S::V; MAX_IN]; SIDE] {
        let mut columns = [[s.zero(); MAX_IN]; SIDE];
        for (x, column) in columns.iter_mut().enumerate() {
            let mut g = [s.zero(); SIDE];
            for (y, v) in g.iter_mut().enumerate() {
                // SAFETY: the channel has a vector here for each of its taps.
                *v = unsafe { s.load(taps.add((y * SIDE + x) * width)) };
            }
            *column = T::filter(s, g);
        }
        columns
    }
}
