//! An 8-bit picture whose buffer is used again, frame after frame.

use laterna_tensor::{Picture, PictureError, Surface};

/// A picture's extents in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// Width by height.
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width * self.height
    }

    /// The tensor shape of a picture of this size, `[1, 3, height, width]`.
    pub const fn shape(self) -> [usize; 4] {
        [1, 3, self.height, self.width]
    }
}

/// 8-bit RGB, rows top to bottom, pixels interleaved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    size: Size,
    rgb: Vec<u8>,
    surface: Option<Surface>,
}

impl Image {
    /// A black picture.
    pub fn new(size: Size) -> Self {
        Self { size, rgb: vec![0; 3 * size.area()], surface: None }
    }

    /// Takes another size. The pixels are then whatever they were; only a
    /// picture larger than any before allocates.
    pub fn reset(&mut self, size: Size) {
        self.surface = None;
        self.size = size;
        self.rgb.resize(3 * size.area(), 0);
    }

    /// Takes the bytes of `rgb`, as a decoder made them, and leaves its old buffer
    /// there: nothing is copied.
    ///
    /// # Errors
    /// If there are not `width * height * 3` bytes; nothing is changed then.
    pub fn swap(&mut self, size: Size, rgb: &mut Vec<u8>) -> Result<(), PictureError> {
        let Size { width, height } = size;
        let (expected, found) = (width.saturating_mul(height).saturating_mul(3), rgb.len());
        if found != expected {
            return Err(PictureError::Length { width, height, expected, found });
        }
        self.surface = None;
        self.size = size;
        std::mem::swap(&mut self.rgb, rgb);
        Ok(())
    }

    /// Becomes a copy of `other`'s pixels.
    pub fn copy_from(&mut self, other: &Self) {
        self.reset(other.size);
        self.rgb.copy_from_slice(&other.rgb);
    }

    /// Extents.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Interleaved RGB bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Interleaved RGB bytes. They are then no surface's any more.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        self.surface = None;
        &mut self.rgb
    }

    /// The memory of a device that the same picture also is in.
    pub fn surface(&self) -> Option<&Surface> {
        self.surface.as_ref()
    }

    /// Says that the same picture, of this size, also is in a device's memory.
    pub fn set_surface(&mut self, surface: Surface) {
        self.surface = Some(surface);
    }

    /// A copy as the workspace's picture type.
    ///
    /// # Errors
    /// Never for a picture that this type made; the signature is `Picture`'s.
    pub fn to_picture(&self) -> Result<Picture, PictureError> {
        Picture::new(self.size.width, self.size.height, self.rgb.clone())
    }
}

impl From<&Picture> for Image {
    fn from(picture: &Picture) -> Self {
        let size = Size::new(picture.width(), picture.height());
        Self { size, rgb: picture.rgb().to_vec(), surface: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoders_buffer_is_swapped_in_if_it_fits() {
        let mut image = Image::new(Size::new(1, 1));
        let mut rgb = vec![1, 2, 3, 4, 5, 6];
        assert!(image.swap(Size::new(3, 1), &mut rgb).is_err());
        assert!(image.swap(Size::new(usize::MAX, 2), &mut rgb).is_err());
        assert_eq!(image, Image::new(Size::new(1, 1)));
        image.swap(Size::new(2, 1), &mut rgb).unwrap();
        assert_eq!((image.rgb(), rgb), (&[1, 2, 3, 4, 5, 6][..], vec![0; 3]));
    }

    #[test]
    fn other_pixels_are_no_surfaces() {
        let surface = Surface::new(());
        let changes: [fn(&mut Image); 4] = [
            |image| image.reset(Size::new(1, 1)),
            |image| image.swap(Size::new(1, 1), &mut vec![0; 3]).unwrap(),
            |image| image.copy_from(&Image::new(Size::new(1, 1))),
            |image| image.rgb_mut().fill(0),
        ];
        for change in changes {
            let mut image = Image::new(Size::new(1, 1));
            image.set_surface(surface.clone());
            assert_eq!(image.surface(), Some(&surface));
            change(&mut image);
            assert_eq!(image.surface(), None);
        }
    }
}
