//! Where the tiles of a convolution are, and how what is between the steps lies in memory.

use super::{ConvShape, Winograd};
use crate::aligned::LINE_BYTES;
use crate::gemm::{Precision, SendPointer};
use crate::isa::Isa;

/// Floats in a cache line.
pub(super) const LINE: usize = LINE_BYTES / size_of::<f32>();

/// The tiles that cover the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Tiles from left to right and from top to bottom of one picture.
    pub columns: usize,
    pub rows: usize,
    /// Tiles of all pictures.
    pub count: usize,
}

/// Where a tile is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub picture: usize,
    /// Its first output pixel.
    pub y: usize,
    pub x: usize,
}

impl Tiles {
    pub fn new(kind: Winograd, shape: &ConvShape) -> Self {
        let size = [shape.out_height(), shape.out_width()];
        let [rows, columns] = size.map(|pixels| pixels.div_ceil(kind.outputs()));
        Self { size, columns, rows, count: shape.batch * rows * columns }
    }

    /// Of tiles with `side` pixels of output.
    pub fn place(&self, side: usize, tile: usize) -> Place {
        let (row, column) = (tile / self.columns, tile % self.columns);
        let (picture, row) = (row / self.rows, row % self.rows);
        Place { picture, y: row * side, x: column * side }
    }
}

/// How transformed inputs, `[chunk of channels, position, tile, channel]`, and products,
/// `[position, tile, column of a panel]`, lie in scratch memory.
///
/// From position to position there is a line more than the rows, so that the positions of a tile
/// do not fall into few sets of the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Positions in a tile of inputs.
    pub positions: usize,
    /// Channels of a chunk: whole vectors.
    pub chunk: usize,
    /// Words of a chunk of one tile.
    pub input_row: usize,
    /// Words from one position's transformed inputs, or products, to the next one's.
    pub input_step: usize,
    pub product_step: usize,
    /// Columns of a panel.
    pub product_row: usize,
}

impl Layout {
    /// Of the inputs of `input_tiles` tiles and the products of `product_tiles`.
    pub fn new(
        isa: Isa,
        kind: Winograd,
        precision: Precision,
        chunk: usize,
        input_tiles: usize,
        product_tiles: usize,
    ) -> Self {
        let product_row = isa.tile_vectors() * isa.lanes();
        let input_row = chunk / precision.channels_per_word();
        let step = |len: usize| len.next_multiple_of(LINE) + LINE;
        Self {
            positions: kind.side() * kind.side(),
            chunk,
            input_row,
            input_step: step(input_tiles * input_row),
            product_step: step(product_tiles * product_row),
            product_row,
        }
    }

    /// Words of one chunk's transformed inputs.
    pub fn chunk_len(&self) -> usize {
        self.positions * self.input_step
    }

    /// Floats of both, as a thread needs them that takes tiles through all steps.
    pub fn thread_len(&self) -> usize {
        self.chunk_len() + self.products_len()
    }

    /// Floats of the products.
    pub fn products_len(&self) -> usize {
        self.positions * self.product_step
    }
}

/// The start of scratch memory on a cache line; panics when less than `needed` floats are left
/// with what that takes, which is less than [`LINE`].
pub(super) fn aligned(scratch: &mut [f32], needed: usize) -> SendPointer {
    assert!(scratch.len() >= needed + LINE, "scratch: {} floats of {needed}", scratch.len());
    let start = scratch.as_ptr().align_offset(LINE_BYTES).min(LINE);
    SendPointer(scratch[start..].as_mut_ptr())
}
