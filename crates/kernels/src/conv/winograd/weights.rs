//! The filters of a 3x3 convolution, packed for the products, and transformed if they are few.

use super::transform::MAX_IN;
use super::{Winograd, is_streamed};
use crate::gemm::{PackedWeights, Precision, ReadWeights, WeightShape};
use crate::isa::Isa;
use crate::pool::Pool;

/// Taps of a filter.
pub(super) const TAPS: usize = 9;

/// The filters of a 3x3 convolution for one kind of minimal filtering.
#[derive(Debug)]
pub struct WinogradWeights {
    kind: Winograd,
    /// Of the products' operands.
    precision: Precision,
    /// `[outputs, inputs]`
    channels: [usize; 2],
    is_streamed: bool,
    /// G g G^T of every filter g, as `[product, inputs, outputs]` in panels; or, where they are
    /// streamed, the filters themselves as `[inputs, taps, outputs]`, rounded too: where int8 is
    /// asked for, to that.
    packed: PackedWeights,
    /// The channels of a pixel beside the picture.
    zeros: Box<[f32]>,
}

impl WinogradWeights {
    /// Packs the filters that `read` gives, `[outputs, inputs, 3, 3]`, using every thread of
    /// `pool`, and transforms them if they are few. The operands of products are rounded as
    /// [`Winograd::rounding`] says of `asked`.
    ///
    /// # Panics
    /// When an extent is zero.
    pub fn pack(
        isa: Isa,
        pool: &Pool,
        kind: Winograd,
        asked: Precision,
        [outputs, inputs]: [usize; 2],
        read: ReadWeights<'_>,
    ) -> Self {
        let is_streamed = is_streamed(outputs, inputs);
        let precision = kind.rounding(isa, asked);
        let packed = match is_streamed {
            true => {
                let shape = WeightShape { outputs, inputs: inputs * TAPS, taps: 1 };
                let stored = if asked == Precision::Int8 { asked } else { precision };
                PackedWeights::pack(isa, pool, stored, shape, false, read)
            }
            false => pack_transformed(isa, pool, kind, precision, [outputs, inputs], read),
        };
        Self {
            kind,
            precision,
            channels: [outputs, inputs],
            is_streamed,
            packed,
            zeros: vec![0.0; inputs].into(),
        }
    }

    /// Which algorithm the filters are for.
    pub fn kind(&self) -> Winograd {
        self.kind
    }

    /// How the operands of the products are rounded, once they are transformed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes of memory held.
    pub fn size_bytes(&self) -> usize {
        self.packed.size_bytes()
    }

    pub(super) fn isa(&self) -> Isa {
        self.packed.isa()
    }

    pub(super) fn channels(&self) -> [usize; 2] {
        self.channels
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    pub(super) fn zeros(&self) -> &[f32] {
        &self.zeros
    }

    pub(super) fn packed(&self) -> &PackedWeights {
        &self.packed
    }
}

fn pack_transformed(
    isa: Isa,
    pool: &Pool,
    kind: Winograd,
    precision: Precision,
    [outputs, inputs]: [usize; 2],
    read: ReadWeights<'_>,
) -> PackedWeights {
    let positions = kind.side() * kind.side();
    let matrix = kind.weights();
    let shape = WeightShape { outputs, inputs, taps: positions };
    let transformed = |start: usize, out: &mut [f32]| {
        let first = start / positions;
        for (filter, out) in (first..).zip(out.chunks_exact_mut(positions)) {
            let mut taps = [0.0; TAPS];
            read(filter * TAPS, &mut taps);
            transform(&matrix[..kind.side()], &taps, out);
        }
    };
    PackedWeights::pack(isa, pool, precision, shape, false, &transformed)
}

/// out = G g G^T, rounded once.
fn transform(matrix: &[[f64; 3]], taps: &[f32; TAPS], out: &mut [f32]) {
    let side = matrix.len();
    let mut columns = [[0.0; 3]; MAX_IN];
    for (row, column) in matrix.iter().zip(&mut columns) {
        for (x, sum) in column.iter_mut().enumerate() {
            *sum = (0..3).map(|y| row[y] * f64::from(taps[y * 3 + x])).sum();
        }
    }
    for (i, column) in columns[..side].iter().enumerate() {
        for (j, row) in matrix.iter().enumerate() {
            out[i * side + j] = row.iter().zip(column).map(|(g, c)| g * c).sum::<f64>() as f32;
        }
    }
}
