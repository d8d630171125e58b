//! Batched products of two operands that are both known only at run time. The second one is packed
//! into scratch memory before each product.

use super::driver::{Job, Split, execute};
use super::layout::{PanelLayout, Panels, Precision, WeightShape};
use super::pack::SendPointer;
use super::{Epilogue, Rows};
use crate::aligned::LINE_BYTES;
use crate::isa::Isa;
use crate::pool::Pool;

/// The extents of a batched matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulShape {
    /// Independent products.
    pub batch: usize,
    /// Rows of a and of the result.
    pub rows: usize,
    /// Columns of a, rows of b.
    pub depth: usize,
    /// Columns of b and of the result.
    pub columns: usize,
    /// b is given as `[columns, depth]` rather than `[depth, columns]`.
    pub transposed_b: bool,
    /// One b serves the whole batch.
    pub shared_b: bool,
}

impl MatmulShape {
    fn layout(&self, isa: Isa) -> PanelLayout {
        PanelLayout::new(isa, Precision::F32, WeightShape::linear(self.columns, self.depth), false)
    }

    /// Elements of b that serve sample `sample`.
    fn b_start(&self, sample: usize) -> usize {
        if self.shared_b { 0 } else { sample * self.depth * self.columns }
    }

    fn b_count(&self) -> usize {
        if self.shared_b { 1 } else { self.batch }
    }
}

/// Floats of scratch memory that [`matmul`] needs: those of one b.
pub fn matmul_scratch_len(isa: Isa, shape: &MatmulShape) -> usize {
    shape.layout(isa).len() + LINE_BYTES / size_of::<f32>()
}

/// out = a b for every sample of the batch.
///
/// a: `[batch, rows, depth]`; b: `[batch, depth, columns]`, or without the batch when shared, and
/// with the last two swapped when transposed; out: `[batch, rows, columns]`; scratch:
/// [`matmul_scratch_len`] floats of any content.
///
/// # Panics
/// When a slice has another length than its extents, or an extent of b is zero.
pub fn matmul(
    isa: Isa,
    pool: &Pool,
    shape: &MatmulShape,
    a: &[f32],
    b: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let MatmulShape { batch, rows, depth, columns, .. } = *shape;
    assert_eq!(a.len(), batch * rows * depth, "a of {shape:?}");
    assert_eq!(b.len(), shape.b_count() * depth * columns, "b of {shape:?}");
    assert_eq!(out.len(), batch * rows * columns, "out of {shape:?}");
    let layout = shape.layout(isa);
    let needed = matmul_scratch_len(isa, shape);
    assert!(scratch.len() >= needed, "scratch: {} floats of {needed}", scratch.len());
    let start = scratch.as_ptr().align_offset(LINE_BYTES);
    let packed = &mut scratch[start..][..layout.len()];
    for sample in 0..batch {
        if sample == 0 || !shape.shared_b {
            let b = &b[shape.b_start(sample)..][..depth * columns];
            pack_operand(pool, &layout, shape.transposed_b, b, packed);
        }
        execute(
            pool,
            &Job {
                row_scales: None,
                gather: &Rows { x: &a[sample * rows * depth..], stride: depth },
                weights: Panels { layout, data: packed },
                epilogue: &Epilogue::default(),
                rows,
                out: SendPointer(out[sample * rows * columns..].as_mut_ptr()),
                out_stride: columns,
                split: Split::new(rows, &layout, pool.threads()),
            },
        );
    }
}

/// Writes every panel of b.
fn pack_operand(
    pool: &Pool,
    layout: &PanelLayout,
    transposed: bool,
    b: &[f32],
    packed: &mut [f32],
) {
    let (depth, columns) = (layout.shape.inputs, layout.shape.outputs);
    let (k_stride, column_stride) = if transposed { (1, depth) } else { (columns, 1) };
    let packed = SendPointer(packed.as_mut_ptr());
    pool.run(layout.panels(), &|panel| {
        let width = layout.panel_vectors(panel) * layout.lanes;
        let start = layout.panel_start(panel);
        // SAFETY: panels are disjoint parts of the scratch, each written by one task.
        let out = unsafe { std::slice::from_raw_parts_mut(packed.get().add(start), depth * width) };
        let first = panel * layout.panel_columns();
        let present = width.min(columns - first);
        for (k, row) in out.chunks_exact_mut(width).enumerate() {
            for (lane, out) in row[..present].iter_mut().enumerate() {
                *out = b[k * k_stride + (first + lane) * column_stride];
            }
            row[present..].fill(0.0);
        }
    });
}
