//! Shapes: the extents of a tensor, outermost first.

use std::fmt;
use std::ops::Deref;

/// The largest number of dimensions a tensor may have.
pub const MAX_RANK: usize = 6;

/// The extents of a tensor, outermost first; a scalar has none.
///
/// Kept inline, so that a shape is `Copy` and handling one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    extents: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a scalar.
    pub const SCALAR: Self = Self { extents: [0; MAX_RANK], rank: 0 };

    /// A shape with these extents.
    ///
    /// # Panics
    /// If there are more than [`MAX_RANK`]; foreign input goes through
    /// [`Shape::try_new`].
    pub fn new(extents: &[usize]) -> Self {
        match Self::try_new(extents) {
            Some(shape) => shape,
            None => panic!("a tensor has at most {MAX_RANK} dimensions, not {}", extents.len()),
        }
    }

    /// A shape with these extents, or `None` if there are more than
    /// [`MAX_RANK`] or their product overflows.
    pub fn try_new(extents: &[usize]) -> Option<Self> {
        if extents.len() > MAX_RANK {
            return None;
        }
        extents.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
        let mut shape = Self { extents: [0; MAX_RANK], rank: extents.len() as u8 };
        shape.extents[..extents.len()].copy_from_slice(extents);
        Some(shape)
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// Distance in elements between neighbours along each axis, row-major.
    pub fn strides(&self) -> Self {
        let mut strides = *self;
        let mut step = 1;
        for axis in (0..self.rank()).rev() {
            strides.extents[axis] = step;
            step *= self[axis];
        }
        strides
    }

    /// The same shape with one extent replaced.
    pub fn with(&self, axis: usize, extent: usize) -> Self {
        let mut shape = *self;
        shape.extents[..self.rank()][axis] = extent;
        shape
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.extents[..self.rank()]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Self::new(&extents)
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Self::new(extents)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, n) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{n}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_row_major() {
        assert_eq!(Shape::from([2, 3, 5]).strides(), Shape::from([15, 5, 1]));
        assert_eq!(Shape::SCALAR.elements(), 1);
    }

    #[test]
    fn foreign_extents_are_checked() {
        assert_eq!(Shape::try_new(&[1; MAX_RANK + 1]), None);
        assert_eq!(Shape::try_new(&[usize::MAX, 2]), None);
    }
}
