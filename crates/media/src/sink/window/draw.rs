//! A picture into a window's pixels, `0x00RRGGBB`: as large as fits, in the
//! middle, with black around it.

use laterna_pipeline::{Image, Size};

use crate::sink::Filter;
use crate::sink::scale::{Scaler, letterbox};

/// Draws pictures; its tables are kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Painter {
    scaler: Scaler,
}

impl Painter {
    /// Fills `pixels`, rows of a window of `size`, with `image`.
    pub(super) fn draw(&mut self, image: &Image, filter: Filter, size: Size, pixels: &mut [u32]) {
        if image.size().area() == 0 || size.area() == 0 {
            pixels.fill(0);
            return;
        }
        let place = letterbox(image.size(), size);
        self.scaler.set(image.size(), place.size, filter);
        let inside = place.top..place.top + place.size.height;
        for (y, row) in pixels.chunks_exact_mut(size.width).enumerate() {
            if !inside.contains(&y) {
                row.fill(0);
                continue;
            }
            let (left, rest) = row.split_at_mut(place.left);
            let (middle, right) = rest.split_at_mut(place.size.width);
            left.fill(0);
            right.fill(0);
            self.scaler.row(image, y - place.top, |x, [r, g, b]| {
                middle[x] = u32::from_be_bytes([0, r, g, b]);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_written() {
        let mut image = Image::new(Size::new(2, 1));
        image.rgb_mut().copy_from_slice(&[1, 2, 3, 250, 251, 252]);
        let mut pixels = [u32::MAX; 24];
        Painter::default().draw(&image, Filter::Nearest, Size::new(6, 4), &mut pixels);
        let (bar, a, b) = ([0; 6], 0x01_02_03, 0xfa_fb_fc);
        // Three columns each; 3 of 4 rows, of which the odd one lies below.
        let row = [a, a, a, b, b, b];
        assert_eq!(pixels.as_chunks::<6>().0, [row, row, row, bar]);
        let mut narrow = [u32::MAX; 4];
        Painter::default().draw(&image, Filter::Bilinear, Size::new(2, 2), &mut narrow);
        assert_eq!(narrow, [a, b, 0, 0]);
        Painter::default().draw(&Image::default(), Filter::Bilinear, Size::new(2, 2), &mut narrow);
        assert_eq!(narrow, [0; 4]);
    }
}
