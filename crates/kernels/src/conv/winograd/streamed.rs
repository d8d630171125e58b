//! Convolutions of many channels, whose filters are transformed at each use. A stage transforms
//! the inputs of many tiles, which all threads then share; a task multiplies a block of them by one
//! panel of outputs, a chunk of channels at a time, and transforms the products to pixels.
//!
//! A chunk's transformed filters, which a task reads once for every few tiles, and its products stay
//! in the second-level cache. Its taps, which come from memory, are asked for a chunk ahead.

use super::filter::Filters;
use super::product::{Ahead, Position, UNROLL};
use super::tiles::{LINE, Layout, Tiles, aligned};
use super::transform::{F2, F4, F4Enlarged, Transform};
use super::weights::TAPS;
use super::{ConvShape, Job, Task, Winograd};
use crate::gemm::micro::{Bf16Pairs, Floats, Words};
use crate::gemm::{Precision, SendPointer};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, pick_bf16, run, variants};
use crate::pool::{Pool, part};
use std::marker::PhantomData;
use std::ops::Range;

/// Bytes of the transformed inputs of a stage, which every panel reads from the third-level cache.
const STAGE_BYTES: usize = 4 << 20;

/// Tiles of a stage at least, however many bytes they take: each stage transforms all filters.
const LEAST_STAGE_TILES: usize = 64;

/// Bytes of a chunk's transformed filters, and of a block's products, in the second-level cache.
const CHUNK_BYTES: usize = 600 << 10;
const PRODUCT_BYTES: usize = 600 << 10;

/// Tasks for each thread while inputs are transformed.
const TASKS_PER_THREAD: usize = 8;

/// What transforming a vector of filters takes, in multiply-adds for each position.
pub(super) const FILTER_COST: usize = 4;

/// Computes the convolution with the threads of `pool`.
pub(super) fn execute(pool: &Pool, job: &Job<'_>, stages: &Stages, scratch: &mut [f32]) {
    let scratch = aligned(scratch, stages.scratch_len(pool.threads()) - LINE);
    let isa = job.weights.isa();
    let Entries { gather, multiply } = match job.weights.precision() {
        Precision::F32 => pick(VARIANTS, isa)(),
        Precision::Bf16 => pick_bf16!(isa, of_pairs: EntriesFn)(),
        Precision::Int8 => unreachable!("`Winograd::rounding` never asks for it"),
    };
    for stage in 0..stages.stages {
        let tiles = part(stages.tiles.count, stages.stages, stage);
        let work = Work { job, stages, scratch, tiles };
        let parts = work.gather_tasks(pool.threads());
        pool.run(parts, &|index| gather(&work, part(work.tiles.len(), parts, index)));
        let tasks = work.blocks() * stages.panels;
        pool.run_numbered(tasks, &|thread, index| multiply(&work, thread, index));
    }
}

/// How a convolution is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stages {
    pub tiles: Tiles,
    pub layout: Layout,
    /// Parts of the tiles whose inputs are transformed at once.
    stages: usize,
    /// Tiles that a task has at most.
    block: usize,
    panels: usize,
    /// Words from one position's transformed filters to the next one's.
    filter_step: usize,
    chunks: usize,
}

impl Stages {
    pub fn new(
        isa: Isa,
        threads: usize,
        kind: Winograd,
        precision: Precision,
        shape: &ConvShape,
    ) -> Self {
        let tiles = Tiles::new(kind, shape);
        let positions = kind.side() * kind.side();
        let width = isa.tile_vectors() * isa.lanes();
        let panels = shape.out_channels.div_ceil(width);
        let channel_bytes = size_of::<f32>() / precision.channels_per_word();
        let most_chunk = CHUNK_BYTES / (positions * width * channel_bytes);
        let chunks = shape.in_channels.div_ceil(most_chunk);
        let chunk = shape.in_channels.div_ceil(chunks).next_multiple_of(isa.lanes());
        let tile_bytes = positions * chunk * chunks * channel_bytes;
        let most_tiles = (STAGE_BYTES / tile_bytes).max(LEAST_STAGE_TILES);
        let stages = tiles.count.div_ceil(most_tiles).max(1);
        let stage_tiles = tiles.count.div_ceil(stages);
        let most_block = PRODUCT_BYTES / (positions * width * size_of::<f32>());
        let block = best_block(stage_tiles, most_block, panels, threads);
        let layout = Layout::new(isa, kind, precision, chunk, stage_tiles, block);
        let filter_step = (layout.input_row * width).next_multiple_of(LINE) + LINE;
        let chunks = shape.in_channels.div_ceil(chunk);
        Self { tiles, layout, stages, block, panels, filter_step, chunks }
    }

