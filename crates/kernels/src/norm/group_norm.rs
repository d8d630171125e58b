//! Group normalisation (Wu and He 2018, arXiv 1803.08494) of channels-last activations, with a
//! fused activation: one pass gathers the moments of every group, one applies them.
//!
//! Both passes see an image as rows of `width` floats, a row being one position or, with few
//! channels, several, so that vectors are full whatever the number of channels. Chunks of rows are
//! the tasks of the first; their size does not depend on the threads, so neither does the result.

use super::moments::Moments;
use super::split;
use crate::chunks::{for_each_chunk, task_elements};
use crate::elementwise::{ActivationLoop, unswitch};
use crate::isa::{Isa, MAX_LANES, Simd, SimdOp, Variant, pick, run, variants};
use crate::lanes::{Lanewise, for_lanes};
use crate::math::Activation;
use crate::pool::Pool;
use std::ops::Range;

/// Floats of a chunk: read twice by the moments' pass, so a share of a second-level cache.
const CHUNK_ELEMENTS: usize = 1 << 15;

/// Rows that a chunk has at least, to outweigh the work per column that follows its sums.
const CHUNK_ROWS: usize = 32;

/// Columns whose sums are kept at a time, on the stack.
const SEGMENT: usize = 512;

/// Rows that share one load and store of a column's sums.
const ROW_BLOCK: usize = 4;

/// Extents and constants of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormShape {
    /// Images, normalised one by one.
    pub batch: usize,
    /// Pixels of one image.
    pub positions: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Groups of neighbouring channels; divides `channels`.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the result.
    pub activation: Activation,
}

impl GroupNormShape {
    fn image(&self) -> usize {
        self.positions * self.channels
    }

    /// Floats of a row: a multiple of the channels.
    fn width(&self) -> usize {
        let positions = match self.channels {
            64.. => 1,
            channels => 64usize.div_ceil(channels).next_multiple_of(MAX_LANES),
        };
        positions * self.channels
    }

    fn chunk(&self) -> usize {
        self.width() * (CHUNK_ELEMENTS / self.width()).max(CHUNK_ROWS)
    }

    /// Floats that hold the moments of every chunk of an image.
    fn moments_len(&self) -> usize {
        self.image().div_ceil(self.chunk()) * self.groups * Moments::STORED
    }
}

/// Floats of scratch that [`group_norm`] needs.
pub fn group_norm_scratch_len(shape: &GroupNormShape) -> usize {
    shape.moments_len() + 3 * shape.width()
}

/// out = activation((x - mean) / sqrt(variance + eps) * gamma + beta), with the mean and (biased)
/// variance of each group of each image.
///
/// x, out: `[batch, positions, channels]`; gamma, beta: `[channels]`; scratch:
/// [`group_norm_scratch_len`].
///
/// # Panics
/// When a length disagrees with the shape, or the groups do not divide the channels.
pub fn group_norm(
    isa: Isa,
    pool: &Pool,
    shape: &GroupNormShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let GroupNormShape { batch, channels, groups, .. } = *shape;
    assert!(groups > 0 && channels > 0 && channels.is_multiple_of(groups), "{shape:?}");
    assert!(x.len() == batch * shape.image() && out.len() == x.len(), "x, out: {shape:?}");
    assert!(gamma.len() == channels && beta.len() == channels, "gamma, beta: [channels]");
    assert!(scratch.len() >= group_norm_scratch_len(shape), "scratch is too short");
    let image = shape.image().max(1);
    for (x, out) in x.chunks_exact(image).zip(out.chunks_exact_mut(image)) {
        normalise_image(isa, pool, shape, x, gamma, beta, scratch, out);
    }
}

fn normalise_image(
    isa: Isa,
    pool: &Pool,
    shape: &GroupNormShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let (moments, coefficients) = scratch.split_at_mut(shape.moments_len());
    let coefficients = &mut coefficients[..3 * shape.width()];
    let (gather, apply, chunk) = (pick(GATHER, isa), pick(APPLY, isa), shape.chunk());
    for_each_chunk(pool, moments, shape.groups * Moments::STORED, |index, moments| {
        let x = &x[index * chunk..];
        gather(shape, &x[..chunk.min(x.len())], moments);
    });
    fill_coefficients(shape, moments, gamma, beta, coefficients);
    let piece = task_elements(pool, out.len()).next_multiple_of(shape.width());
    for_each_chunk(pool, out, piece, |index, out| {
        apply(shape.activation, coefficients, &x[index * piece..][..out.len()], out);
    });
}

