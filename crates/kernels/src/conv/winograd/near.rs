//! Convolutions of few channels, whose filters are kept transformed: a task takes a block of tiles
//! through all three steps, so that what is between them stays in the second-level cache.

use super::product::{Ahead, Position, UNROLL};
use super::tiles::{LINE, Layout, Tiles, aligned};
use super::transform::{F2, F4, F4Enlarged, Transform};
use super::{ConvShape, Job, Task, Winograd, WinogradWeights};
use crate::gemm::Precision;
use crate::gemm::micro::{Bf16Pairs, Floats, Words};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, pick_bf16, run, variants};
use crate::pool::{Pool, part};
use std::marker::PhantomData;
use std::ops::Range;

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

/// Bytes of weights that stay in the second-level cache from one use to the next.
const NEAR_BYTES: usize = 128 << 10;

/// Computes the convolution with the threads of `pool`.
pub(super) fn execute(pool: &Pool, job: &Job<'_>, blocks: &Blocks, scratch: &mut [f32]) {
    let threads = pool.threads();
    let scratch = aligned(scratch, blocks.scratch_len(threads) - LINE);
    let block = entry(job.weights);
    pool.run_numbered(blocks.tasks(), &|thread, index| {
        block(&Piece {
            job,
            tiles: blocks.tiles,
            layout: blocks.layout,
            scratch: scratch.get().wrapping_add(thread * blocks.layout.thread_len()),
            block: blocks.tiles_of(index),
            panels: blocks.panels_of(index),
        });
    });
}

/// What a task computes: a block of tiles for a group of panels of outputs.
pub(super) struct Piece<'a> {
    pub job: &'a Job<'a>,
    pub tiles: Tiles,
    pub layout: Layout,
    /// [`Layout::thread_len`] floats on a cache line, which this task alone uses.
    pub scratch: *mut f32,
    pub block: Range<usize>,
    pub panels: Range<usize>,
}

pub(super) type Entry = fn(&Piece<'_>);

/// The function for pieces of a convolution with these weights.
pub(super) fn entry(weights: &WinogradWeights) -> Entry {
    match weights.precision() {
        Precision::F32 => pick(VARIANTS, weights.isa()),
        Precision::Bf16 => pick_bf16!(weights.isa(), block_of_pairs: Entry),
        Precision::Int8 => unreachable!("`Winograd::rounding` never asks for it"),
    }
}

static VARIANTS: &[Variant<Entry>] = variants!(block_of_floats: Entry);

fn block_of_floats<S: Simd>(piece: &Piece<'_>) {
    block::<S, Floats>(piece);
}

fn block_of_pairs<S: Simd>(piece: &Piece<'_>) {
    block::<S, Bf16Pairs>(piece);
}

fn block<S: Simd, W: Words>(piece: &Piece<'_>) {
    match piece.job.weights.kind() {
        Winograd::F2 => run::<S, _>(Block::<F2, W>::new(piece)),
        Winograd::F4 => run::<S, _>(Block::<F4, W>::new(piece)),
        Winograd::F4Enlarged => run::<S, _>(Block::<F4Enlarged, W>::new(piece)),
    }
}

/// A piece with its types.
struct Block<'a, T, W> {
    task: Task<'a, T, W>,
    tiles: Range<usize>,
    panels: Range<usize>,
}

impl<'a, T: Transform, W: Words> Block<'a, T, W> {
    fn new(piece: &Piece<'a>) -> Self {
        let Piece { job, tiles, layout, scratch, .. } = *piece;
        let products = scratch.wrapping_add(layout.chunk_len());
        let task = Task::new(job, tiles, layout, scratch, products);
        Self { task, tiles: piece.block.clone(), panels: piece.panels.clone() }
    }
}

