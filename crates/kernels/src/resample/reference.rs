//! The plain definition of the enlargement.

use super::UpsampleShape;

/// What [`super::upsample_nearest`] computes.
pub fn upsample_nearest(shape: &UpsampleShape, x: &[f32], out: &mut [f32]) {
    let UpsampleShape { height, width, channels, factor, .. } = *shape;
    for (i, out) in out.iter_mut().enumerate() {
        let (channel, pixel) = (i % channels, i / channels);
        let (column, row) = (pixel % (width * factor), pixel / (width * factor));
        let (picture, row) = (row / (height * factor), row % (height * factor));
        let source = (picture * height + row / factor) * width + column / factor;
        *out = x[source * channels + channel];
    }
}
