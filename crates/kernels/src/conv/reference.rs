//! The plain definition of convolution, accumulated in f64.

use super::ConvShape;
use crate::gemm::Epilogue;
use crate::gemm::reference::finish_row;

/// What [`super::conv2d_grouped`] computes, and with one group [`super::conv2d`]; `weights`:
/// `[out_channels, in_channels / groups, kernel]`, not packed.
pub fn conv2d(
    shape: &ConvShape,
    groups: usize,
    x: &[f32],
    x_stride: usize,
    weights: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let (height, width) = (shape.out_height(), shape.out_width());
    for row in 0..shape.out_rows() {
        let (picture, oy, ox) = (row / width / height, row / width % height, row % width);
        let sum = |output: usize| {
            window_sum(shape, groups, x, x_stride, weights, [picture, oy, ox, output])
        };
        let out = &mut out[row * out_stride..];
        finish_row(&sum, row, shape.out_channels, false, epilogue, out);
    }
}

fn window_sum(
    shape: &ConvShape,
    groups: usize,
    x: &[f32],
    x_stride: usize,
    weights: &[f32],
    [picture, oy, ox, output]: [usize; 4],
) -> f64 {
    let [kernel_height, kernel_width] = shape.kernel;
    let inputs = shape.in_channels / groups;
    let group = output / (shape.out_channels / groups);
    let mut sum = 0.0;
    for ky in 0..kernel_height {
        for kx in 0..kernel_width {
            let y = (oy * shape.stride[0] + ky).checked_sub(shape.padding.top);
            let x_at = (ox * shape.stride[1] + kx).checked_sub(shape.padding.left);
            let (Some(y), Some(x_at)) = (y, x_at) else { continue };
            let (y, x_at) = (y / shape.upsample, x_at / shape.upsample);
            if y >= shape.height || x_at >= shape.width {
                continue;
            }
            let pixel = (picture * shape.height + y) * shape.width + x_at;
            for channel in 0..inputs {
                let weight = (output * inputs + channel) * shape.taps();
                let weight = weights[weight + ky * kernel_width + kx];
                sum +=
                    f64::from(x[pixel * x_stride + group * inputs + channel]) * f64::from(weight);
            }
        }
    }
    sum
}
