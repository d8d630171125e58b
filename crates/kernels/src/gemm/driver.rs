//! Splits a product over threads and caches: tasks are blocks of rows by groups of panels.
//! Consecutive tasks share a group, whose weights then stay in the second-level cache.

use super::epilogue::Epilogue;
use super::layout::{PanelLayout, Panels, Precision};
use super::micro::{Bf16Pairs, Floats, Quads, RowPointers, Words};
use super::pack::SendPointer;
use super::pass::Pass;
use crate::isa::{Simd, Variant, pick, pick_bf16, pick_int8, variants};
use crate::pool::Pool;
use std::ops::Range;

/// Taps that one pass of the micro-kernel covers; larger kernels take several passes.
pub(crate) const MAX_TAPS: usize = 9;

/// Bytes of weights that a task keeps in the second-level cache while it walks its rows: a third
/// of the 2 MiB of current server cores, as much again being on its way for the next pass.
const GROUP_BYTES: usize = 750 << 10;

/// Tasks for each thread, so that a thread that was held up leaves little behind.
const TASKS_PER_THREAD: usize = 16;

/// Multiply-adds of a task, below which claiming it is no longer small beside it.
const LEAST_PRODUCTS: usize = 1 << 17;

/// Tiles in a task, below which fetching its weights is no longer small beside using them.
const MIN_TILES: usize = 16;

/// Where the rows of A are.
pub(crate) trait Gather: Sync {
    /// Fills, for each tap of `taps`, the pointers of `rows` to the floats from `channel` on.
    /// Each has all the channels from there on readable.
    ///
    /// Where the channels of several taps follow each other in memory, one pointer stands for as
    /// many taps as are returned, each time: there are then as many times fewer pointers.
    fn fill(
        &self,
        rows: Range<usize>,
        taps: Range<usize>,
        channel: usize,
        pointers: &mut [RowPointers],
    ) -> usize;

    /// Floats from the place of a row to that of the row `rows` further on, where they are in line.
    fn distance(&self, rows: usize) -> usize;
}

/// One product: `rows` of A by packed weights, to `out`.
pub(crate) struct Job<'a> {
    pub gather: &'a dyn Gather,
    /// What the sums of each row are multiplied by, if they are integers.
    pub row_scales: Option<&'a [f32]>,
    pub weights: Panels<'a>,
    pub epilogue: &'a Epilogue<'a>,
    pub rows: usize,
    /// `[rows, columns]`, large enough: checked by the public entry.
    pub out: SendPointer,
    pub out_stride: usize,
    pub threads: usize,
    pub split: Split,
}

/// How a product is cut into tasks and passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Tiles in all, of heights that differ by at most one.
    pub tiles: usize,
    pub row_blocks: usize,
    pub panel_groups: usize,
    /// Taps in one pass.
    pub pass_taps: usize,
    /// Channels in one pass.
    pub pass_channels: usize,
}

impl Split {
    pub fn new(rows: usize, weights: &PanelLayout, threads: usize) -> Self {
        let tiles = rows.div_ceil(weights.isa.tile_rows());
        let (pass_taps, pass_channels) = passes(weights);
        let panels = weights.panels();
        let pass_bytes = pass_taps * pass_channels * weights.panel_width() * size_of::<f32>();
        let most = (rows * weights.len() / LEAST_PRODUCTS).max(1);
        let wanted = (threads * TASKS_PER_THREAD).min(most);
        let groups = panels.div_ceil((GROUP_BYTES / pass_bytes).max(1));
        let row_blocks = wanted.div_ceil(groups).min(tiles / MIN_TILES).max(1);
        let panel_groups = groups.max(wanted.div_ceil(row_blocks)).min(panels);
        let row_blocks = row_blocks.max(wanted.div_ceil(panel_groups)).min(tiles.max(1));
        Self { tiles, row_blocks, panel_groups, pass_taps, pass_channels }
    }

    fn tasks(&self) -> usize {
        self.row_blocks * self.panel_groups
    }
}

