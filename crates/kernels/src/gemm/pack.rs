//! Weights rearranged once, at load, into the order in which the micro-kernel reads them.

use super::bf16::{PairReader, to_pairs, to_pairs_here};
use super::check_matrix;
use super::int8::{self, QuadReader, Quads, to_quads};
use super::layout::{PanelLayout, Panels, Precision, WeightShape};
use crate::aligned::AlignedBuffer;
use crate::isa::Isa;
use crate::pool::Pool;

/// Weights of one output that are transposed together, so that those of a panel stay in the
/// first-level cache.
const BLOCK: usize = 96;

/// Weights in the order of one instruction set's micro-kernel.
#[derive(Debug)]
pub struct PackedWeights {
    shape: WeightShape,
    layout: PanelLayout,
    /// The panels, and then a word of zeros for each input: the row that padding reads. Of int8
    /// then, for each output in the order of the panels, what its sums begin with, and what they are
    /// multiplied by.
    data: AlignedBuffer,
}

/// An input in words.
pub(crate) struct Operand<'a> {
    pub words: &'a [f32],
    /// Words from row to row.
    pub stride: usize,
    /// What the sums of each row are multiplied by, if they are integers.
    pub scales: Option<&'a [f32]>,
}

/// Reads weights in their original order: `read(start, out)` fills `out` with the elements from
/// `start` on of the flattened `[outputs, inputs, taps]`.
pub type ReadWeights<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

impl PackedWeights {
    /// Packs the weights that `read` gives, rounded to `precision`, using every thread of `pool`.
    ///
    /// `gated` weights belong to a gated linear unit: the first half of the outputs are values and
    /// the second half their gates, and the product has half as many columns as outputs.
    ///
    /// # Panics
    /// When an extent is zero, or `gated` weights have an odd number of outputs.
    pub fn pack(
        isa: Isa,
        pool: &Pool,
        precision: Precision,
        shape: WeightShape,
        gated: bool,
        read: ReadWeights<'_>,
    ) -> Self {
        let layout = PanelLayout::new(isa, precision, shape, gated);
        let pairs = PairReader { shape, read };
        let read_pairs: ReadWeights<'_> = &|start, out| pairs.read(start, out);
        let quads = (precision == Precision::Int8).then(|| QuadReader::new(pool, shape, read));
        let read_quads: ReadWeights<'_> = &|start, out| {
            quads.as_ref().expect("made for this precision").read(start, out);
        };
        let read = match precision {
            Precision::F32 => read,
            Precision::Bf16 => read_pairs,
            Precision::Int8 => read_quads,
        };
        let mut data = AlignedBuffer::zeroed(layout.data_len());
        let out = SendPointer(data.as_mut_ptr());
        pool.run(layout.panels(), &|panel| {
            let len = layout.depth() * layout.panel_vectors(panel) * layout.lanes;
            // SAFETY: panels are disjoint parts of `data`, each written by one task.
            let out = unsafe {
                std::slice::from_raw_parts_mut(out.get().add(layout.panel_start(panel)), len)
            };
            pack_panel(&layout, panel, read, out);
        });
        if let Some(quads) = &quads {
            finish_quads(&layout, quads, &mut data);
        }
        Self { shape, layout, data }
    }

    /// Packs weights that lie in memory as `[outputs, inputs, taps]`.
    pub fn from_slice(
        isa: Isa,
        pool: &Pool,
        precision: Precision,
        shape: WeightShape,
        gated: bool,
        weights: &[f32],
    ) -> Self {
        assert_eq!(weights.len(), shape.len(), "weights of {shape:?}");
        Self::pack(isa, pool, precision, shape, gated, &|start, out| {
            out.copy_from_slice(&weights[start..start + out.len()]);
        })
    }

    /// The instruction set whose kernels read these weights.
    pub fn isa(&self) -> Isa {
        self.layout.isa
    }

    /// The extents before packing.
    pub fn shape(&self) -> WeightShape {
        self.shape
    }

    /// How the weights were rounded.
    pub fn precision(&self) -> Precision {
        self.layout.precision
    }

    /// Whether the outputs are values and gates of a gated linear unit.
    pub fn gated(&self) -> bool {
        self.layout.gated
    }

    /// Columns of the product: the outputs, or half of them when gated.
    pub fn columns(&self) -> usize {
        self.layout.columns()
    }

    /// Floats of scratch memory that a product of so many rows of input needs, which for a
    /// convolution are its pixels.
    pub fn scratch_len(&self, rows: usize) -> usize {
        match self.precision() {
            Precision::F32 => 0,
            Precision::Bf16 => rows * self.layout.shape.inputs,
            Precision::Int8 => int8::scratch_len(rows, self.layout.shape.inputs),
        }
    }

    /// The input `[rows, inputs]` in the words that these weights are of; `scratch` is where they
    /// lie if they are others.
    pub(crate) fn operand<'a>(
        &self,
        pool: &Pool,
        rows: usize,
        x: &'a [f32],
        stride: usize,
        scratch: &'a mut [f32],
    ) -> Operand<'a> {
        let inputs = self.shape.inputs;
        check_matrix("x", x.len(), rows, inputs, stride);
        let needed = self.scratch_len(rows);
        assert!(scratch.len() >= needed, "scratch: {} floats of {needed}", scratch.len());
        let extents = [rows, inputs];
        let packed = self.layout.shape.inputs;
        match self.precision() {
            Precision::F32 => Operand { words: x, stride, scales: None },
            Precision::Bf16 => {
                let words = to_pairs(self.isa(), pool, extents, x, stride, scratch);
                Operand { words, stride: packed, scales: None }
            }
            Precision::Int8 => {
                let Quads { words, scales } =
                    to_quads(self.isa(), pool, extents, x, stride, scratch);
                Operand { words, stride: packed, scales: Some(scales) }
            }
        }
    }

    /// Whether the channels of pixels behind one another are whole words: rounded to these
    /// weights' precision they are [`PackedWeights::words_of`] the lot.
    pub(crate) fn takes_runs(&self) -> bool {
        let whole = self.shape.inputs.is_multiple_of(self.precision().channels_per_word());
        whole && self.precision() != Precision::Int8
    }

    /// Writes the words of whole pixels behind one another to `out`, on this thread.
    pub(crate) fn words_of(&self, x: &[f32], out: &mut [f32]) {
        match self.precision() {
            Precision::F32 => out.copy_from_slice(x),
            Precision::Bf16 => to_pairs_here(self.isa(), x, out),
            Precision::Int8 => unreachable!("int8 takes no runs"),
        }
    }

    /// Bytes of memory held.
    pub fn size_bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }

    pub(crate) fn panels(&self) -> Panels<'_> {
        Panels { layout: self.layout, data: &self.data }
    }

    /// A word of zeros for each input.
    pub(crate) fn zero_row(&self) -> &[f32] {
        &self.data[self.layout.zeros_start()..][..self.layout.shape.inputs]
    }
}