/// coefficients: `[3, width]`, for each column the group's mean to subtract, the factor, and the
/// summand, which also takes off the part of the mean that f32 does not hold.
fn fill_coefficients(
    shape: &GroupNormShape,
    moments: &[f32],
    gamma: &[f32],
    beta: &[f32],
    coefficients: &mut [f32],
) {
    let per_group = shape.channels / shape.groups;
    let (means, rest) = coefficients.split_at_mut(shape.width());
    let (scales, offsets) = rest.split_at_mut(shape.width());
    for group in 0..shape.groups {
        let chunks = moments.chunks_exact(Moments::STORED).skip(group).step_by(shape.groups);
        let total = chunks.map(Moments::load).fold(Moments::default(), Moments::merge);
        let (high, low) = split(total.mean);
        let inverse = 1.0 / (total.variance() + f64::from(shape.eps)).sqrt();
        for channel in group * per_group..(group + 1) * per_group {
            let scale = inverse * f64::from(gamma[channel]);
            means[channel] = high;
            scales[channel] = scale as f32;
            offsets[channel] = (f64::from(beta[channel]) - f64::from(low) * scale) as f32;
        }
    }
    for column in shape.channels..shape.width() {
        means[column] = means[column - shape.channels];
        scales[column] = scales[column - shape.channels];
        offsets[column] = offsets[column - shape.channels];
    }
}

type GatherEntry = fn(&GroupNormShape, &[f32], &mut [f32]);

static GATHER: &[Variant<GatherEntry>] = variants!(gather: GatherEntry);

fn gather<S: Simd>(shape: &GroupNormShape, x: &[f32], moments: &mut [f32]) {
    run::<S, _>(Gather { shape, x, moments });
}

/// The moments of every group over one chunk.
struct Gather<'a> {
    shape: &'a GroupNormShape,
    x: &'a [f32],
    moments: &'a mut [f32],
}

impl SimdOp for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        for moments in self.moments.chunks_exact_mut(Moments::STORED) {
            Moments::default().store(moments);
        }
        let width = self.shape.width();
        let (rows, tail) = self.x.split_at(self.x.len() / width * width);
        for start in (0..width).step_by(SEGMENT) {
            self.add_columns(s, rows, start, SEGMENT.min(width - start));
        }
        for start in (0..tail.len()).step_by(SEGMENT) {
            let columns = SEGMENT.min(tail.len() - start);
            self.add_block(s, &tail[start..start + columns], columns, start, columns);
        }
    }
}

impl Gather<'_> {
    /// Adds columns `start .. start + columns` of all whole rows.
    #[inline(always)]
    fn add_columns<S: Simd>(&mut self, s: S, rows: &[f32], start: usize, columns: usize) {
        if !rows.is_empty() {
            self.add_block(s, &rows[start..], self.shape.width(), start, columns);
        }
    }

    /// Adds `columns` columns of the rows of `x`, `stride` floats apart; the first is column
    /// `start` of the image's rows.
    #[inline(always)]
    fn add_block<S: Simd>(&mut self, s: S, x: &[f32], stride: usize, start: usize, columns: usize) {
        let (mut shifts, mut sums, mut squares) = ([0.0; SEGMENT], [0.0; SEGMENT], [0.0; SEGMENT]);
        let shifts = &mut shifts[..columns];
        let (sums, squares) = (&mut sums[..columns], &mut squares[..columns]);
        let rows = x.len().div_ceil(stride);
        for block in x.chunks(ROW_BLOCK * stride) {
            add_rows(s, block, stride, shifts);
        }
        let inverse = 1.0 / rows as f32;
        shifts.iter_mut().for_each(|shift| *shift *= inverse);
        for block in x.chunks(ROW_BLOCK * stride) {
            add_deviations(s, block, stride, shifts, sums, squares);
        }
        self.add_to_groups(rows, start, shifts, sums, squares);
    }

    /// Merges the sums of columns, the first of which is column `start`, into their groups.
    #[inline(always)]
    fn add_to_groups(
        &mut self,
        rows: usize,
        start: usize,
        shifts: &[f32],
        sums: &[f32],
        squares: &[f32],
    ) {
        let per_group = self.shape.channels / self.shape.groups;
        let mut at = 0;
        while at < shifts.len() {
            let channel = (start + at) % self.shape.channels;
            let end = shifts.len().min(at + per_group - channel % per_group);
            let columns = at..end;
            let part = Moments::of_columns(
                rows,
                &shifts[columns.clone()],
                &sums[columns.clone()],
                &squares[columns],
            );
            let stored = &mut self.moments[channel / per_group * Moments::STORED..];
            let stored = &mut stored[..Moments::STORED];
            Moments::load(stored).merge(part).store(stored);
            at = end;
        }
    }
}

