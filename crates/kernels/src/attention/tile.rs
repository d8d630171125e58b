//! A tile of queries against the keys of its head, block by block.

use super::scores::KeyPanels;
use super::{AttentionShape, Job};
use crate::gemm::micro::{Later, Product, RowPointers, Scales, Words, multiply};
use crate::isa::{MAX_LANES, MAX_TILE_ROWS, MAX_TILE_VECTORS, Simd, SimdOp};
use crate::math::exp2_weight;
use crate::pool::part;
use std::marker::PhantomData;
use std::ops::Range;

/// Keys of one block: a multiple of every panel width. Scores of a tile stay in the first-level
/// cache, and the block's keys and values in the second.
pub(crate) const KEY_BLOCK: usize = 256;

/// Queries of one task.
const MAX_QUERIES: usize = super::TILES_PER_TASK * MAX_TILE_ROWS;

/// Attends the given tiles of queries of one head (counted over the batch).
pub(crate) fn attend<S: Simd, W: Words>(s: S, job: &Job<'_>, head: usize, tiles: Range<usize>) {
    let first = part(job.shape.queries, job.tiles, tiles.start).start;
    let mut state = State { max: [f32::NEG_INFINITY; MAX_QUERIES], sum: [0.0; MAX_QUERIES] };
    let mut scores = Scores([0.0; MAX_TILE_ROWS * KEY_BLOCK]);
    let mut sums = Sums([0.0; MAX_TILE_ROWS * MAX_TILE_VECTORS * MAX_LANES]);
    for key in (0..job.shape.keys).step_by(KEY_BLOCK) {
        for tile in tiles.clone() {
            let queries = part(job.shape.queries, job.tiles, tile);
            let keys = key..visible_keys(job.shape, &queries).min(key + KEY_BLOCK);
            if keys.is_empty() {
                continue;
            }
            let local = queries.start - first..queries.end - first;
            let last = keys.end == visible_keys(job.shape, &queries);
            let step = Step { job, head, queries, keys, last };
            let (max, sum) = (&mut state.max[local.clone()], &mut state.sum[local]);
            step.run::<S, W>(s, &mut scores, &mut sums, max, sum);
        }
    }
}

/// The end of the keys that any of `queries` attends to.
fn visible_keys(shape: &AttentionShape, queries: &Range<usize>) -> usize {
    if shape.causal { queries.end.min(shape.keys) } else { shape.keys }
}

/// The largest score of each query so far, and the sum of 2^(score - max).
struct State {
    max: [f32; MAX_QUERIES],
    sum: [f32; MAX_QUERIES],
}

/// Scores, and then weights, of a tile: `[rows, KEY_BLOCK]`.
#[repr(align(64))]
pub(super) struct Scores(pub [f32; MAX_TILE_ROWS * KEY_BLOCK]);

/// A part of the output of a tile: `[rows, vectors * LANES]`.
#[repr(align(64))]
struct Sums([f32; MAX_TILE_ROWS * MAX_TILE_VECTORS * MAX_LANES]);

/// One tile of queries and one block of keys.
struct Step<'a> {
    job: &'a Job<'a>,
    head: usize,
    queries: Range<usize>,
    keys: Range<usize>,
    /// Whether no later block has keys for these queries.
    last: bool,
}

impl Step<'_> {
    fn run<S: Simd, W: Words>(
        &self,
        s: S,
        scores: &mut Scores,
        sums: &mut Sums,
        max: &mut [f32],
        sum: &mut [f32],
    ) {
        self.scores::<S, W>(s, scores);
        let mut factors = [0.0; MAX_TILE_ROWS];
        let keys = self.keys.len();
        // Query i sees the keys up to i.
        let diagonal = self.job.shape.causal.then_some((self.queries.start, self.keys.start));
        let factors_out = &mut factors;
        let words = PhantomData::<W>;
        s.vectorize(Softmax { scores, keys, diagonal, max, sum, factors: factors_out, words });
        // The sums so far are scaled to the new maximum, and the final ones divided by their sum.
        let mut finals = [1.0; MAX_TILE_ROWS];
        if self.last {
            finals.iter_mut().zip(sum).for_each(|(factor, sum)| *factor = 1.0 / *sum);
        }
        self.add_values::<S, W>(s, scores, sums, &factors, &finals);
    }

    fn rows(&self) -> usize {
        self.queries.len()
    }

    /// The packed keys and values of the head.
    fn packed(&self) -> *const f32 {
        self.job.packed.get().wrapping_add(self.head * self.job.layout.len())
    }

    /// Where this head of a query begins, for tokens with the given stride and heads of `len`.
    fn head_start(&self, query: usize, stride: usize, len: usize) -> usize {
        let AttentionShape { heads, queries, .. } = *self.job.shape;
        (self.head / heads * queries + query) * stride + self.head % heads * len
    }

    /// scores = q k^T of the block's keys, padded to whole panels.
    fn scores<S: Simd, W: Words>(&self, s: S, scores: &mut Scores) {
        let layout = self.job.layout;
        let (queries, words) = (self.job.queries, layout.head_words);
        let mut a: RowPointers = [std::ptr::null(); MAX_TILE_ROWS];
        for (pointer, query) in a.iter_mut().zip(self.queries.clone()) {
            let start = self.head_start(query, queries.stride, words);
            *pointer = queries.values[start..][..words].as_ptr();
        }
        s.vectorize(KeyPanels::<W> {
            a,
            rows: self.rows(),
            layout,
            keys: self.keys.clone(),
            packed: self.packed(),
            scores,
            words: PhantomData,
        });
    }

    /// out = (out * factors + weights v) * finals, where out counts as zero in the first block.
    fn add_values<S: Simd, W: Words>(
        &self,
        s: S,
        weights: &Scores,
        sums: &mut Sums,
        factors: &[f32],
        finals: &[f32],
    ) {
        let layout = self.job.layout;
        let a = std::array::from_fn(|row| weights.0[row * KEY_BLOCK..].as_ptr());
        for channel in (0..layout.head_dim).step_by(layout.panel_width) {
            let width = layout.value_width(channel);
            let columns = width.min(layout.head_dim - channel);
            let first = self.keys.start == 0;
            if !first {
                s.vectorize(self.scale(sums, channel, width, columns, factors, Direction::Load));
            }
            let product = Product {
                a: &[a],
                depth: self.keys.len().div_ceil(W::CHANNELS),
                ahead: 0,
                scales: Scales::NONE,
                later: Later::NONE,
                b: self.packed().wrapping_add(layout.value_row(self.keys.start, channel)),
                init: if first { std::ptr::null() } else { sums.0.as_ptr() },
                init_stride: width,
                add: std::ptr::null(),
                add_stride: 0,
                c: sums.0.as_mut_ptr(),
                c_stride: width,
            };
            // SAFETY: rows of A are rows of the weights, which hold the block's keys; the panel's
            // rows of these keys were packed; the buffer holds a tile of any instruction set.
            unsafe { multiply::<S, W>(s, self.rows(), width / S::LANES, product) };
            s.vectorize(self.scale(sums, channel, width, columns, finals, Direction::Store));
        }
    }

    fn scale<'b>(
        &self,
        sums: &'b mut Sums,
        channel: usize,
        width: usize,
        columns: usize,
        factors: &'b [f32],
        direction: Direction,
    ) -> Scale<'b> {
        let stride = self.job.out_stride;
        let start = self.head_start(self.queries.start, stride, self.job.shape.head_dim) + channel;
        let out = self.job.out.get().wrapping_add(start);
        Scale { sums, width, columns, rows: self.rows(), factors, out, stride, direction }
    }
}

