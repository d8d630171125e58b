//! One pass of a task over its tiles: where the rows of each are, where its sums wait, and what
//! happens to the last of them.

use super::driver::{Job, MAX_TAPS};
use super::epilogue::{Finish, TileBuffer};
use super::micro::{Later, Product, RowPointers, Scales, Words, multiply};
use crate::aligned::LINE_BYTES;
use crate::isa::{MAX_TILE_ROWS, Simd};
use crate::pool::part;
use std::ops::Range;

/// Bytes of A that stay in the first-level cache while the panels of a task pass by, so that each
/// weight that is fetched serves several tiles.
const RUN_BYTES: usize = 16 << 10;

/// One pass over a task's tiles: the given taps and channels of its panels.
pub(super) struct Pass<'a> {
    pub job: &'a Job<'a>,
    pub panels: Range<usize>,
    pub taps: Range<usize>,
    pub channels: Range<usize>,
}

impl Pass<'_> {
    /// `next`: weights that the next pass will read, or null.
    pub fn run<S: Simd, W: Words>(&self, s: S, tiles: Range<usize>, next: *const f32) {
        let job = self.job;
        let mut pointers = [[std::ptr::null(); MAX_TILE_ROWS]; MAX_TAPS];
        // As many lines as the pass itself reads, spread over its tiles.
        let lines_per_block = match next.is_null() {
            true => 0,
            false => (S::TILE_VECTORS * S::LANES).div_ceil(tiles.len()),
        };
        let mut later = Later { start: next, lines_per_block };
        let run = self.run_tiles(S::TILE_ROWS);
        let sets = self.taps.len();
        for start in tiles.clone().step_by(run) {
            let tiles = start..(start + run).min(tiles.end);
            let mut places = [const { (0..0, 1) }; MAX_TAPS];
            for (i, tile) in tiles.clone().enumerate() {
                let rows = part(job.rows, job.split.tiles, tile);
                let (taps, channel) = (self.taps.clone(), self.channels.start);
                let pointers = &mut pointers[i * sets..][..sets];
                let joined = job.gather.fill(rows.clone(), taps, channel, pointers);
                places[i] = (rows, joined);
            }
            // The panels after the first find the rows in cache, and so do the taps of a window,
            // most of whose pixels the windows before it have read.
            let mut ahead = match sets {
                1 => job.gather.distance(tiles.len() * S::TILE_ROWS),
                _ => 0,
            };
            for panel in self.panels.clone() {
                let places = places[..tiles.len()].iter();
                for ((rows, joined), pointers) in places.zip(pointers.chunks(sets)) {
                    let depth = self.channels.len() * joined;
                    let tile =
                        TilePass { pass: self, rows: rows.clone(), panel, depth, ahead, later };
                    tile.run::<S, W>(s, &pointers[..sets / joined]);
                    later = later.after(sets / joined, depth);
                }
                ahead = 0;
            }
        }
    }

    /// Tiles that share a panel while it is in the first-level cache: as far as there are pointers.
    fn run_tiles(&self, tile_rows: usize) -> usize {
        let tile_bytes = tile_rows * self.channels.len() * size_of::<f32>();
        match self.taps.len() {
            1 => (RUN_BYTES / tile_bytes).clamp(1, MAX_TAPS),
            _ => 1,
        }
    }
}

/// One tile in one pass.
struct TilePass<'a> {
    pass: &'a Pass<'a>,
    rows: Range<usize>,
    panel: usize,
    /// Floats that a pointer stands for.
    depth: usize,
    ahead: usize,
    later: Later,
}