    /// Blocks of tiles in all: how often the filters are transformed.
    pub fn blocks(&self) -> usize {
        self.stages * self.tiles.count.div_ceil(self.stages).div_ceil(self.block)
    }

    /// Floats of the transformed inputs of a stage.
    fn inputs_len(&self) -> usize {
        self.chunks * self.layout.chunk_len()
    }

    /// Floats that one thread needs: filters, then products.
    fn thread_len(&self) -> usize {
        self.layout.positions * self.filter_step + self.layout.products_len()
    }

    pub fn scratch_len(&self, threads: usize) -> usize {
        self.inputs_len() + threads * self.thread_len() + LINE
    }
}

/// The number of tiles in a block, of at most `most`, with which the threads are done first: each
/// block transforms the filters of its panel for itself, and a thread without a block waits.
pub(super) fn best_block(tiles: usize, most: usize, panels: usize, threads: usize) -> usize {
    let block_of = |blocks: usize| tiles.div_ceil(blocks);
    let fewest = tiles.div_ceil(most).max(1);
    let time = |blocks: usize| {
        let rounds = (blocks * panels).div_ceil(threads);
        rounds * (FILTER_COST + block_of(blocks))
    };
    let blocks = (fewest..=tiles.max(fewest)).min_by_key(|&blocks| time(blocks));
    block_of(blocks.unwrap_or(fewest)).max(1)
}

/// One stage of a convolution.
struct Work<'a> {
    job: &'a Job<'a>,
    stages: &'a Stages,
    /// The stage's transformed inputs, then a part for each thread.
    scratch: SendPointer,
    tiles: Range<usize>,
}

type Gather = fn(&Work<'_>, Range<usize>);
type Multiply = fn(&Work<'_>, usize, usize);

/// The two steps of a stage.
struct Entries {
    gather: Gather,
    multiply: Multiply,
}

type EntriesFn = fn() -> Entries;

static VARIANTS: &[Variant<EntriesFn>] = variants!(of_floats: EntriesFn);

fn of_floats<S: Simd>() -> Entries {
    Entries { gather: gather::<S, Floats>, multiply: multiply::<S, Floats> }
}

fn of_pairs<S: Simd>() -> Entries {
    Entries { gather: gather::<S, Bf16Pairs>, multiply: multiply::<S, Bf16Pairs> }
}

fn gather<S: Simd, W: Words>(work: &Work<'_>, slots: Range<usize>) {
    match work.job.weights.kind() {
        Winograd::F2 => run::<S, _>(Gathered::<F2, W>::new(work, slots)),
        Winograd::F4 => run::<S, _>(Gathered::<F4, W>::new(work, slots)),
        Winograd::F4Enlarged => run::<S, _>(Gathered::<F4Enlarged, W>::new(work, slots)),
    }
}

fn multiply<S: Simd, W: Words>(work: &Work<'_>, thread: usize, index: usize) {
    match work.job.weights.kind() {
        Winograd::F2 => run::<S, _>(Multiplied::<F2, W>::new(work, thread, index)),
        Winograd::F4 => run::<S, _>(Multiplied::<F4, W>::new(work, thread, index)),
        Winograd::F4Enlarged => run::<S, _>(Multiplied::<F4Enlarged, W>::new(work, thread, index)),
    }
}

impl<'a> Work<'a> {
    fn gather_tasks(&self, threads: usize) -> usize {
        self.tiles.len().min(threads * TASKS_PER_THREAD)
    }

    fn blocks(&self) -> usize {
        self.tiles.len().div_ceil(self.stages.block)
    }

    fn task<T: Transform, W: Words>(&self, products: *mut f32) -> Task<'a, T, W> {
        Task::new(self.job, self.stages.tiles, self.stages.layout, self.scratch.get(), products)
    }

    /// The taps of a panel's filters from a channel on, a multiple of four.
    fn taps(&self, panel: usize, channel: usize) -> *const f32 {
        let panels = self.job.weights.packed().panels();
        let word = channel * TAPS / panels.layout.precision.channels_per_word();
        panels.panel(panel, word).as_ptr()
    }
}

/// The first step, for some tiles of the stage.
struct Gathered<'a, T, W> {
    task: Task<'a, T, W>,
    slots: Range<usize>,
    first_tile: usize,
}

