//! The second step: at every position of the tiles a matrix product of `[tiles, inputs]` by
//! `[inputs, a panel of outputs]`.

use super::Task;
use super::tiles::LINE;
use super::transform::Transform;
use crate::gemm::micro::{RowPointers, Words, step_of};
use crate::isa::{MAX_TILE_ROWS, Simd, SimdOp};
use crate::pool::part;
use std::marker::PhantomData;

/// Words in one round of the inner loop.
pub(super) const UNROLL: usize = 4;

impl<T: Transform, W: Words> Task<'_, T, W> {
    /// Products that are always zero; the output's transform reads them like the others.
    pub(super) fn clear_absent(&self, tiles: usize) {
        for position in (0..T::IN * T::IN).filter(|&at| !T::is_present(at)) {
            let start = self.products.wrapping_add(position * self.layout.product_step);
            // SAFETY: the position's products, in this thread's part of the scratch memory.
            unsafe { start.write_bytes(0, tiles * self.layout.product_row) };
        }
    }
}

/// One matrix product, `tiles` rows by `vectors`, in scratch memory.
///
/// Whether filters are `STREAMED` is a constant, so that the short products of few channels carry
/// nothing of what only long ones need.
pub(super) struct Position<W, const STREAMED: bool> {
    pub tiles: usize,
    /// Words of a tile's channels.
    pub depth: usize,
    pub vectors: usize,
    /// `[tiles, depth]` with `input_row` words from tile to tile.
    pub inputs: *const f32,
    pub input_row: usize,
    /// `[depth, vectors * LANES]`
    pub weights: *const f32,
    /// `[tiles, vectors * LANES]` with `product_row` floats from tile to tile.
    pub products: *mut f32,
    pub product_row: usize,
    /// Whether the products are added to what is there; only of streamed filters.
    pub adds: bool,
    pub ahead: Ahead,
    pub words: PhantomData<W>,
}

/// Memory that is needed soon, asked for on the way: some of it in each round of the inner loop of
/// the first group of rows.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    pub start: *const f32,
    /// 0 to ask for nothing. Of filters that are not streamed, as much as a round reads.
    pub floats_per_round: usize,
}

impl<W: Words, const STREAMED: bool> SimdOp for Position<W, STREAMED> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.vectors {
            1 => self.rows::<S, 1>(s),
            2 if S::TILE_VECTORS >= 2 => self.rows::<S, 2>(s),
            3 if S::TILE_VECTORS >= 3 => self.rows::<S, 3>(s),
            4 if S::TILE_VECTORS >= 4 => self.rows::<S, 4>(s),
            vectors => unreachable!("a panel of {vectors} vectors"),
        }
    }
}

impl<W: Words, const STREAMED: bool> Position<W, STREAMED> {
    /// Walks the tiles in groups of rows of nearly equal size.
    #[inline(always)]
    fn rows<S: Simd, const VECTORS: usize>(&self, s: S) {
        let groups = self.tiles.div_ceil(S::TILE_ROWS);
        for group in 0..groups {
            let rows = part(self.tiles, groups, group);
            match rows.len() {
                1 => self.tile::<S, 1, VECTORS>(s, rows.start),
                2 => self.tile::<S, 2, VECTORS>(s, rows.start),
                3 => self.tile::<S, 3, VECTORS>(s, rows.start),
                4 => self.tile::<S, 4, VECTORS>(s, rows.start),
                5 if S::TILE_ROWS >= 5 => self.tile::<S, 5, VECTORS>(s, rows.start),
                6 if S::TILE_ROWS >= 6 => self.tile::<S, 6, VECTORS>(s, rows.start),
                rows => unreachable!("a tile of {rows} rows"),
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(&self, s: S, first: usize) {
        let mut a: RowPointers = [std::ptr::null(); MAX_TILE_ROWS];
        for (i, row) in a[..ROWS].iter_mut().enumerate() {
            *row = self.inputs.wrapping_add((first + i) * self.input_row);
        }
        let out = self.products.wrapping_add(first * self.product_row);
        let mut sums = [[s.zero(); VECTORS]; ROWS];
        if STREAMED && self.adds {
            for (i, row) in sums.iter_mut().enumerate() {
                for (j, v) in row.iter_mut().enumerate() {
                    // SAFETY: a row of products holds the vectors of a panel.
                    *v = unsafe { s.load(out.add(i * self.product_row + j * S::LANES)) };
                }
            }
        }
        // SAFETY: the first step has written `depth` floats for each of the tiles, and the panel
        // has as many rows of VECTORS vectors.
        unsafe { self.accumulate(s, &a, first == 0, &mut sums) };
        for (i, row) in sums.iter().enumerate() {
            for (j, &v) in row.iter().enumerate() {
                // SAFETY: a row of products holds the vectors of a panel.
                unsafe { s.store(out.add(i * self.product_row + j * S::LANES), v) };
            }
        }
    }

    /// sums += inputs weights
    ///
    /// # Safety
    /// The first ROWS pointers have `depth` readable floats, and the weights `depth` rows of
    /// VECTORS vectors.
    #[inline(always)]
    unsafe fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        s: S,
        a: &RowPointers,
        is_first: bool,
        sums: &mut [[S::V; VECTORS]; ROWS],
    ) {
        // Two sums for each result, of even and odd channels, where one for each would be too few
        // for the latency of a multiply-add.
        let mut odd = [[s.zero(); VECTORS]; ROWS];
        let split = VECTORS == 1;
        let mut k = 0;
        let Ahead { start: mut ahead, floats_per_round } = self.ahead;
        let round = if is_first { floats_per_round } else { 0 };
        while k + UNROLL <= self.depth {
            if STREAMED {
                for line in (0..round).step_by(LINE) {
                    s.prefetch_far(ahead.wrapping_add(line));
                }
                ahead = ahead.wrapping_add(round);
            } else if round > 0 {
                for line in (0..UNROLL * VECTORS * S::LANES).step_by(LINE) {
                    s.prefetch_far(ahead.wrapping_add(line));
                }
                ahead = ahead.wrapping_add(UNROLL * VECTORS * S::LANES);
            }
            for u in 0..UNROLL {
                let sums = if split && u % 2 == 1 { &mut odd } else { &mut *sums };
                // SAFETY: k + u < depth.
                unsafe { step_of::<S, W, ROWS, VECTORS>(s, a, k + u, self.weights, sums) };
            }
            k += UNROLL;
        }
        while k < self.depth {
            // SAFETY: k < depth.
            unsafe { step_of::<S, W, ROWS, VECTORS>(s, a, k, self.weights, sums) };
            k += 1;
        }
        if split {
            for (sums, odd) in sums.iter_mut().zip(&odd) {
                for (sum, odd) in sums.iter_mut().zip(odd) {
                    *sum = s.add(*sum, *odd);
                }
            }
        }
    }
}
