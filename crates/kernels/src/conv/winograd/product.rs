//! The second step: at every position of the tiles a matrix product of `[tiles, inputs]` by
//! `[inputs, a panel of outputs]`.

use super::Task;
use super::transform::Transform;
use crate::aligned::LINE_BYTES;
use crate::gemm::driver::part;
use crate::gemm::micro::{RowPointers, step};
use crate::isa::{MAX_TILE_ROWS, Simd, SimdOp};

/// Bytes of weights that stay in the second-level cache from one use to the next.
const NEAR_BYTES: usize = 128 << 10;

/// Floats in a cache line.
const LINE: usize = LINE_BYTES / size_of::<f32>();

/// Channels in one round of the inner loop.
const UNROLL: usize = 4;

impl<T: Transform> Task<'_, T> {
    /// Products that are always zero; the output's transform reads them like the others.
    pub(super) fn clear_absent(&self, tiles: usize) {
        let Some(absent) = T::ABSENT else { return };
        let blocks = &self.job.blocks;
        for i in 0..T::IN {
            for position in [absent * T::IN + i, i * T::IN + absent] {
                let start = self.products.wrapping_add(position * blocks.product_step);
                // SAFETY: the position's products, in this thread's part of the scratch memory.
                unsafe { start.write_bytes(0, tiles * blocks.product_row) };
            }
        }
    }

    /// The products of the first `tiles` places of the block with one panel.
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(&self, s: S, tiles: usize, panel: usize) {
        let (blocks, panels) = (&self.job.blocks, self.job.weights.packed.panels());
        let present = |at: &usize| {
            T::ABSENT.is_none_or(|absent| at / T::IN != absent && at % T::IN != absent)
        };
        let depth = self.job.shape.in_channels;
        let vectors = panels.layout.panel_vectors(panel);
        let weights = panels.panel(panel, 0);
        let far = self.job.weights.size_bytes() > NEAR_BYTES;
        for position in (0..T::IN * T::IN).filter(present) {
            s.vectorize(Position {
                tiles,
                depth,
                vectors,
                inputs: self.inputs.wrapping_add(position * blocks.input_step),
                input_row: blocks.input_row,
                weights: weights[position * depth * vectors * S::LANES..].as_ptr(),
                products: self.products.wrapping_add(position * blocks.product_step),
                product_row: blocks.product_row,
                far,
            });
        }
    }
}

/// One matrix product, `tiles` rows by `vectors`, in this thread's part of the scratch memory.
struct Position {
    tiles: usize,
    depth: usize,
    vectors: usize,
    /// `[tiles, depth]` with `input_row` floats from tile to tile.
    inputs: *const f32,
    input_row: usize,
    /// `[depth, vectors * LANES]`
    weights: *const f32,
    /// `[tiles, vectors * LANES]` with `product_row` floats from tile to tile.
    products: *mut f32,
    product_row: usize,
    /// Whether the weights come from memory, and the next position's are to be asked for.
    far: bool,
}

impl SimdOp for Position {
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

impl Position {
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
        let mut sums = [[s.zero(); VECTORS]; ROWS];
        let far = self.far && first == 0;
        // SAFETY: the first step has written `depth` floats for each of the tiles, and the panel
        // has as many rows of VECTORS vectors.
        unsafe { self.accumulate(s, &a, far, &mut sums) };
        for (i, row) in sums.iter().enumerate() {
            let out = self.products.wrapping_add((first + i) * self.product_row);
            for (j, &v) in row.iter().enumerate() {
                // SAFETY: a row of products holds the vectors of a panel.
                unsafe { s.store(out.add(j * S::LANES), v) };
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
        far: bool,
        sums: &mut [[S::V; VECTORS]; ROWS],
    ) {
        // Two sums for each result, of even and odd channels, where one for each would be too few
        // for the latency of a multiply-add.
        let mut odd = [[s.zero(); VECTORS]; ROWS];
        let split = VECTORS == 1;
        let mut k = 0;
        let round = UNROLL * VECTORS * S::LANES;
        let mut next = self.weights.wrapping_add(self.depth * VECTORS * S::LANES);
        while k + UNROLL <= self.depth {
            if far {
                for line in (0..round).step_by(LINE) {
                    s.prefetch_far(next.wrapping_add(line));
                }
                next = next.wrapping_add(round);
            }
            for u in 0..UNROLL {
                let sums = if split && u % 2 == 1 { &mut odd } else { &mut *sums };
                // SAFETY: k + u < depth.
                unsafe { step(s, a, k + u, self.weights, sums) };
            }
            k += UNROLL;
        }
        while k < self.depth {
            // SAFETY: k < depth.
            unsafe { step(s, a, k, self.weights, sums) };
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