impl<'a, T: Transform, W: Words> Gathered<'a, T, W> {
    fn new(work: &Work<'a>, slots: Range<usize>) -> Self {
        let task = work.task(std::ptr::null_mut());
        Self { task, slots, first_tile: work.tiles.start }
    }
}

impl<T: Transform, W: Words> SimdOp for Gathered<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for slot in self.slots.clone() {
            self.task.transform_input(s, slot, self.first_tile + slot);
        }
    }
}

/// The other steps, for a block of the stage's tiles and one panel.
struct Multiplied<'a, T, W> {
    work: &'a Work<'a>,
    task: Task<'a, T, W>,
    /// Of the stage.
    slots: Range<usize>,
    panel: usize,
    /// Transformed filters, in scratch memory.
    filters: *mut f32,
    /// The taps that this thread will probably read after this task's.
    next_taps: *const f32,
}

impl<'a, T: Transform, W: Words> Multiplied<'a, T, W> {
    /// Consecutive tasks share a block, whose inputs then stay in cache.
    fn new(work: &'a Work<'a>, thread: usize, index: usize) -> Self {
        let stages = work.stages;
        let filters = stages.inputs_len() + thread * stages.thread_len();
        let filters = work.scratch.get().wrapping_add(filters);
        let products = filters.wrapping_add(stages.layout.positions * stages.filter_step);
        let (block, panel) = (index / stages.panels, index % stages.panels);
        Self {
            work,
            task: work.task(products),
            slots: part(work.tiles.len(), work.blocks(), block),
            panel,
            filters,
            next_taps: work.taps((panel + 1) % stages.panels, 0),
        }
    }
}

impl<T: Transform, W: Words> SimdOp for Multiplied<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (task, slots) = (&self.task, self.slots.clone());
        let channels = task.job.shape.in_channels;
        task.clear_absent(slots.len());
        for start in (0..channels).step_by(task.layout.chunk) {
            let end = (start + task.layout.chunk).min(channels);
            if end == channels {
                for slot in slots.clone() {
                    task.prefetch(s, self.work.tiles.start + slot, self.panel);
                }
            }
            self.multiply(s, start..end);
        }
        for (slot, tile) in slots.enumerate().map(|(i, slot)| (i, self.work.tiles.start + slot)) {
            task.transform_output(s, slot, tile, self.panel);
        }
    }
}

impl<T: Transform, W: Words> Multiplied<'_, T, W> {
    /// Adds the products of a chunk of channels.
    #[inline(always)]
    fn multiply<S: Simd>(&self, s: S, channels: Range<usize>) {
        let (task, layout) = (&self.task, &self.task.layout);
        let step = self.work.stages.filter_step;
        let panels = task.job.weights.packed().panels();
        let vectors = panels.layout.panel_vectors(self.panel);
        let stored = panels.layout.precision;
        s.vectorize(Filters::<T, W> {
            channels: channels.len(),
            vectors,
            taps: self.work.taps(self.panel, channels.start),
            byte_scales: match stored {
                Precision::Int8 => Some(panels.integers(self.panel)[1].as_ptr()),
                Precision::F32 | Precision::Bf16 => None,
            },
            out: self.filters,
            step,
            kinds: PhantomData,
        });
        let chunk = channels.start / layout.chunk;
        let inputs = task.inputs.wrapping_add(chunk * layout.chunk_len());
        let inputs = inputs.wrapping_add(self.slots.start * layout.input_row);
        let taps = match channels.end < task.job.shape.in_channels {
            true => self.work.taps(self.panel, channels.end),
            false => self.next_taps,
        };
        // The taps of as many channels again, a part of them at each position.
        let taps_len = channels.len() * TAPS / stored.channels_per_word() * vectors * S::LANES;
        let share = taps_len.div_ceil(T::IN * T::IN).next_multiple_of(LINE);
        let depth = channels.len().div_ceil(W::CHANNELS);
        let rounds = (depth / UNROLL).max(1);
        for position in (0..T::IN * T::IN).filter(|&at| T::is_present(at)) {
            s.vectorize(Position::<W, true> {
                tiles: self.slots.len(),
                depth,
                vectors,
                inputs: inputs.wrapping_add(position * layout.input_step),
                input_row: layout.input_row,
                weights: self.filters.wrapping_add(position * step),
                products: task.products.wrapping_add(position * layout.product_step),
                product_row: layout.product_row,
                adds: channels.start > 0,
                ahead: Ahead {
                    start: taps.wrapping_add(position * share),
                    floats_per_round: share.div_ceil(rounds).next_multiple_of(LINE),
                },
                words: PhantomData,
            });
        }
    }
}