impl TilePass<'_> {
    #[inline(always)]
    fn run<S: Simd, W: Words>(self, s: S, a: &[RowPointers]) {
        let Pass { job, taps, channels, .. } = self.pass;
        let shape = job.weights.layout.shape;
        let first = taps.start == 0 && channels.start == 0;
        let last = taps.end == shape.taps && channels.end == shape.inputs;
        let vectors = job.weights.layout.panel_vectors(self.panel);
        let b = job.weights.panel(self.panel, taps.start * shape.inputs + channels.start);
        let mut sums = TileBuffer::new();
        let width = vectors * S::LANES;
        // Partial sums wait in the output. A tile that is wider than its columns would write over
        // its neighbours there, and passes through the buffer.
        let whole = self.columns().len() == width;
        let out = job.out.get().wrapping_add(self.out_index());
        let buffer = (sums.as_mut_ptr(), width);
        let only_adds = whole && first && last && job.epilogue.only_adds();
        let (init, init_stride) = match (first, whole) {
            (true, _) if W::IS_INTEGER => (job.weights.integers(self.panel)[0].as_ptr(), 0),
            (true, _) if only_adds => (self.bias(), 0),
            (true, _) => (std::ptr::null(), 0),
            (false, true) => (out.cast_const(), job.out_stride),
            (false, false) => (buffer.0.cast_const(), width),
        };
        let scales = if last { self.scales(only_adds) } else { Scales::NONE };
        let (add, add_stride) = if only_adds { self.residual() } else { (std::ptr::null(), 0) };
        let in_place = only_adds || whole && !last;
        let (c, c_stride) = if in_place { (out, job.out_stride) } else { buffer };
        if !first && !whole {
            self.copy(&mut sums, width, Direction::Load);
        }
        let product = Product {
            a,
            depth: self.depth,
            ahead: self.ahead,
            b: b.as_ptr(),
            init,
            init_stride,
            add,
            add_stride,
            scales,
            c,
            c_stride,
            later: self.later,
        };
        if last {
            self.prefetch(s);
        }
        // SAFETY: `Gather::fill` gave pointers with `depth` floats readable, `b` holds the
        // panel from the pass's start on, and the buffer holds a tile of any instruction set; when
        // the tile is whole its columns are all in the output, in the bias and in the residual,
        // which the public entry checked, and this task alone uses those of the output.
        unsafe { multiply::<S, W>(s, self.rows.len(), vectors, product) };
        if in_place {
            return;
        }
        if last {
            s.vectorize(self.finish(&mut sums, vectors));
        } else {
            self.copy(&mut sums, width, Direction::Store);
        }
    }

    /// The bias of the tile's columns, or null.
    fn bias(&self) -> *const f32 {
        let bias = self.pass.job.epilogue.bias;
        bias.map_or(std::ptr::null(), |bias| bias[self.columns()].as_ptr())
    }

    /// What integer sums are multiplied by, and the bias if all that is left is to add.
    fn scales(&self, only_adds: bool) -> Scales {
        let Some(rows) = self.pass.job.row_scales else { return Scales::NONE };
        Scales {
            rows: rows[self.rows.clone()].as_ptr(),
            columns: self.pass.job.weights.integers(self.panel)[1].as_ptr(),
            bias: if only_adds { self.bias() } else { std::ptr::null() },
        }
    }

    /// The residual of the tile and its stride, or null.
    fn residual(&self) -> (*const f32, usize) {
        let Some(residual) = self.pass.job.epilogue.residual else { return (std::ptr::null(), 0) };
        let start = self.rows.start * residual.stride + self.columns().start;
        (residual.values[start..].as_ptr(), residual.stride)
    }

    /// Where the tile starts in the output.
    fn out_index(&self) -> usize {
        self.rows.start * self.pass.job.out_stride + self.columns().start
    }

    /// Asks for what the epilogue will touch, while the sums are computed.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, s: S) {
        let job = self.pass.job;
        let (rows, columns) = (self.rows.len(), self.columns());
        prefetch_rows(
            s,
            job.out.get().wrapping_add(self.out_index()),
            rows,
            columns.len(),
            job.out_stride,
        );
        if let Some(residual) = job.epilogue.residual {
            let start = self.rows.start * residual.stride + columns.start;
            let start = residual.values.as_ptr().wrapping_add(start);
            prefetch_rows(s, start, rows, columns.len(), residual.stride);
        }
    }

    fn columns(&self) -> Range<usize> {
        let weights = &self.pass.job.weights.layout;
        let start = self.panel * weights.panel_columns();
        start..(start + weights.panel_columns()).min(weights.columns())
    }

    fn finish<'b>(&'b self, sums: &'b mut TileBuffer, vectors: usize) -> Finish<'b> {
        let job = self.pass.job;
        let columns = self.columns();
        Finish {
            sums,
            vectors,
            epilogue: job.epilogue,
            row: self.rows.start,
            rows: self.rows.len(),
            column: columns.start,
            columns: columns.len(),
            outputs: job.weights.layout.shape.outputs,
            gated: job.weights.layout.gated,
            out: job.out.get().wrapping_add(self.out_index()),
            out_stride: job.out_stride,
        }
    }

    /// Moves partial sums between the tile buffer and their place in the output.
    fn copy(&self, sums: &mut TileBuffer, width: usize, direction: Direction) {
        let job = self.pass.job;
        let columns = self.columns();
        for i in 0..self.rows.len() {
            let out = job.out.get().wrapping_add(self.out_index() + i * job.out_stride);
            let sums = sums.as_mut_ptr().wrapping_add(i * width);
            let (from, to) = match direction {
                Direction::Load => (out.cast_const(), sums),
                Direction::Store => (sums.cast_const(), out),
            };
            // SAFETY: the row's columns are inside the output, which the public entry checked;
            // this task alone touches this tile, and the buffer is a separate object.
            unsafe { std::ptr::copy_nonoverlapping(from, to, columns.len()) };
        }
    }
}

/// Asks for `columns` floats of each of `rows` rows.
#[inline(always)]
fn prefetch_rows<S: Simd>(s: S, start: *const f32, rows: usize, columns: usize, stride: usize) {
    let mut row = start;
    for _ in 0..rows {
        let mut column = 0;
        while column < columns {
            s.prefetch(row.wrapping_add(column));
            column += LINE_BYTES / size_of::<f32>();
        }
        row = row.wrapping_add(stride);
    }
}

enum Direction {
    Load,
    Store,
}
