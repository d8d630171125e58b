//! The scores of a tile of queries: products with all panels of a block of keys in one call, since a
//! head has few channels and a panel is done within some hundred cycles.

use super::pack::HeadLayout;
use super::tile::{KEY_BLOCK, Scores};
use crate::gemm::micro::{RowPointers, Words, step_of};
use crate::isa::{Simd, SimdOp};
use std::marker::PhantomData;
use std::ops::Range;

/// Words in one round of the inner loop.
const UNROLL: usize = 4;

/// scores = q k^T of a block of keys, padded to whole panels.
pub(super) struct KeyPanels<'a, W> {
    /// The queries: `layout.head_words` words of channels each.
    pub a: RowPointers,
    pub rows: usize,
    pub layout: &'a HeadLayout,
    /// At most [`KEY_BLOCK`], from a multiple of it on.
    pub keys: Range<usize>,
    /// A head's packed keys and values.
    pub packed: *const f32,
    pub scores: &'a mut Scores,
    pub words: PhantomData<W>,
}

impl<W: Words> SimdOp for KeyPanels<'_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        match self.rows {
            1 => self.panels::<S, 1>(s),
            2 => self.panels::<S, 2>(s),
            3 => self.panels::<S, 3>(s),
            4 => self.panels::<S, 4>(s),
            5 if S::TILE_ROWS >= 5 => self.panels::<S, 5>(s),
            6 if S::TILE_ROWS >= 6 => self.panels::<S, 6>(s),
            rows => unreachable!("a tile of {rows} queries"),
        }
    }
}

impl<W: Words> KeyPanels<'_, W> {
    #[inline(always)]
    fn panels<S: Simd, const ROWS: usize>(&mut self, s: S) {
        let mut key = self.keys.start;
        while key < self.keys.end {
            match self.layout.key_width(key) / S::LANES {
                1 => self.panel::<S, ROWS, 1>(s, key),
                2 if S::TILE_VECTORS >= 2 => self.panel::<S, ROWS, 2>(s, key),
                3 if S::TILE_VECTORS >= 3 => self.panel::<S, ROWS, 3>(s, key),
                4 if S::TILE_VECTORS >= 4 => self.panel::<S, ROWS, 4>(s, key),
                vectors => unreachable!("a panel of {vectors} vectors"),
            }
            key += S::TILE_VECTORS * S::LANES;
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const VECTORS: usize>(&mut self, s: S, key: usize) {
        let (a, b) = (self.a, self.packed.wrapping_add(self.layout.key_panel(key)));
        let depth = self.layout.head_words;
        let mut sums = [[s.zero(); VECTORS]; ROWS];
        let mut k = 0;
        while k + UNROLL <= depth {
            for u in 0..UNROLL {
                // SAFETY: queries have `head_words` words, and so many rows has a packed panel.
                unsafe { step_of::<S, W, ROWS, VECTORS>(s, &a, k + u, b, &mut sums) };
            }
            k += UNROLL;
        }
        while k < depth {
            // SAFETY: as above.
            unsafe { step_of::<S, W, ROWS, VECTORS>(s, &a, k, b, &mut sums) };
            k += 1;
        }
        let out = self.scores.0[key - self.keys.start..].as_mut_ptr();
        for (i, row) in sums.iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                // SAFETY: the width of a panel divides KEY_BLOCK, so that its columns are inside
                // each of the rows of the scores.
                unsafe { s.store(out.add(i * KEY_BLOCK + j * S::LANES), *v) };
            }
        }
    }
}
