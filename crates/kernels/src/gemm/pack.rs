//! Weights rearranged once, at load, into the order in which the micro-kernel reads them.
//!
//! A panel holds the outputs of one tile as `[taps, inputs, panel width]`, where the width is a whole
//! number of vectors; outputs past the last are zero. The last panel has only the vectors it needs.

use crate::aligned::AlignedBuffer;
use crate::isa::Isa;
use crate::pool::Pool;

/// Weights of one output that are transposed together, so that those of a panel stay in the
/// first-level cache.
const BLOCK: usize = 96;

/// The extents of a weight tensor: `[outputs, inputs, taps]`, that is OIHW with the kernel's
/// positions flattened, or `[outputs, inputs]` of a linear layer with one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightShape {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// Kernel positions, row by row: 9 for 3x3, 1 for linear.
    pub taps: usize,
}

impl WeightShape {
    /// `[outputs, inputs]` of a linear layer or 1x1 convolution.
    pub fn linear(outputs: usize, inputs: usize) -> Self {
        Self { outputs, inputs, taps: 1 }
    }

    /// The number of weights.
    pub fn len(&self) -> usize {
        self.outputs * self.inputs * self.taps
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Weights in the order of one instruction set's micro-kernel.
#[derive(Debug)]
pub struct PackedWeights {
    isa: Isa,
    /// Lanes of a vector and vectors of a full panel of `isa`.
    lanes: usize,
    vectors: usize,
    shape: WeightShape,
    gated: bool,
    /// The panels, and then `inputs` zeros: the row that padding reads.
    data: AlignedBuffer,
}

/// Reads weights in their original order: `read(start, out)` fills `out` with the elements from
/// `start` on of the flattened `[outputs, inputs, taps]`.
pub type ReadWeights<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

impl PackedWeights {
    /// Packs the weights that `read` gives, using every thread of `pool`.
    ///
    /// `gated` weights belong to a gated linear unit: the first half of the outputs are values and
    /// the second half their gates, and the product has half as many columns as outputs.
    ///
    /// # Panics
    /// When an extent is zero, or `gated` weights have an odd number of outputs.
    pub fn pack(
        isa: Isa,
        pool: &Pool,
        shape: WeightShape,
        gated: bool,
        read: ReadWeights<'_>,
    ) -> Self {
        assert!(!shape.is_empty(), "weights have no empty extent: {shape:?}");
        assert!(!gated || shape.outputs.is_multiple_of(2), "values and gates come in pairs");
        let (lanes, vectors) = (isa.lanes(), isa.tile_vectors());
        let data = AlignedBuffer::zeroed(0);
        let mut weights = Self { isa, lanes, vectors, shape, gated, data };
        let len = weights.panel_start(weights.panels() - 1) + weights.panel_len_of_last();
        weights.data = AlignedBuffer::zeroed(len + shape.inputs);
        let out = SendPointer(weights.data.as_mut_ptr());
        let layout = &weights;
        pool.run(layout.panels(), &|panel| {
            let len = layout.depth() * layout.panel_vectors(panel) * lanes;
            // SAFETY: panels are disjoint parts of `data`, each written by one task.
            let out = unsafe {
                std::slice::from_raw_parts_mut(out.get().add(layout.panel_start(panel)), len)
            };
            layout.pack_panel(panel, read, out);
        });
        weights
    }

    /// Packs weights that lie in memory as `[outputs, inputs, taps]`.
    pub fn from_slice(
        isa: Isa,
        pool: &Pool,
        shape: WeightShape,
        gated: bool,
        weights: &[f32],
    ) -> Self {
        assert_eq!(weights.len(), shape.len(), "weights of {shape:?}");
        Self::pack(isa, pool, shape, gated, &|start, out| {
            out.copy_from_slice(&weights[start..start + out.len()]);
        })
    }

    /// The instruction set whose kernels read these weights.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The extents before packing.
    pub fn shape(&self) -> WeightShape {
        self.shape
    }

    /// Whether the outputs are values and gates of a gated linear unit.
    pub fn gated(&self) -> bool {
        self.gated
    }

    /// Columns of the product: the outputs, or half of them when gated.
    pub fn columns(&self) -> usize {
        if self.gated { self.shape.outputs / 2 } else { self.shape.outputs }
    }

    /// Bytes of memory held.
    pub fn size_bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }

    /// Columns of the product that one panel computes.
    pub(crate) fn panel_columns(&self) -> usize {
        if self.gated { self.panel_width() / 2 } else { self.panel_width() }
    }

    pub(crate) fn panels(&self) -> usize {
        self.columns().div_ceil(self.panel_columns())
    }

    /// Outputs in a full panel, values and gates.
    pub(crate) fn panel_width(&self) -> usize {
        self.vectors * self.lanes
    }

    /// Vectors in a row of the panel: fewer in the last, unless gated.
    pub(crate) fn panel_vectors(&self, panel: usize) -> usize {
        let rest = self.columns() - panel * self.panel_columns();
        if self.gated { self.vectors } else { rest.div_ceil(self.lanes).min(self.vectors) }
    }

    /// Multiply-adds for one output: inputs of all taps.
    pub(crate) fn depth(&self) -> usize {
        self.shape.inputs * self.shape.taps
    }

    /// Floats of one full panel.
    pub(crate) fn panel_len(&self) -> usize {
        self.depth() * self.panel_width()
    }

    /// The panel's data from flattened (tap, input) position `k` on.
    pub(crate) fn panel(&self, panel: usize, k: usize) -> &[f32] {
        let width = self.panel_vectors(panel) * self.lanes;
        let start = self.panel_start(panel);
        &self.data[start + k * width..start + self.depth() * width]
    }

    /// `inputs` zeros.
    pub(crate) fn zero_row(&self) -> &[f32] {
        &self.data[self.data.len() - self.shape.inputs..]
    }

    fn panel_start(&self, panel: usize) -> usize {
        panel * self.panel_len()
    }

    fn panel_len_of_last(&self) -> usize {
        self.depth() * self.panel_vectors(self.panels() - 1) * self.lanes
    }

    /// The output that lane `lane` of `panel` computes, if any.
    fn output(&self, panel: usize, lane: usize) -> Option<usize> {
        let columns = self.panel_columns();
        let (half, lane) = (lane / columns, lane % columns);
        let column = panel * columns + lane;
        (column < self.columns()).then(|| half * self.columns() + column)
    }

    /// Transposes the rows of one panel's outputs, a block of inputs at a time.
    fn pack_panel(&self, panel: usize, read: ReadWeights<'_>, out: &mut [f32]) {
        let WeightShape { inputs, taps, .. } = self.shape;
        let width = self.panel_vectors(panel) * self.lanes;
        let step = (BLOCK / taps).max(1);
        // One float more than a row, so that a column does not fall into few sets of the cache.
        let pitch = step * taps + 1;
        let mut block = vec![0.0; width * pitch];
        for first in (0..inputs).step_by(step) {
            let channels = step.min(inputs - first);
            for (lane, row) in block.chunks_exact_mut(pitch).enumerate() {
                if let Some(output) = self.output(panel, lane) {
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
