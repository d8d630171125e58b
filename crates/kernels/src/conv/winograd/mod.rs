//! 3x3 convolutions with stride 1 by Winograd's minimal filtering, F(m x m, 3 x 3) (Lavin and Gray
//! 2016, arXiv 1509.09308): tiles of the input are transformed, multiplied by transformed filters
//! with one matrix product for each position in the tile, and transformed back.
//!
//! Few filters are kept transformed (`near`). Of many, that would be several times the bytes of the
//! checkpoint in memory and on the way from it, and they are transformed anew at each use
//! (`streamed`). Either way the epilogue is applied to the outputs while they are in registers.

mod chain;
mod choice;
mod filter;
mod input;
mod near;
mod output;
mod product;
mod rows;
mod streamed;
mod tiles;
mod transform;
mod weights;

pub use chain::{Chain, Halving, Link, MAX_LINKS};
pub(super) use choice::likely_ways;
pub use choice::{CONVOLUTIONS_VARIABLE, Convolutions, UnknownConvolutions, Way};
pub use weights::WinogradWeights;

use super::ConvShape;
use crate::gemm::micro::Words;
use crate::gemm::{Epilogue, Precision, check_matrix};
use crate::isa::Isa;
use crate::pool::Pool;
use near::Blocks;
use rows::Rows;
use std::marker::PhantomData;
use streamed::Stages;
use tiles::{Layout, Tiles};
use transform::{F2, F4, F4Enlarged, MAX_IN, Transform};

/// Which minimal filtering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Winograd {
    /// F(2x2, 3x3): 16 products for 4 outputs, of 36.
    F2,
    /// F(4x4, 3x3): 36 products for 16 outputs, of 144.
    F4,
    /// F(4x4, 3x3) of an input that is enlarged twice: 25 products for 16 outputs.
    F4Enlarged,
}

impl Winograd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F2, Self::F4, Self::F4Enlarged];

    /// Whether the convolution is one that this computes.
    pub fn computes(self, shape: &ConvShape) -> bool {
        let plain = shape.kernel == [3, 3] && shape.stride == [1, 1];
        let odd = |pad: usize| pad % 2 == 1;
        let paired = shape.upsample == 2 && odd(shape.padding.top) && odd(shape.padding.left);
        plain && (self != Self::F4Enlarged || paired)
    }

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F2 => "winograd2",
            Self::F4 => "winograd4",
            Self::F4Enlarged => "winograd4up",
        }
    }

    /// How operands are rounded where `asked` for. F(4x4, 3x3) of an enlarged input keeps f32: it
    /// would lose more than twice what the others do, and it has the fewest products.
    pub fn rounding(self, isa: Isa, asked: Precision) -> Precision {
        if self == Self::F4Enlarged { Precision::F32 } else { asked.without_int8(isa) }
    }

    /// Products for a tile.
    fn products(self) -> usize {
        match self {
            Self::F4Enlarged => 25,
            _ => self.side() * self.side(),
        }
    }

    /// The side of a tile of outputs.
    fn outputs(self) -> usize {
        self.side() - 2
    }

    /// The side of a tile of inputs.
    fn side(self) -> usize {
        match self {
            Self::F2 => F2::IN,
            Self::F4 => F4::IN,
            Self::F4Enlarged => F4Enlarged::IN,
        }
    }

    fn weights(self) -> [[f64; 3]; MAX_IN] {
        match self {
            Self::F2 => F2::weights(),
            Self::F4 => F4::weights(),
            Self::F4Enlarged => F4Enlarged::weights(),
        }
    }
}

/// Floats of scratch memory that [`conv2d_winograd`] needs with a pool of `threads` and filters
/// packed for the precision that was `asked` for.
pub fn winograd_scratch_len(
    isa: Isa,
    threads: usize,
    kind: Winograd,
    asked: Precision,
    shape: &ConvShape,
) -> usize {
    let precision = kind.rounding(isa, asked);
    match is_streamed(shape.out_channels, shape.in_channels) {
        true => Stages::new(isa, threads, kind, precision, shape).scratch_len(threads),
        false => Blocks::new(isa, threads, kind, precision, shape).scratch_len(threads),
    }
}

