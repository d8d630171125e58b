//! Systems without devices that pictures can be written to.

use std::io;
use std::path::Path;

use laterna_pipeline::Size;

use super::{Agreed, VirtualCameraError};

/// There is none.
pub(super) enum Device {}

impl Device {
    pub(super) fn open(path: &Path) -> Result<Self, VirtualCameraError> {
        Err(VirtualCameraError::Unsupported(path.to_owned()))
    }

    pub(super) fn agree(&mut self, _: &Path, _: Size) -> Result<Agreed, VirtualCameraError> {
        match *self {}
    }

    pub(super) fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }
}