impl<T: Transform, W: Words> SimdOp for Block<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (slot, tile) in self.tiles.clone().enumerate() {
            self.task.transform_input(s, slot, tile);
        }
        self.task.clear_absent(self.tiles.len());
        for panel in self.panels.clone() {
            for tile in self.tiles.clone() {
                self.task.prefetch(s, tile, panel);
            }
            self.multiply(s, panel);
            for (slot, tile) in self.tiles.clone().enumerate() {
                self.task.transform_output(s, slot, tile, panel);
            }
        }
    }
}

impl<T: Transform, W: Words> Block<'_, T, W> {
    /// The products of the block with one panel.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, panel: usize) {
        let (job, layout) = (self.task.job, &self.task.layout);
        let panels = job.weights.packed().panels();
        let depth = job.shape.in_channels.div_ceil(W::CHANNELS);
        let vectors = panels.layout.panel_vectors(panel);
        let weights = panels.panel(panel, 0);
        let far = job.weights.size_bytes() > NEAR_BYTES;
        let len = depth * vectors * S::LANES;
        for position in (0..T::IN * T::IN).filter(|&at| T::is_present(at)) {
            let weights = weights[position * len..].as_ptr();
            // The next position's weights.
            let ahead = Ahead {
                start: weights.wrapping_add(len),
                floats_per_round: if far { UNROLL * vectors * S::LANES } else { 0 },
            };
            s.vectorize(Position::<W, false> {
                tiles: self.tiles.len(),
                depth,
                vectors,
                inputs: self.task.inputs.wrapping_add(position * layout.input_step),
                input_row: layout.input_row,
                weights,
                products: self.task.products.wrapping_add(position * layout.product_step),
                product_row: layout.product_row,
                adds: false,
                ahead,
                words: PhantomData,
            });
        }
    }
}

/// The cuts of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub tiles: Tiles,
    pub layout: Layout,
    /// Blocks of tiles.
    blocks: usize,
    panels: usize,
    groups: usize,
}

impl Blocks {
    pub fn new(
        isa: Isa,
        threads: usize,
        kind: Winograd,
        precision: Precision,
        shape: &ConvShape,
    ) -> Self {
        let tiles = Tiles::new(kind, shape);
        let chunk = shape.in_channels.next_multiple_of(isa.lanes());
        let of_one = Layout::new(isa, kind, precision, chunk, 1, 1);
        let panels = shape.out_channels.div_ceil(of_one.product_row);
        let groups = most_tiles(isa, &of_one) / isa.tile_rows();
        let cut = Cut { tiles: tiles.count, row_groups: groups, panels, threads, isa };
        let (blocks, groups) = cut.blocks_and_groups();
        let largest = tiles.count.div_ceil(blocks);
        let layout = Layout::new(isa, kind, precision, chunk, largest, largest);
        Self { tiles, layout, blocks, panels, groups }
    }

    pub fn tasks(&self) -> usize {
        if self.tiles.count == 0 { 0 } else { self.blocks * self.groups }
    }

    /// The tiles of a task. Consecutive tasks share a group of panels.
    pub fn tiles_of(&self, task: usize) -> Range<usize> {
        part(self.tiles.count, self.blocks, task % self.blocks)
    }

    /// The panels of a task.
    pub fn panels_of(&self, task: usize) -> Range<usize> {
        part(self.panels, self.groups, task / self.blocks)
    }

    pub fn scratch_len(&self, threads: usize) -> usize {
        // Any thread may claim a task, but a single one stays with the caller.
        let threads = if self.tasks() > 1 { threads } else { 1 };
        threads * self.layout.thread_len() + LINE
    }
}

/// Tiles in a block whose `layout` this is: whole rows of the micro-kernel's tile.
pub(super) fn most_tiles(isa: Isa, layout: &Layout) -> usize {
    let tile_bytes = layout.positions * (layout.input_row + layout.product_row) * size_of::<f32>();
    let groups = BLOCK_BYTES / tile_bytes / isa.tile_rows();
    groups.clamp(1, MOST_ROW_GROUPS) * isa.tile_rows()
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