/// out = epilogue(conv(x)), as [`super::conv2d`] for the shapes that `weights.kind()` computes.
///
/// scratch: [`winograd_scratch_len`] floats of any content.
///
/// # Panics
/// When a slice is too short for its extents, `weights` are of another shape, or their kind does
/// not compute this convolution.
pub fn conv2d_winograd(
    pool: &Pool,
    shape: &ConvShape,
    x: &[f32],
    x_stride: usize,
    weights: &WinogradWeights,
    epilogue: &Epilogue<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
    out_stride: usize,
) {
    let (kind, precision) = (weights.kind(), weights.precision());
    let (isa, threads) = (weights.isa(), pool.threads());
    let channels = [shape.out_channels, shape.in_channels];
    assert_eq!(weights.channels(), channels, "weights of the convolution {shape:?}");
    assert!(kind.computes(shape), "{kind:?} of {shape:?}");
    assert!(shape.upsample.is_power_of_two(), "enlarged by a power of two: {shape:?}");
    let rows = shape.out_rows();
    check_matrix("x", x.len(), shape.pixels(), shape.in_channels, x_stride);
    check_matrix("out", out.len(), rows, shape.out_channels, out_stride);
    epilogue.check(rows, shape.out_channels, shape.out_channels);
    let picture = shape.out_height() * shape.out_width();
    assert!(epilogue.batch_bias.is_none_or(|bias| bias.rows == picture), "a sample is a picture");
    let width = shape.out_width();
    let job = Job {
        shape,
        weights,
        epilogue,
        x: Rows::whole(x.as_ptr(), shape.width, x_stride),
        residual: residual_rows(epilogue, width),
        out: Rows::whole(out.as_mut_ptr(), width, out_stride),
    };
    if weights.is_streamed() {
        streamed::execute(pool, &job, &Stages::new(isa, threads, kind, precision, shape), scratch);
    } else {
        near::execute(pool, &job, &Blocks::new(isa, threads, kind, precision, shape), scratch);
    }
}

/// Whether filters of so many channels are transformed at each use.
fn is_streamed(outputs: usize, inputs: usize) -> bool {
    outputs.max(inputs) > MOST_KEPT_CHANNELS
}

/// Channels up to which filters are kept transformed: where a row of the micro-kernel's tiles still
/// fits into a second-level cache after its transform.
const MOST_KEPT_CHANNELS: usize = 256;

/// One convolution; lengths were checked by the public entry.
struct Job<'a> {
    shape: &'a ConvShape,
    weights: &'a WinogradWeights,
    /// Its residual is `residual`.
    epilogue: &'a Epilogue<'a>,
    x: Rows,
    residual: Option<Rows>,
    out: Rows,
}

/// The residual of a whole picture.
fn residual_rows(epilogue: &Epilogue<'_>, width: usize) -> Option<Rows> {
    epilogue.residual.map(|residual| Rows::whole(residual.values.as_ptr(), width, residual.stride))
}

/// What the steps of a task share.
#[derive(Clone, Copy)]
struct Task<'a, T, W> {
    job: &'a Job<'a>,
    tiles: Tiles,
    layout: Layout,
    /// Transformed inputs and products, in scratch memory.
    inputs: *mut f32,
    products: *mut f32,
    kinds: PhantomData<(T, W)>,
}

impl<'a, T: Transform, W: Words> Task<'a, T, W> {
    fn new(
        job: &'a Job<'a>,
        tiles: Tiles,
        layout: Layout,
        inputs: *mut f32,
        products: *mut f32,
    ) -> Self {
        Self { job, tiles, layout, inputs, products, kinds: PhantomData }
    }
}

#[cfg(test)]
mod tests;
