//! The step before the products of streamed filters: G g G^T of some channels' filters and one
//! panel's outputs.

use super::transform::{MAX_IN, Transform};
use super::weights::TAPS;
use crate::isa::{Simd, SimdOp};
use std::marker::PhantomData;

/// Taps in a row of a filter.
const SIDE: usize = 3;

/// Some channels' filters of one panel.
pub(super) struct Filters<T> {
    pub channels: usize,
    pub vectors: usize,
    /// `[channels, taps, vectors * LANES]`
    pub taps: *const f32,
    /// `[position, channels, vectors * LANES]` with `step` floats from position to position.
    pub out: *mut f32,
    pub step: usize,
    pub transform: PhantomData<T>,
}

impl<T: Transform> SimdOp for Filters<T> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let width = self.vectors * S::LANES;
        for channel in 0..self.channels {
            let taps = self.taps.wrapping_add(channel * TAPS * width);
            let out = self.out.wrapping_add(channel * width);
            for column in (0..width).step_by(S::LANES) {
                let (taps, out) = (taps.wrapping_add(column), out.wrapping_add(column));
                self.transform(s, taps, width, out);
            }
        }
    }
}

impl<T: Transform> Filters<T> {
    /// G g G^T, where g is a vector every `width` floats, to one at `out` for each position.
    #[inline(always)]
    fn transform<S: Simd>(&self, s: S, taps: *const f32, width: usize, out: *mut f32) {
        let mut columns = [[s.zero(); MAX_IN]; SIDE];
        for (x, column) in columns.iter_mut().enumerate() {
            let mut g = [s.zero(); SIDE];
            for (y, v) in g.iter_mut().enumerate() {
                // SAFETY: the channel has a vector here for each of its taps.
                *v = unsafe { s.load(taps.add((y * SIDE + x) * width)) };
            }
            *column = T::filter(s, g);
        }
        for i in (0..T::IN).filter(|&i| T::ABSENT != Some(i)) {
            let row = T::filter(s, [columns[0][i], columns[1][i], columns[2][i]]);
            for j in (0..T::IN).filter(|&j| T::ABSENT != Some(j)) {
                // SAFETY: each position has a row of `vectors` vectors for each channel.
                unsafe { s.store(out.add((i * T::IN + j) * self.step), row[j]) };
            }
        }
    }
}
