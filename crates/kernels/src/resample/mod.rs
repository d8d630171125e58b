//! Enlargement of channels-last pictures by repeating pixels.

pub mod reference;

use crate::chunks::for_each_chunk;
use crate::pool::Pool;

/// Extents of an enlargement by a whole factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the extent of that name")]
pub struct UpsampleShape {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Repetitions of each pixel along height and along width.
    pub factor: usize,
}

impl UpsampleShape {
    fn input_row(&self) -> usize {
        self.width * self.channels
    }

    fn input_len(&self) -> usize {
        self.batch * self.height * self.input_row()
    }
}

/// Repeats every pixel `factor` times along height and width (nearest neighbour).
///
/// x: `[batch, height, width, channels]`; out: `[batch, height * factor, width * factor,
/// channels]`.
///
/// # Panics
/// When a length disagrees with the shape or the factor is 0.
pub fn upsample_nearest(pool: &Pool, shape: &UpsampleShape, x: &[f32], out: &mut [f32]) {
    let factor = shape.factor;
    assert!(factor > 0, "{shape:?}");
    assert_eq!(x.len(), shape.input_len(), "x: {shape:?}");
    assert_eq!(out.len(), x.len() * factor * factor, "out: {shape:?}");
    if x.is_empty() {
        return;
    }
    let row = shape.input_row();
    for_each_chunk(pool, out, row * factor * factor, |index, out| {
        let (first, copies) = out.split_at_mut(row * factor);
        widen(&x[index * row..][..row], shape.channels, factor, first);
        for copy in copies.chunks_exact_mut(row * factor) {
            copy.copy_from_slice(first);
        }
    });
}

/// x: `[width, channels]`; out: `[width * factor, channels]`.
fn widen(x: &[f32], channels: usize, factor: usize, out: &mut [f32]) {
    let pixels = x.chunks_exact(channels).zip(out.chunks_exact_mut(channels * factor));
    for (pixel, out) in pixels {
        for out in out.chunks_exact_mut(channels) {
            out.copy_from_slice(pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn every_output_pixel_is_the_one_below_it() {
        let pool = Pool::new(2);
        let cases = [[1, 1, 1, 1, 1], [2, 3, 5, 7, 2], [1, 4, 2, 3, 3], [1, 64, 64, 9, 2], [0; 5]];
        for [batch, height, width, channels, factor] in cases {
            let shape = UpsampleShape { batch, height, width, channels, factor: factor.max(1) };
            let x = Random::new(3).vector(batch * height * width * channels);
            let mut out = vec![f32::NAN; x.len() * factor * factor];
            let mut want = out.clone();
            upsample_nearest(&pool, &shape, &x, &mut out);
            reference::upsample_nearest(&shape, &x, &mut want);
            assert_eq!(out, want, "{shape:?}");
        }
    }
}