/// Writes what integer sums begin with and are multiplied by.
fn finish_quads(layout: &PanelLayout, quads: &QuadReader<'_>, data: &mut [f32]) {
    let (panels, rest) = data.split_at_mut(layout.zeros_start());
    let (zeros, rest) = rest.split_at_mut(layout.shape.inputs);
    zeros.fill(int8::ZEROS);
    let width = layout.panel_width();
    let (begins, scales) = rest.split_at_mut(layout.panels() * width);
    for panel in 0..layout.panels() {
        let lanes = layout.panel_vectors(panel) * layout.lanes;
        let words = &panels[layout.panel_start(panel)..][..layout.depth() * lanes];
        int8::begin_sums(words, &mut begins[panel * width..][..lanes]);
        quads.panel_scales(layout, panel, &mut scales[panel * width..][..lanes]);
    }
}

/// Transposes the rows of one panel's outputs, a block of inputs at a time.
fn pack_panel(layout: &PanelLayout, panel: usize, read: ReadWeights<'_>, out: &mut [f32]) {
    let WeightShape { inputs, taps, .. } = layout.shape;
    let width = layout.panel_vectors(panel) * layout.lanes;
    let step = (BLOCK / taps).max(1);
    // One float more than a row, so that a column does not fall into few sets of the cache.
    let pitch = step * taps + 1;
    let mut block = vec![0.0; width * pitch];
    for first in (0..inputs).step_by(step) {
        let channels = step.min(inputs - first);
        for (lane, row) in block.chunks_exact_mut(pitch).enumerate() {
            if let Some(output) = layout.output(panel, lane) {
                read((output * inputs + first) * taps, &mut row[..channels * taps]);
            }
        }
        for tap in 0..taps {
            let rows = &mut out[(tap * inputs + first) * width..][..channels * width];
            for (channel, row) in rows.chunks_exact_mut(width).enumerate() {
                let column = block[channel * taps + tap..].iter().step_by(pitch);
                row.iter_mut().zip(column).for_each(|(out, &weight)| *out = weight);
            }
        }
    }
}

/// A pointer that tasks share; each use argues that tasks touch disjoint parts.
#[derive(Clone, Copy)]
pub(crate) struct SendPointer(pub *mut f32);

impl SendPointer {
    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: the pointer itself is a number; dereferences carry their own arguments.
unsafe impl Send for SendPointer {}
// SAFETY: as for Send.
unsafe impl Sync for SendPointer {}
