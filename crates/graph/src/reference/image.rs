//! Operations on `[batch, channels, height, width]`.

use laterna_tensor::{Shape, Tensor};

use super::{Evaluated, f32_tensor};
use crate::op::Conv2d;

/// The sum of products, without the epilogue.
pub(super) fn conv2d(conv: &Conv2d, x: &Tensor, weight: &Tensor) -> Evaluated {
    if conv.upsample != 1 {
        let plain = Conv2d { upsample: 1, ..conv.clone() };
        return conv2d(&plain, &upsample_nearest(x, conv.upsample)?, weight);
    }
    let &[batch, channels, height, width] = &*x.shape() else { unreachable!("inferred") };
    let &[out, per_group, kernel_h, kernel_w] = &*weight.shape() else { unreachable!("inferred") };
    let pad = conv.padding;
    let rows = (height + pad.top + pad.bottom - kernel_h) / conv.stride[0] + 1;
    let columns = (width + pad.left + pad.right - kernel_w) / conv.stride[1] + 1;
    let (data, weights) = (x.as_f32()?, weight.as_f32()?);
    let mut result = Vec::with_capacity(batch * out * rows * columns);
    for b in 0..batch {
        for o in 0..out {
            let first = o / (out / conv.groups) * per_group;
            let kernel = &weights[o * per_group * kernel_h * kernel_w..];
            let plane = |c: usize| &data[(b * channels + first + c) * height * width..];
            for y in 0..rows {
                for x in 0..columns {
                    let mut sum = 0.0f64;
                    for (c, ky, kx) in taps(per_group, kernel_h, kernel_w) {
                        let row = (y * conv.stride[0] + ky).wrapping_sub(pad.top);
                        let column = (x * conv.stride[1] + kx).wrapping_sub(pad.left);
                        if row < height && column < width {
                            let w = kernel[(c * kernel_h + ky) * kernel_w + kx];
                            sum += f64::from(w) * f64::from(plane(c)[row * width + column]);
                        }
                    }
                    result.push(sum as f32);
                }
            }
        }
    }
    f32_tensor(Shape::from([batch, out, rows, columns]), result)
}

fn taps(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

pub(super) fn upsample_nearest(x: &Tensor, factor: usize) -> Evaluated {
    let &[batch, channels, height, width] = &*x.shape() else { unreachable!("inferred") };
    let data = x.as_f32()?;
    let mut result = Vec::with_capacity(data.len() * factor * factor);
    for row in data.chunks_exact(width.max(1)) {
        for _ in 0..factor {
            result.extend(row.iter().flat_map(|&v| std::iter::repeat_n(v, factor)));
        }
    }
    f32_tensor(Shape::from([batch, channels, height * factor, width * factor]), result)
}