/// The rows of a block, each cut to `columns`; a missing row is empty.
#[inline(always)]
fn block_rows(block: &[f32], stride: usize, columns: usize) -> [&[f32]; ROW_BLOCK] {
    std::array::from_fn(|row| block.get(row * stride..row * stride + columns).unwrap_or(&[]))
}

/// sums += the sum of each column of the block.
#[inline(always)]
fn add_rows<S: Simd>(s: S, block: &[f32], stride: usize, sums: &mut [f32]) {
    let rows = block_rows(block, stride, sums.len());
    if rows.iter().all(|row| row.len() == sums.len()) {
        for_lanes(s, sums.len(), Sums { rows: rows.map(|row| &row[..sums.len()]), sums });
    } else {
        for row in rows.iter().take_while(|row| !row.is_empty()) {
            for_lanes(s, sums.len(), Sums { rows: [&row[..sums.len()]], sums });
        }
    }
}

struct Sums<'a, const N: usize> {
    rows: [&'a [f32]; N],
    sums: &'a mut [f32],
}

impl<const N: usize> Lanewise for Sums<'_, N> {
    #[inline(always)]
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>) {
        let mut total = s.read(&self.rows[0][at.clone()]);
        for row in &self.rows[1..] {
            total = s.add(total, s.read(&row[at.clone()]));
        }
        let sums = &mut self.sums[at];
        let total = s.add(s.read(sums), total);
        s.write(sums, total);
    }
}

/// Adds to each column the sums of x - shift and of its square over the block.
#[inline(always)]
fn add_deviations<S: Simd>(
    s: S,
    block: &[f32],
    stride: usize,
    shifts: &[f32],
    sums: &mut [f32],
    squares: &mut [f32],
) {
    let columns = shifts.len();
    let (sums, squares) = (&mut sums[..columns], &mut squares[..columns]);
    let rows = block_rows(block, stride, columns);
    if rows.iter().all(|row| row.len() == columns) {
        let rows = rows.map(|row| &row[..columns]);
        for_lanes(s, columns, Deviations { rows, shifts, sums, squares });
    } else {
        for row in rows.iter().take_while(|row| !row.is_empty()) {
            for_lanes(s, columns, Deviations { rows: [&row[..columns]], shifts, sums, squares });
        }
    }
}

struct Deviations<'a, const N: usize> {
    rows: [&'a [f32]; N],
    shifts: &'a [f32],
    sums: &'a mut [f32],
    squares: &'a mut [f32],
}

impl<const N: usize> Lanewise for Deviations<'_, N> {
    #[inline(always)]
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>) {
        let shift = s.read(&self.shifts[at.clone()]);
        let (mut total, mut total_square) = (s.zero(), s.zero());
        for row in &self.rows {
            let d = s.sub(s.read(&row[at.clone()]), shift);
            total = s.add(total, d);
            total_square = s.fma(d, d, total_square);
        }
        let sums = &mut self.sums[at.clone()];
        total = s.add(s.read(sums), total);
        s.write(sums, total);
        let squares = &mut self.squares[at];
        total_square = s.add(s.read(squares), total_square);
        s.write(squares, total_square);
    }
}

type ApplyEntry = fn(Activation, &[f32], &[f32], &mut [f32]);

static APPLY: &[Variant<ApplyEntry>] = variants!(apply: ApplyEntry);

fn apply<S: Simd>(activation: Activation, coefficients: &[f32], x: &[f32], out: &mut [f32]) {
    run::<S, _>(Apply { activation, coefficients, x, out });
}

/// Scales and shifts one chunk.
struct Apply<'a> {
    activation: Activation,
    coefficients: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        unswitch(s, self.activation, self);
    }
}

impl ActivationLoop for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, activation: Activation) {
        let width = self.coefficients.len() / 3;
        let (means, rest) = self.coefficients.split_at(width);
        let (scales, offsets) = rest.split_at(width);
        for (x, out) in self.x.chunks(width).zip(self.out.chunks_mut(width)) {
            let columns = out.len();
            let coefficients = [means, scales, offsets].map(|values| &values[..columns]);
            let row = ApplyRow { activation, coefficients, x: &x[..columns], out };
            for_lanes(s, columns, row);
        }
    }
}

struct ApplyRow<'a> {
    activation: Activation,
    /// Means, scales and offsets.
    coefficients: [&'a [f32]; 3],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Lanewise for ApplyRow<'_> {
    #[inline(always)]
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>) {
        let [means, scales, offsets] = self.coefficients;
        let (mean, scale) = (s.read(&means[at.clone()]), s.read(&scales[at.clone()]));
        let centred = s.sub(s.read(&self.x[at.clone()]), mean);
        let y = s.fma(centred, scale, s.read(&offsets[at.clone()]));
        s.write(&mut self.out[at], self.activation.apply(s, y));
    }
}