/// Taps and channels of one pass, so that a panel's part of it stays in cache. Gated tiles have no
/// place for partial sums, and take a single pass.
fn passes(weights: &PanelLayout) -> (usize, usize) {
    let shape = weights.shape;
    let tap_bytes = shape.inputs * weights.panel_width() * size_of::<f32>();
    if weights.gated {
        assert!(shape.taps <= MAX_TAPS, "gated weights have few taps");
        return (shape.taps, shape.inputs);
    }
    if tap_bytes > GROUP_BYTES {
        let parts = tap_bytes.div_ceil(GROUP_BYTES);
        return (1, shape.inputs.div_ceil(parts));
    }
    let most = (GROUP_BYTES / tap_bytes).clamp(1, MAX_TAPS);
    (shape.taps.div_ceil(shape.taps.div_ceil(most)), shape.inputs)
}

type Entry = fn(&Job<'_>, usize);

static TASKS: &[Variant<Entry>] = variants!(task_of_floats: Entry);

/// Computes the product on the threads of `pool`.
pub(crate) fn execute(pool: &Pool, job: &Job<'_>) {
    let task = entry(job);
    pool.run(job.split.tasks(), &|index| task(job, index));
}

/// Computes the product on this thread.
pub(crate) fn execute_here(job: &Job<'_>) {
    let task = entry(job);
    (0..job.split.tasks()).for_each(|index| task(job, index));
}

fn entry(job: &Job<'_>) -> Entry {
    let isa = job.weights.layout.isa;
    match job.weights.layout.precision {
        Precision::F32 => pick(TASKS, isa),
        Precision::Bf16 => pick_bf16!(isa, task_of_pairs: Entry),
        Precision::Int8 => pick_int8!(isa, task_of_quads: Entry),
    }
}

/// The `index`-th of `parts` nearly equal parts of `0..whole`.
pub(crate) fn part(whole: usize, parts: usize, index: usize) -> Range<usize> {
    whole * index / parts..whole * (index + 1) / parts
}

fn task_of_floats<S: Simd>(job: &Job<'_>, index: usize) {
    task::<S, Floats>(job, index);
}

fn task_of_pairs<S: Simd>(job: &Job<'_>, index: usize) {
    task::<S, Bf16Pairs>(job, index);
}

fn task_of_quads<S: Simd>(job: &Job<'_>, index: usize) {
    task::<S, Quads>(job, index);
}

fn task<S: Simd, W: Words>(job: &Job<'_>, index: usize) {
    let s = S::detect().expect("an entry is picked only for an available Isa");
    let Split { tiles, row_blocks, pass_taps, pass_channels, .. } = job.split;
    let tiles = part(tiles, row_blocks, index % row_blocks);
    let panels = job.panels(index);
    let shape = job.weights.layout.shape;
    for tap in (0..shape.taps).step_by(pass_taps) {
        for channel in (0..shape.inputs).step_by(pass_channels) {
            let taps = tap..(tap + pass_taps).min(shape.taps);
            let channels = channel..(channel + pass_channels).min(shape.inputs);
            let last = taps.end == shape.taps && channels.end == shape.inputs;
            let k = taps.start * shape.inputs + channels.start;
            let next = if last {
                job.weights_after(index)
            } else {
                job.weights.panel(panels.start, k + taps.len() * channels.len()).as_ptr()
            };
            let pass = Pass { job, panels: panels.clone(), taps, channels };
            pass.run::<S, W>(s, tiles.clone(), next);
        }
    }
}

impl Job<'_> {
    /// The panels of a task.
    fn panels(&self, index: usize) -> Range<usize> {
        let Split { row_blocks, panel_groups, .. } = self.split;
        part(self.weights.layout.panels(), panel_groups, index / row_blocks)
    }

    /// The first weights of the task that this thread will probably claim next, or null when they
    /// are those of task `index`.
    fn weights_after(&self, index: usize) -> *const f32 {
        let next = index + self.threads;
        if next >= self.split.tasks() {
            return std::ptr::null();
        }
        let (panel, next_panel) = (self.panels(index).start, self.panels(next).start);
        if panel == next_panel {
            return std::ptr::null();
        }
        self.weights.panel(next_panel, 0).as_ptr()
    }
}
