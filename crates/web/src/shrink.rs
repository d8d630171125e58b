//! Makes a picture smaller for a small screen: each pixel is the mean of those
//! that it covers.

use laterna_pipeline::{Image, Size};

/// The size with a width of at most `width` and the same shape.
pub(crate) fn bounded(size: Size, width: usize) -> Size {
    if size.width <= width || width == 0 {
        return size;
    }
    Size::new(width, (size.height * width).div_ceil(size.width))
}

/// Writes `image` into `out` at `size`, neither side of which is larger.
pub(crate) fn shrink(image: &Image, size: Size, out: &mut Image) {
    out.reset(size);
    let from = image.size();
    let columns: Vec<_> = (0..size.width).map(|x| covered(x, from.width, size.width)).collect();
    for (y, row) in out.rgb_mut().chunks_exact_mut(3 * size.width).enumerate() {
        let (top, bottom) = covered(y, from.height, size.height);
        let rows = &image.rgb()[3 * top * from.width..3 * bottom * from.width];
        for (pixel, &(left, right)) in row.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            *pixel = mean(rows, from.width, left, right);
        }
    }
}

/// The pixels that pixel `i` of `to` covers in `from`, at least one.
fn covered(i: usize, from: usize, to: usize) -> (usize, usize) {
    (i * from / to, (i + 1) * from / to)
}

fn mean(rows: &[u8], width: usize, left: usize, right: usize) -> [u8; 3] {
    let mut sums = [0usize; 3];
    for row in rows.chunks_exact(3 * width) {
        for pixel in row[3 * left..3 * right].as_chunks::<3>().0 {
            sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += usize::from(value));
        }
    }
    let count = (right - left) * (rows.len() / (3 * width));
    sums.map(|sum| ((sum + count / 2) / count.max(1)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_screen_gets_the_same_shape() {
        assert_eq!(bounded(Size::new(512, 512), 1000), Size::new(512, 512));
        assert_eq!(bounded(Size::new(512, 256), 100), Size::new(100, 50));
        assert_eq!(bounded(Size::new(2048, 64), 64), Size::new(64, 2));
        assert_eq!(bounded(Size::new(64, 64), 0), Size::new(64, 64));
    }

    #[test]
    fn pixels_are_means_and_a_flat_picture_stays_flat() {
        let mut image = Image::new(Size::new(4, 2));
        let values = [0u8, 10, 20, 30, 10, 20, 100, 50];
        for (pixel, value) in image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().zip(values) {
            *pixel = [value, value, 255];
        }
        let mut out = Image::default();
        shrink(&image, Size::new(2, 1), &mut out);
        assert_eq!(out.rgb(), [10, 10, 255, 50, 50, 255]);
        shrink(&image, Size::new(3, 2), &mut out);
        assert!(out.rgb().as_chunks::<3>().0.iter().all(|pixel| pixel[2] == 255));
    }
}