/// Turns each row of scores into words of weights 2^(score - max), and updates the row's maximum and sum;
/// `factors` are those by which sums made with the old maximum are to be multiplied.
struct Softmax<'a, W> {
    scores: &'a mut Scores,
    keys: usize,
    /// For causal attention, the query of the first row and the key of the first column.
    diagonal: Option<(usize, usize)>,
    max: &'a mut [f32],
    sum: &'a mut [f32],
    factors: &'a mut [f32; MAX_TILE_ROWS],
    words: PhantomData<W>,
}

impl<W: Words> SimdOp for Softmax<'_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        self.hide(s);
        let width = self.keys.next_multiple_of(S::LANES);
        for row in 0..self.max.len() {
            let scores = &mut self.scores.0[row * KEY_BLOCK..][..width];
            let mut largest = s.splat(self.max[row]);
            for x in scores.chunks_exact(S::LANES) {
                largest = s.max(largest, s.read(x));
            }
            let max = s.reduce_max(largest);
            // Without any visible key so far there is nothing to scale, and inf - inf is avoided.
            let shift = s.splat(if max == f32::NEG_INFINITY { 0.0 } else { max });
            let mut total = s.zero();
            for at in (0..width).step_by(S::LANES) {
                let weight = exp2_weight(s, s.sub(s.read(&scores[at..]), shift));
                total = s.add(total, weight);
                let words = scores[at / W::CHANNELS..].as_mut_ptr();
                // SAFETY: a vector's words lie no further than the scores that they are made of,
                // which have all been read.
                unsafe { W::store(s, words, weight) };
            }
            let factor = exp2_weight(s, s.sub(s.splat(self.max[row]), shift));
            s.write(&mut self.factors[row..=row], factor);
            self.sum[row] = self.sum[row] * self.factors[row] + s.reduce_sum(total);
            self.max[row] = max;
        }
    }
}

impl<W> Softmax<'_, W> {
    /// Makes the scores of keys that do not exist, or that a query must not see, minus infinity.
    /// For all rows before any is read, since reading right after is slow.
    #[inline(always)]
    fn hide<S: Simd>(&mut self, s: S) {
        let width = self.keys.next_multiple_of(S::LANES);
        for row in 0..self.max.len() {
            let visible = match self.diagonal {
                Some((query, key)) => (query + row + 1).saturating_sub(key).min(self.keys),
                None => self.keys,
            };
            let scores = &mut self.scores.0[row * KEY_BLOCK..][..width];
            for hidden in scores[visible..].chunks_mut(S::LANES) {
                s.write(hidden, s.splat(f32::NEG_INFINITY));
            }
        }
    }
}

enum Direction {
    /// sums = out * factors
    Load,
    /// out = sums * factors
    Store,
}

/// Moves a tile between its buffer and the output, and multiplies each row by its factor.
struct Scale<'a> {
    sums: &'a mut Sums,
    /// Floats in a row of `sums`, and how many of them are in the output.
    width: usize,
    columns: usize,
    rows: usize,
    factors: &'a [f32],
    out: *mut f32,
    stride: usize,
    direction: Direction,
}

impl SimdOp for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (row, &factor) in self.factors.iter().enumerate().take(self.rows) {
            let sums = &mut self.sums.0[row * self.width..][..self.columns];
            let out = self.out.wrapping_add(row * self.stride);
            // SAFETY: the row's columns are inside the output, which `attention` checked, and this
            // task alone uses these queries' channels of this head.
            let out = unsafe { std::slice::from_raw_parts_mut(out, self.columns) };
            let (from, to) = match self.direction {
                Direction::Load => (out, sums),
                Direction::Store => (sums, out),
            };
            for (to, from) in to.chunks_mut(S::LANES).zip(from.chunks(S::LANES)) {
                s.write(to, s.mul(s.read(from), s.splat(factor)));
            }
        }
    }
}
