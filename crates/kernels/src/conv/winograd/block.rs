//! How a convolution is cut into tiles, blocks of tiles and groups of panels, and where a thread
//! keeps a block between the steps.

use super::{ConvShape, Winograd};
use crate::aligned::LINE_BYTES;
use crate::gemm::SendPointer;
use crate::gemm::driver::part;
use crate::isa::Isa;
use std::ops::Range;

/// Floats in a cache line.
const LINE: usize = LINE_BYTES / size_of::<f32>();

/// Bytes of a block of tiles between the steps: what is left of a second-level cache of 512 KiB
/// beside the weights that stream through it.
const BLOCK_BYTES: usize = 400 << 10;

/// Rows of the micro-kernel's tile in a block, above which weights are shared well enough.
const MOST_ROW_GROUPS: usize = 4;

/// Rows of the micro-kernel's tile that a block has at least where that leaves no thread idle: each
/// block reads all weights.
const LEAST_ROW_GROUPS: usize = 3;

/// Tasks for each thread, so that a thread that was held up leaves little behind.
const TASKS_PER_THREAD: usize = 4;

/// Vectors that a group of panels has at least, so that transforming its inputs, which each group
/// does for itself, is small beside using them.
const LEAST_GROUP_VECTORS: usize = 8;

/// The cuts of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Tiles from left to right and from top to bottom of one picture.
    pub columns: usize,
    pub rows: usize,
    /// Tiles of all pictures.
    tiles: usize,
    /// Blocks of tiles.
    blocks: usize,
    panels: usize,
    groups: usize,
    /// Positions in a tile of inputs.
    pub positions: usize,
    /// Floats of one tile's transformed inputs at one position: the channels in whole vectors.
    pub input_row: usize,
    /// Floats of one tile's products at one position: the columns of a panel.
    pub product_row: usize,
    /// Floats from one position's transformed inputs, or products, to the next one's. A line more
    /// than the rows, so that the positions of a tile do not fall into few sets of the cache.
    pub input_step: usize,
    pub product_step: usize,
}

impl Blocks {
    pub fn new(isa: Isa, threads: usize, kind: Winograd, shape: &ConvShape) -> Self {
        let size = [shape.out_height(), shape.out_width()];
        let [rows, columns] = size.map(|pixels| pixels.div_ceil(kind.outputs()));
        let tiles = shape.batch * rows * columns;
        let positions = kind.side() * kind.side();
        let input_row = shape.in_channels.next_multiple_of(isa.lanes());
        let product_row = isa.tile_vectors() * isa.lanes();
        let panels = shape.out_channels.div_ceil(product_row);
        let tile_bytes = positions * (input_row + product_row) * size_of::<f32>();
        let groups = (BLOCK_BYTES / tile_bytes / isa.tile_rows()).clamp(1, MOST_ROW_GROUPS);
        let cut = Cut { tiles, row_groups: groups, panels, threads, isa };
        let (blocks, groups) = cut.blocks_and_groups();
        let largest = tiles.div_ceil(blocks);
        let step = |row: usize| (largest * row).next_multiple_of(LINE) + LINE;
        Self {
            size,
            columns,
            rows,
            tiles,
            blocks,
            panels,
            groups,
            positions,
            input_row,
            product_row,
            input_step: step(input_row),
            product_step: step(product_row),
        }
    }

    pub fn tasks(&self) -> usize {
        if self.tiles == 0 { 0 } else { self.blocks * self.groups }
    }

    /// The tiles of a task. Consecutive tasks share a group of panels.
    pub fn tiles_of(&self, task: usize) -> Range<usize> {
        part(self.tiles, self.blocks, task % self.blocks)
    }

    /// The panels of a task.
    pub fn panels_of(&self, task: usize) -> Range<usize> {
        part(self.panels, self.groups, task / self.blocks)
    }

    /// Floats that one thread needs.
    fn thread_len(&self) -> usize {
        self.positions * (self.input_step + self.product_step)
    }

    pub fn scratch_len(&self, threads: usize) -> usize {
        // Any thread may claim a task, but a single one stays with the caller.
        let threads = if self.tasks() > 1 { threads } else { 1 };
        threads * self.thread_len() + LINE
    }
}

/// What decides how a convolution is cut.
struct Cut {
    tiles: usize,
    /// Rows of the micro-kernel's tile that a block may have.
    row_groups: usize,
    panels: usize,
    threads: usize,
    isa: Isa,
}

impl Cut {
    /// The number of blocks of tiles, and of groups of panels.
    fn blocks_and_groups(&self) -> (usize, usize) {
        let Self { tiles, row_groups, panels, threads, isa } = *self;
        let wanted = threads * TASKS_PER_THREAD;
        let fewest = tiles.div_ceil(row_groups * isa.tile_rows());
        let enough = tiles / (LEAST_ROW_GROUPS.min(row_groups) * isa.tile_rows());
        let blocks = fewest.max(wanted.min(enough)).max(1);
        let most_groups = (panels * isa.tile_vectors() / LEAST_GROUP_VECTORS).max(1);
        if blocks * most_groups >= threads {
            return (blocks, wanted.div_ceil(blocks).min(most_groups));
        }
        // Something to do for every thread comes before everything else.
        let blocks = blocks.max(threads.div_ceil(panels).min(tiles / isa.tile_rows()));
        (blocks, threads.div_ceil(blocks).min(panels))
    }
}

/// Scratch memory, cut into one part for each thread.
#[derive(Clone, Copy)]
pub(super) struct Scratch(SendPointer);

impl Scratch {
    /// Panics when `scratch` is shorter than `blocks` need.
    pub fn new(scratch: &mut [f32], blocks: &Blocks, threads: usize) -> Self {
        let needed = blocks.scratch_len(threads);
        assert!(scratch.len() >= needed, "scratch: {} floats of {needed}", scratch.len());
        let start = scratch.as_ptr().align_offset(LINE_BYTES).min(LINE);
        Self(SendPointer(scratch[start..].as_mut_ptr()))
    }

    /// Where a thread keeps transformed inputs and products.
    pub fn of(&self, blocks: &Blocks, thread: usize) -> (*mut f32, *mut f32) {
        let inputs = self.0.get().wrapping_add(thread * blocks.thread_len());
        (inputs, inputs.wrapping_add(blocks.positions * blocks.input_step))
    }
}
