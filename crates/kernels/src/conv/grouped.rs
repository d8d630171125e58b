//! Grouped and depth-wise convolution, computed directly: correct for every shape, not tuned, since
//! none of the networks here spends time in one.

use super::ConvShape;
use crate::gemm::epilogue::{Finish, TileBuffer};
use crate::gemm::{Epilogue, SendPointer, check_matrix};
use crate::isa::{Isa, Simd, Variant, pick, variants};
use crate::pool::Pool;

/// out = epilogue(conv(x)), where output channels are divided into `groups` that each read their
/// own part of the input channels; as many groups as input channels make it depth-wise.
///
/// x: `[batch, height, width, in_channels]` with `x_stride` floats from pixel to pixel; weights:
/// `[out_channels, in_channels / groups, kernel]`; out: `[batch, out_height, out_width,
/// out_channels]` with `out_stride` floats from pixel to pixel.
///
/// # Panics
/// When a slice is too short for its extents, or `groups` does not divide both channel counts.
pub fn conv2d_grouped(
    isa: Isa,
    pool: &Pool,
    shape: &ConvShape,
    groups: usize,
    x: &[f32],
    x_stride: usize,
    weights: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let ConvShape { in_channels, out_channels, .. } = *shape;
    assert!(
        in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups),
        "{groups} groups divide the channels of {shape:?}"
    );
    let rows = shape.out_rows();
    let taps = out_channels * (in_channels / groups) * shape.taps();
    assert_eq!(weights.len(), taps, "weights of {shape:?} in {groups} groups");
    check_matrix("x", x.len(), shape.batch * shape.height * shape.width, in_channels, x_stride);
    check_matrix("out", out.len(), rows, out_channels, out_stride);
    epilogue.check(rows, out_channels, out_channels);
    let out = SendPointer(out.as_mut_ptr());
    let job = Job { shape, groups, x, x_stride, weights, epilogue, out, out_stride };
    let task = pick(TASKS, isa);
    pool.run(rows, &|row| task(&job, row));
}

struct Job<'a> {
    shape: &'a ConvShape,
    groups: usize,
    x: &'a [f32],
    x_stride: usize,
    weights: &'a [f32],
    epilogue: &'a Epilogue<'a>,
    out: SendPointer,
    out_stride: usize,
}

type Entry = fn(&Job<'_>, usize);

static TASKS: &[Variant<Entry>] = variants!(task: Entry);

/// One output pixel, a tile of channels at a time.
fn task<S: Simd>(job: &Job<'_>, row: usize) {
    let s = S::detect().expect("an entry is picked only for an available Isa");
    let outputs = job.shape.out_channels;
    let width = S::TILE_VECTORS * S::LANES;
    for column in (0..outputs).step_by(width) {
        let columns = width.min(outputs - column);
        let mut sums = TileBuffer::zeroed();
        for lane in 0..columns {
            sums.set(lane, job.sum(row, column + lane));
        }
        s.vectorize(Finish {
            sums: &mut sums,
            vectors: S::TILE_VECTORS,
            epilogue: job.epilogue,
            row,
            rows: 1,
            column,
            columns,
            outputs,
            gated: false,
            out: job.out.get().wrapping_add(row * job.out_stride + column),
            out_stride: job.out_stride,
        });
    }
}

impl Job<'_> {
    /// The window sum of one output channel at output pixel `row`.
    fn sum(&self, row: usize, output: usize) -> f32 {
        let shape = self.shape;
        let (out_height, out_width) = (shape.out_height(), shape.out_width());
        let (oy, ox) = (row / out_width % out_height, row % out_width);
        let first_row = row / out_width / out_height * shape.height;
        let mut sum = 0.0;
        for tap in 0..shape.taps() {
            let (ky, kx) = (tap / shape.kernel[1], tap % shape.kernel[1]);
            // Left of or above the picture the difference wraps to a number beyond its size.
            let y = (oy * shape.stride[0] + ky).wrapping_sub(shape.padding.top) / shape.upsample;
            let x = (ox * shape.stride[1] + kx).wrapping_sub(shape.padding.left) / shape.upsample;
            if y < shape.height && x < shape.width {
                sum += self.dot((first_row + y) * shape.width + x, output, tap);
            }
        }
        sum
    }

    /// The products of one kernel position.
    fn dot(&self, pixel: usize, output: usize, tap: usize) -> f32 {
        let inputs = self.shape.in_channels / self.groups;
        let group = output / (self.shape.out_channels / self.groups);
        let x = &self.x[pixel * self.x_stride + group * inputs..][..inputs];
        let taps = self.shape.taps();
        let weights = self.weights[output * inputs * taps + tap..].iter().step_by(taps);
        x.iter().zip(weights).map(|(x, weight)| x * weight).sum()
    }
}
