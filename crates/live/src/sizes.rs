//! The sizes that a frame rate target may choose from.

use laterna_pipeline::Size;

/// Sides are multiples of this, which fits the networks of every family.
const STEP: usize = 64;

/// Shares of the wanted size, in 8ths.
const SHARES: [usize; 4] = [8, 7, 6, 4];

/// The wanted size and smaller ones, largest first. Their shapes are as near to
/// the wanted one as multiples of 64 pixels allow.
pub fn ladder(wanted: Size) -> Vec<Size> {
    let mut sizes = vec![wanted];
    for share in &SHARES[1..] {
        let side = |length: usize| ((length * share / 8 + STEP / 2) / STEP * STEP).max(STEP);
        let size = Size::new(side(wanted.width), side(wanted.height));
        if size.area() < sizes[sizes.len() - 1].area() {
            sizes.push(size);
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_and_keep_their_shape() {
        let sides: Vec<_> = ladder(Size::new(512, 512)).iter().map(|size| size.width).collect();
        assert_eq!(sides, [512, 448, 384, 256]);
        assert_eq!(ladder(Size::new(768, 512))[2], Size::new(576, 384));
        assert_eq!(ladder(Size::new(64, 64)), [Size::new(64, 64)]);
        assert_eq!(ladder(Size::new(72, 72)), [Size::new(72, 72), Size::new(64, 64)]);
    }
}
