//! The step before the products of streamed filters: G g G^T of some channels' filters and one
//! panel's outputs.

use super::transform::{MAX_IN, Transform};
use super::weights::TAPS;
use crate::gemm::micro::Words;
use crate::isa::{Simd, SimdOp};
use std::marker::PhantomData;

/// Channels whose taps are whole words of bytes.
const QUAD: usize = 4;

/// Taps in a row of a filter.
const SIDE: usize = 3;

/// Some channels' filters of one panel.
pub(super) struct Filters<T, W> {
    pub channels: usize,
    pub vectors: usize,
    /// `[channels, taps, vectors * LANES]`, or half as many words of two taps, or a quarter of four.
    pub taps: *const f32,
    /// Of taps that are bytes: what to multiply those of each output by.
    pub byte_scales: Option<*const f32>,
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
        if let Some(scales) = self.byte_scales {
            for channel in (0..self.channels).step_by(QUAD) {
                for column in (0..width).step_by(S::LANES) {
                    self.transform_quad(s, channel, column, scales.wrapping_add(column));
                }
            }
            return;
        }
        for channel in (0..self.channels).step_by(W::CHANNELS) {
            let word = channel / W::CHANNELS;
            let taps = self.taps.wrapping_add(word * TAPS * width);
            let out = self.out.wrapping_add(word * width);
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
    /// G g G^T, where g is a vector every `width` floats, to one at `out` for each position.
    #[inline(always)]
    fn transform<S: Simd>(&self, s: S, taps: *const f32, width: usize, out: *mut f32) {
        let mut g = [s.zero(); TAPS];
        for (i, v) in g.iter_mut().enumerate() {
            // SAFETY: the channel has a vector here for each of its taps.
            *v = unsafe { s.load(taps.add(i * width)) };
        }
        self.store(s, &g, out);
    }

    /// G g G^T to one vector at `out` for each position.
    #[inline(always)]
    fn store<S: Simd>(&self, s: S, g: &[S::V; TAPS], out: *mut f32) {
        let columns = Self::columns(s, g);
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let row = Self::row(s, &columns, i);
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                // SAFETY: each position has a row of `vectors` vectors for each channel.
                unsafe { s.store(out.add((i * T::IN + j) * self.step), row[j]) };
            }
        }
    }

    /// As [`Filters::transform`], of two channels: words of two taps each, which follow each other
    /// from channel to channel, become words of two channels.
    #[inline(always)]
    fn transform_pair<S: Simd>(
        &self,
        s: S,
        taps: *const f32,
        width: usize,
        has_second: bool,
        out: *mut f32,
    ) {
        let mut g = [[s.zero(); TAPS]; 2];
        for i in 0..TAPS {
            // The last tap of the first channel shares its word with the first of the second.
            if 2 * i < TAPS || has_second {
                // SAFETY: two channels have as many words as one has taps, and one has half of them.
                let word = unsafe { s.load(taps.add(i * width)) };
                g[2 * i / TAPS][2 * i % TAPS] = s.pair_first(word);
                g[(2 * i + 1) / TAPS][(2 * i + 1) % TAPS] = s.pair_second(word);
            }
        }
        self.store_pair(s, &g, out);
    }

    /// As [`Filters::store`], of two channels.
    #[inline(always)]
    fn store_pair<S: Simd>(&self, s: S, g: &[[S::V; TAPS]; 2], out: *mut f32) {
        let columns = [Self::columns(s, &g[0]), Self::columns(s, &g[1])];
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let rows = [Self::row(s, &columns[0], i), Self::row(s, &columns[1], i)];
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                let words = s.pack_pairs(rows[0][j], rows[1][j]);
                // SAFETY: each position has a row of `vectors` vectors for each word of channels.
                unsafe { s.store(out.add((i * T::IN + j) * self.step), words) };
            }
        }
    }

    /// As [`Filters::transform`], of four channels from `channel` on, whose taps are bytes, or of
    /// those that are left.
    #[inline(always)]
    fn transform_quad<S: Simd>(&self, s: S, channel: usize, column: usize, scales: *const f32) {
        let width = self.vectors * S::LANES;
        let channels = QUAD.min(self.channels - channel);
        let taps = self.taps.wrapping_add(channel * TAPS / QUAD * width + column);
        // SAFETY: there is a scale for each output of the panel.
        let scale = unsafe { s.load(scales) };
        let mut g = [[s.zero(); TAPS]; QUAD];
        for i in 0..(channels * TAPS).div_ceil(QUAD) {
            // SAFETY: four channels have as many words as one has taps.
            let word = unsafe { s.load(taps.add(i * width)) };
            let four = s.signed_bytes(word);
            for (at, byte) in (QUAD * i..).zip(four) {
                g[at / TAPS][at % TAPS] = s.mul(byte, scale);
            }
        }
        let out = self.out.wrapping_add(channel / W::CHANNELS * width + column);
        if W::CHANNELS == 1 {
            for (i, g) in g[..channels].iter().enumerate() {
                self.store(s, g, out.wrapping_add(i * width));
            }
        } else {
            let [first, second, third, fourth] = g;
            self.store_pair(s, &[first, second], out);
            if channels > 2 {
                self.store_pair(s, &[third, fourth], out.wrapping_add(width));
            }
        }
    }

    /// G g, column by column.
    #[inline(always)]
    fn columns<S: Simd>(s: S, g: &[S::V; TAPS]) -> [[S::V; MAX_IN]; SIDE] {
        let mut columns = [[s.zero(); MAX_IN]; SIDE];
        for (x, column) in columns.iter_mut().enumerate() {
            *column = T::filter(s, [g[x], g[SIDE + x], g[2 * SIDE + x]]);
        }
        columns
    }

    /// Row i of G g G^T.
    #[inline(always)]
    fn row<S: Simd>(s: S, columns: &[[S::V; MAX_IN]; SIDE], i: usize) -> [S::V; MAX_IN] {
        T::filter(s, [columns[0][i], columns[1][i], columns[2][i]])
    }
}
