//! Splits a product over threads and caches: tasks are blocks of rows by groups of panels.
//! Consecutive tasks share a group, whose weights then stay in the second-level cache.

use super::epilogue::Epilogue;
use super::layout::{PanelLayout, Panels, Precision};
use super::micro::{Bf16Pairs, Floats, Quads, RowPointers, Words};
use super::pack::SendPointer;
use super::pass::Pass;
use crate::isa::{Simd, Variant, pick, pick_bf16, pick_int8, variants};
use crate::pool::{Place, Pool, part};
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

type Entry = fn(&Job<'_>, Task);

static TASKS: &[Variant<Entry>] = variants!(task_of_floats: Entry);

/// Computes the product on the threads of `pool`.
pub(crate) fn execute(pool: &Pool, job: &Job<'_>) {
    let task = entry(job);
    let parts = Parts::new(job, pool.threads());
    pool.run_parts(&|part| parts.tasks(part), &|Place { part, index, .. }| {
        task(job, parts.task(part, index));
    });
}

/// Computes the product on this thread.
pub(crate) fn execute_here(job: &Job<'_>) {
    let task = entry(job);
    let parts = Parts::new(job, 1);
    (0..parts.tasks(0)).for_each(|index| task(job, parts.task(0, index)));
}

fn entry(job: &Job<'_>) -> Entry {
    let isa = job.weights.layout.isa;
    match job.weights.layout.precision {
        Precision::F32 => pick(TASKS, isa),
        Precision::Bf16 => pick_bf16!(isa, task_of_pairs: Entry),
        Precision::Int8 => pick_int8!(isa, task_of_quads: Entry),
    }
}

/// How the tasks are given to threads: blocks of rows, which are then in the caches of the thread
/// that made them and of the one that reads the result; or groups of panels where weights are more
/// than rows, so that each thread fetches its own alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    row_blocks: usize,
    panel_groups: usize,
    by_rows: bool,
    threads: usize,
}

impl Parts {
    fn new(job: &Job<'_>, threads: usize) -> Self {
        let Split { row_blocks, panel_groups, .. } = job.split;
        let shape = job.weights.layout.shape;
        let more_rows = job.rows >= shape.outputs * shape.taps;
        let by_rows = match (row_blocks >= threads, panel_groups >= threads) {
            (true, true) => more_rows,
            (enough_blocks, _) => enough_blocks,
        };
        Self { row_blocks, panel_groups, by_rows, threads }
    }

    /// The blocks and groups of a part.
    fn blocks_and_groups(&self, at: usize) -> [Range<usize>; 2] {
        let Self { row_blocks, panel_groups, by_rows, threads } = *self;
        match by_rows {
            true => [part(row_blocks, threads, at), 0..panel_groups],
            false => [0..row_blocks, part(panel_groups, threads, at)],
        }
    }

    fn tasks(&self, at: usize) -> usize {
        let [blocks, groups] = self.blocks_and_groups(at);
        blocks.len() * groups.len()
    }

    /// A task of a part. Consecutive ones share a group, whose weights then stay in cache.
    fn task(&self, at: usize, index: usize) -> Task {
        let [blocks, groups] = self.blocks_and_groups(at);
        let (group, block) = (groups.start + index / blocks.len(), index % blocks.len());
        let is_last = block + 1 == blocks.len();
        let next_group = Some(group + 1).filter(|next| is_last && groups.contains(next));
        Task { block: blocks.start + block, group, next_group }
    }
}

/// A block of rows by a group of panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    block: usize,
    group: usize,
    /// The group of the task that this thread will probably claim next, if it is another.
    next_group: Option<usize>,
}

fn task_of_floats<S: Simd>(job: &Job<'_>, task: Task) {
    compute::<S, Floats>(job, task);
}

fn task_of_pairs<S: Simd>(job: &Job<'_>, task: Task) {
    compute::<S, Bf16Pairs>(job, task);
}

fn task_of_quads<S: Simd>(job: &Job<'_>, task: Task) {
    compute::<S, Quads>(job, task);
}

fn compute<S: Simd, W: Words>(job: &Job<'_>, task: Task) {
    let s = S::detect().expect("an entry is picked only for an available Isa");
    let Split { tiles, row_blocks, panel_groups, pass_taps, pass_channels } = job.split;
    let tiles = part(tiles, row_blocks, task.block);
    let panels_of = |group| part(job.weights.layout.panels(), panel_groups, group);
    let panels = panels_of(task.group);
    let after = task.next_group.map(|group| job.weights.panel(panels_of(group).start, 0).as_ptr());
    let shape = job.weights.layout.shape;
    for tap in (0..shape.taps).step_by(pass_taps) {
        for channel in (0..shape.inputs).step_by(pass_channels) {
            let taps = tap..(tap + pass_taps).min(shape.taps);
            let channels = channel..(channel + pass_channels).min(shape.inputs);
            let last = taps.end == shape.taps && channels.end == shape.inputs;
            let k = taps.start * shape.inputs + channels.start;
            let next = if last {
                after.unwrap_or(std::ptr::null())
            } else {
                job.weights.panel(panels.start, k + taps.len() * channels.len()).as_ptr()
            };
            let pass = Pass { job, panels: panels.clone(), taps, channels };
            pass.run::<S, W>(s, tiles.clone(), next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_meets_every_group_once() {
        for threads in [1, 2, 3, 7] {
            for (row_blocks, panel_groups) in [(1, 1), (1, 9), (9, 1), (4, 5), (20, 3), (2, 30)] {
                for by_rows in [false, true] {
                    let parts = Parts { row_blocks, panel_groups, by_rows, threads };
                    let mut found = Vec::new();
                    for at in 0..threads {
                        let tasks: Vec<_> =
                            (0..parts.tasks(at)).map(|i| parts.task(at, i)).collect();
                        for pair in tasks.windows(2) {
                            let next = Some(pair[1].group).filter(|&group| group != pair[0].group);
                            assert_eq!(pair[0].next_group, next, "{parts:?}");
                        }
                        assert!(tasks.last().is_none_or(|task| task.next_group.is_none()));
                        found.extend(tasks.iter().map(|task| (task.group, task.block)));
                    }
                    let all = (0..panel_groups).flat_map(|g| (0..row_blocks).map(move |b| (g, b)));
                    found.sort_unstable();
                    assert!(found.into_iter().eq(all), "{parts:?}");
                }
            }
        }
    }
}
