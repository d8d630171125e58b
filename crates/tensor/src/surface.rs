//! A picture that also lies in memory of a device's own.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A picture in memory that a device reads in place, such as a pixel buffer of
/// macOS. What it is, only who makes it and the device's backend know; to everyone
/// between it is opaque, and shared.
#[derive(Clone)]
pub struct Surface(Arc<dyn Any + Send + Sync>);

impl Surface {
    /// Shares a device's picture.
    pub fn new(picture: impl Any + Send + Sync) -> Self {
        Self(Arc::new(picture))
    }

    /// The device's picture, if it is of that type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surface")
    }
}

/// Two are equal if they are the same memory.
impl PartialEq for Surface {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Surface {}
