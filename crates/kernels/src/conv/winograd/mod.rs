//! 3x3 convolutions with stride 1 by Winograd's minimal filtering, F(m x m, 3 x 3) (Lavin and Gray
//! 2016, arXiv 1509.09308): tiles of the input are transformed, multiplied by transformed filters
//! with one matrix product for each position in the tile, and transformed back.
//!
//! A task takes a block of tiles through all three steps, so that what is between them stays in the
//! second-level cache; the epilogue is applied to the outputs while they are in registers.

mod block;
mod input;
mod output;
mod product;
mod transform;
mod weights;

pub use weights::WinogradWeights;

use super::ConvShape;
use crate::gemm::{Epilogue, SendPointer, check_matrix};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::pool::Pool;
use block::{Blocks, Scratch};
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

    /// The one that suits a convolution, or `None` where the direct kernel does: the only place
    /// where this is decided.
    ///
    /// The bound on channels is where a row of the micro-kernel's tiles no longer fits into a
    /// second-level cache after its transform, where transformed filters, four times as large as
    /// they were, become many megabytes, and where sums are so long that what F(4x4, 3x3) adds to
    /// their rounding errors is felt. A picture smaller than a tile wastes most of it.
    pub fn choose(shape: &ConvShape) -> Option<Self> {
        const MOST_CHANNELS: usize = 256;
        let channels = shape.in_channels.max(shape.out_channels);
        let side = shape.out_height().min(shape.out_width());
        let suits = |kind: &Self| side >= kind.outputs() && kind.computes(shape);
        // Fewest products first.
        let all = [Self::F4Enlarged, Self::F4, Self::F2];
        all.into_iter().find(suits).filter(|_| channels <= MOST_CHANNELS)
    }

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

/// Floats of scratch memory that [`conv2d_winograd`] needs with a pool of `threads`.
pub fn winograd_scratch_len(isa: Isa, threads: usize, kind: Winograd, shape: &ConvShape) -> usize {
    Blocks::new(isa, threads, kind, shape).scratch_len(threads)
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
    let (kind, packed) = (weights.kind, weights.packed.shape());
    let channels = [shape.out_channels, shape.in_channels];
    assert_eq!([packed.outputs, packed.inputs], channels, "weights of the convolution {shape:?}");
    assert!(kind.computes(shape), "{kind:?} of {shape:?}");
    assert!(shape.upsample.is_power_of_two(), "enlarged by a power of two: {shape:?}");
    let (pixels, rows) = (shape.batch * shape.height * shape.width, shape.out_rows());
    check_matrix("x", x.len(), pixels, shape.in_channels, x_stride);
    check_matrix("out", out.len(), rows, shape.out_channels, out_stride);
    epilogue.check(rows, shape.out_channels, shape.out_channels);
    let picture = shape.out_height() * shape.out_width();
    assert!(epilogue.batch_bias.is_none_or(|bias| bias.rows == picture), "a sample is a picture");
    let isa = weights.packed.isa();
    let blocks = Blocks::new(isa, pool.threads(), kind, shape);
    let scratch = Scratch::new(scratch, &blocks, pool.threads());
    let out = SendPointer(out.as_mut_ptr());
    let job = Job { shape, x, x_stride, weights, epilogue, blocks, scratch, out, out_stride };
    let task = pick(VARIANTS, isa);
    pool.run_numbered(job.blocks.tasks(), &|thread, index| task(&job, thread, index));
}

/// One convolution; lengths were checked by the public entry.
struct Job<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    x_stride: usize,
    weights: &'a WinogradWeights,
    epilogue: &'a Epilogue<'a>,
    blocks: Blocks,
    scratch: Scratch,
    out: SendPointer,
    out_stride: usize,
}

type Entry = fn(&Job<'_>, usize, usize);

static VARIANTS: &[Variant<Entry>] = variants!(task: Entry);

fn task<S: Simd>(job: &Job<'_>, thread: usize, index: usize) {
    match job.weights.kind {
        Winograd::F2 => run::<S, _>(Task::<F2>::new(job, thread, index)),
        Winograd::F4 => run::<S, _>(Task::<F4>::new(job, thread, index)),
        Winograd::F4Enlarged => run::<S, _>(Task::<F4Enlarged>::new(job, thread, index)),
    }
}

/// A block of tiles and a group of panels of outputs.
struct Task<'a, T> {
    job: &'a Job<'a>,
    index: usize,
    /// This thread's part of the scratch memory: transformed inputs, then products.
    inputs: *mut f32,
    products: *mut f32,
    transform: std::marker::PhantomData<T>,
}

impl<'a, T: Transform> Task<'a, T> {
    fn new(job: &'a Job<'a>, thread: usize, index: usize) -> Self {
        let (inputs, products) = job.scratch.of(&job.blocks, thread);
        Self { job, index, inputs, products, transform: std::marker::PhantomData }
    }
}

impl<T: Transform> SimdOp for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let tiles = self.job.blocks.tiles_of(self.index);
        for (slot, tile) in tiles.clone().enumerate() {
            self.transform_input(s, slot, tile);
        }
        self.clear_absent(tiles.len());
        for panel in self.job.blocks.panels_of(self.index) {
            for tile in tiles.clone() {
                self.prefetch(s, tile, panel);
            }
            self.multiply(s, tiles.len(), panel);
            for (slot, tile) in tiles.clone().enumerate() {
                self.transform_output(s, slot, tile, panel);
            }
        }
    }
}

#[cfg(test)]
mod tests;
