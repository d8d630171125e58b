//! Pictures as a canvas has them: four bytes a pixel, the last of which says that
//! nothing shines through.

use laterna_pipeline::{Image, Size};

/// Replaces what is in `out` with the pixels of `image`.
pub(crate) fn write(image: &Image, out: &mut Vec<u8>) {
    out.clear();
    out.resize(4 * image.size().area(), u8::MAX);
    let pixels = out.as_chunks_mut::<4>().0.iter_mut().zip(image.rgb().as_chunks::<3>().0);
    pixels.for_each(|(to, from)| to[..3].copy_from_slice(from));
}

/// Reads `size` pixels into `image`, whatever their transparency.
pub(crate) fn read(rgba: &[u8], size: Size, image: &mut Image) {
    image.reset(size);
    let pixels = image.rgb_mut().as_chunks_mut::<3>().0.iter_mut().zip(rgba.as_chunks::<4>().0);
    pixels.for_each(|(to, from)| to.copy_from_slice(&from[..3]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut image = Image::new(Size::new(3, 2));
        image.rgb_mut().iter_mut().zip(1..).for_each(|(value, i)| *value = i);
        let (mut bytes, mut back) = (vec![7; 5], Image::default());
        write(&image, &mut bytes);
        assert_eq!((bytes.len(), &bytes[..8]), (24, &[1, 2, 3, 255, 4, 5, 6, 255][..]));
        read(&bytes, image.size(), &mut back);
        assert_eq!(back, image);
    }
}
