//! The convolution with a step of two that may end a chain. A task rounds the rows that a part of a
//! row of its result reads, which are in cache, and multiplies them at once: by itself it would
//! read a whole picture from memory and write its rounded copy there.

use super::super::rows::Rows;
use super::Link;
use crate::conv::{ConvShape, Windows};
use crate::gemm::driver::{Job, Split, execute_here};
use crate::gemm::{Epilogue, PackedWeights, SendPointer};
use crate::pool::part;
use std::slice;
use std::sync::Arc;

/// Bytes of rounded rows that a task keeps in the second-level cache.
const TASK_BYTES: usize = 256 << 10;

/// A 3x3 convolution that makes a picture half as large.
#[derive(Debug)]
pub struct Halving {
    /// One picture.
    pub shape: ConvShape,
    /// Its weights, as they are packed for [`crate::conv2d`].
    pub weights: Arc<PackedWeights>,
}

impl Halving {
    /// Whether it can end a chain behind `before`, whose result it reads.
    pub fn continues(&self, before: &Link) -> bool {
        let (before, shape) = (&before.shape, &self.shape);
        let pad = shape.padding;
        let sides = [pad.top, pad.left, pad.bottom, pad.right];
        let halves = shape.kernel == [3, 3] && shape.stride == [2, 2] && shape.upsample == 1;
        let size = [before.batch, before.out_height(), before.out_width(), before.out_channels];
        let reads = [shape.batch, shape.height, shape.width, shape.in_channels] == size;
        let is_empty = shape.out_rows() == 0;
        halves
            && reads
            && sides.iter().all(|&pad| pad <= 1)
            && !is_empty
            && self.weights.takes_runs()
    }

    /// How its bands, of so many rows of its result, are cut for so many threads.
    pub(super) fn cut(&self, band_rows: usize, threads: usize) -> Cut {
        let width = self.shape.out_width();
        let bytes = self.words(width) * size_of::<f32>();
        // As many for each thread.
        let segments = bytes.div_ceil(TASK_BYTES).next_multiple_of(threads).min(width);
        Cut { band_rows, segments, words: self.words(width.div_ceil(segments)) }
    }

    /// Words of what so many pixels of a row of the result read.
    fn words(&self, pixels: usize) -> usize {
        3 * (2 * pixels + 1) * self.weights.panels().layout.shape.inputs
    }

    /// Computes a task of a band. x: the rows of the input; out: the result; scratch:
    /// [`Cut::words`] floats of any content.
    pub(super) fn run(
        &self,
        cut: &Cut,
        [band, task]: [usize; 2],
        x: Rows,
        epilogue: &Epilogue<'_>,
        scratch: *mut f32,
        out: SendPointer,
    ) {
        let (shape, panels) = (&self.shape, self.weights.panels());
        let rows = cut.rows(band, shape.out_height());
        let row = band * cut.band_rows + task % rows;
        let columns = part(shape.out_width(), cut.segments, task / rows);
        // SAFETY: the thread's own memory, of which the cut says how much a task takes.
        let words = unsafe { slice::from_raw_parts_mut(scratch, self.words(columns.len())) };
        let inputs = panels.layout.shape.inputs;
        let width = 2 * columns.len() + 1;
        for (ky, words) in words.chunks_exact_mut(width * inputs).enumerate() {
            let y = (2 * row + ky).checked_sub(shape.padding.top);
            self.round(x, y, 2 * columns.start, words);
        }
        let local = ConvShape { height: 3, width, in_channels: inputs, ..*shape };
        let local = ConvShape { padding: Default::default(), ..local };
        let windows = Windows { shape: &local, x: words, stride: inputs, zeros: &[] };
        let first = (row * shape.out_width() + columns.start) * shape.out_channels;
        execute_here(&Job {
            gather: &windows,
            row_scales: None,
            weights: panels,
            epilogue,
            rows: columns.len(),
            out: SendPointer(out.get().wrapping_add(first)),
            out_stride: shape.out_channels,
            split: Split::new(columns.len(), &panels.layout, 1),
        });
    }

    /// Writes the pixels of row `y` of the padded input, from padded column `first` on, as words:
    /// zeros where there is none.
    fn round(&self, x: Rows, y: Option<usize>, first: usize, words: &mut [f32]) {
        let (shape, inputs) = (&self.shape, self.weights.panels().layout.shape.inputs);
        let Some(y) = y.filter(|&y| y < shape.height) else { return words.fill(0.0) };
        let pixels = words.len() / inputs;
        let before = shape.padding.left.saturating_sub(first);
        let from = (first + before - shape.padding.left).min(shape.width);
        let inside = (pixels - before).min(shape.width - from);
        let (zeros, words) = words.split_at_mut(before * inputs);
        let (words, more_zeros) = words.split_at_mut(inside * inputs);
        zeros.fill(0.0);
        more_zeros.fill(0.0);
        // SAFETY: the pixels of a row lie behind one another, and the convolution before has
        // written this one in an earlier step.
        let row = unsafe { slice::from_raw_parts(x.at(y, from), inside * shape.in_channels) };
        self.weights.words_of(row, words);
    }
}

/// How a [`Halving`] is cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// Rows of the result in a band.
    band_rows: usize,
    /// Parts of a row.
    segments: usize,
    /// Floats of scratch memory for a task.
    pub words: usize,
}

impl Cut {
    /// Tasks of a band of a result of so many rows, from left to right.
    pub fn tasks(&self, band: usize, height: usize) -> usize {
        self.segments * self.rows(band, height)
    }

    fn rows(&self, band: usize, height: usize) -> usize {
        self.band_rows.min(height.saturating_sub(band * self.band_rows))
    }
}
