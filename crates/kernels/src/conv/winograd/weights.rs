//! The filters of a 3x3 convolution, transformed once and packed for the products.

use super::Winograd;
use super::transform::MAX_IN;
use crate::gemm::{PackedWeights, ReadWeights, WeightShape};
use crate::isa::Isa;
use crate::pool::Pool;

/// Taps of the filter that is transformed.
const TAPS: usize = 9;

/// G g G^T of every filter g, as `[product, inputs, outputs]` in panels.
#[derive(Debug)]
pub struct WinogradWeights {
    pub(super) kind: Winograd,
    pub(super) packed: PackedWeights,
}

impl WinogradWeights {
    /// Transforms and packs the filters that `read` gives, `[outputs, inputs, 3, 3]`, using every
    /// thread of `pool`.
    ///
    /// # Panics
    /// When an extent is zero.
    pub fn pack(
        isa: Isa,
        pool: &Pool,
        kind: Winograd,
        outputs: usize,
        inputs: usize,
        read: ReadWeights<'_>,
    ) -> Self {
        let taps = kind.side() * kind.side();
        let matrix = kind.weights();
        let shape = WeightShape { outputs, inputs, taps };
        let transformed = |start: usize, out: &mut [f32]| {
            let first = start / taps;
            for (filter, out) in (first..).zip(out.chunks_exact_mut(taps)) {
                let mut taps = [0.0; TAPS];
                read(filter * TAPS, &mut taps);
                transform(&matrix[..kind.side()], &taps, out);
            }
        };
        Self { kind, packed: PackedWeights::pack(isa, pool, shape, false, &transformed) }
    }

    /// Which algorithm the filters were transformed for.
    pub fn kind(&self) -> Winograd {
        self.kind
    }

    /// Bytes of memory held.
    pub fn size_bytes(&self) -> usize {
        self.packed.size_bytes()
    }
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
