//! A pixel buffer over an IOSurface, and the lock that gives its bytes.

use std::ptr::NonNull;
use std::slice;

use objc2_core_foundation::{CFDictionary, CFNumber, CFRetained, CFString, CFType};
use objc2_core_video::{
    CVPixelBuffer, CVPixelBufferCreate, CVPixelBufferGetBaseAddress,
    CVPixelBufferGetBaseAddressOfPlane, CVPixelBufferGetBytesPerRow,
    CVPixelBufferGetBytesPerRowOfPlane, CVPixelBufferGetHeight, CVPixelBufferGetHeightOfPlane,
    CVPixelBufferGetPixelFormatType, CVPixelBufferGetPlaneCount, CVPixelBufferGetWidth,
    CVPixelBufferLockBaseAddress, CVPixelBufferLockFlags, CVPixelBufferUnlockBaseAddress,
    kCVPixelBufferHeightKey, kCVPixelBufferIOSurfacePropertiesKey,
    kCVPixelBufferPixelFormatTypeKey, kCVPixelBufferWidthKey,
};

/// Memory that all devices share, in one of CoreVideo's pixel formats.
#[derive(Clone, Debug)]
pub struct PixelBuffer(CFRetained<CVPixelBuffer>);

// SAFETY: its references are counted atomically, its extents never change, and its
// memory is reached through unsafe code alone.
unsafe impl Send for PixelBuffer {}
// SAFETY: as above.
unsafe impl Sync for PixelBuffer {}

impl PixelBuffer {
    /// Memory of so many columns and rows; `format` is a `kCVPixelFormatType`.
    ///
    /// # Errors
    /// If the system has none of that kind, in its words.
    pub fn new(width: usize, height: usize, format: u32) -> Result<Self, String> {
        let attributes = attributes(&[]);
        let mut buffer = std::ptr::null_mut();
        let attributes = Some(attributes.as_opaque());
        let out = NonNull::from(&mut buffer);
        // SAFETY: the attributes have the types that their keys want, and the pointer is
        // valid for the call.
        let code = unsafe { CVPixelBufferCreate(None, width, height, format, attributes, out) };
        let made = NonNull::new(buffer).filter(|_| code == 0);
        // SAFETY: the buffer was created, so the caller owns a reference.
        let made = made.map(|buffer| Self(unsafe { CFRetained::from_raw(buffer) }));
        made.ok_or_else(|| format!("no surface {width} wide and {height} high ({code})"))
    }

    /// One that was created elsewhere.
    pub(crate) fn owned(buffer: CFRetained<CVPixelBuffer>) -> Self {
        Self(buffer)
    }

    /// CoreVideo's object.
    pub fn object(&self) -> &CVPixelBuffer {
        &self.0
    }

    /// Columns and rows.
    pub fn size(&self) -> [usize; 2] {
        [CVPixelBufferGetWidth(&self.0), CVPixelBufferGetHeight(&self.0)]
    }

    /// Its `kCVPixelFormatType`.
    pub fn format(&self) -> u32 {
        CVPixelBufferGetPixelFormatType(&self.0)
    }

    /// Bytes from the start of a row to that of the next.
    pub fn row_bytes(&self) -> usize {
        CVPixelBufferGetBytesPerRow(&self.0)
    }
}

/// What shared memory is asked for with, and what else is wanted of it.
pub(crate) fn attributes(wanted: &[(Key, usize)]) -> CFRetained<CFDictionary<CFString, CFType>> {
    let numbers: Vec<_> =
        wanted.iter().map(|&(_, number)| CFNumber::new_isize(number as isize)).collect();
    let nothing = CFDictionary::<CFString, CFType>::empty();
    // SAFETY: a constant of the framework.
    let mut keys = vec![unsafe { kCVPixelBufferIOSurfacePropertiesKey }];
    let mut values: Vec<&CFType> = vec![nothing.as_ref()];
    keys.extend(wanted.iter().map(|(key, _)| key.name()));
    values.extend(numbers.iter().map(|number| -> &CFType { number.as_ref() }));
    CFDictionary::from_slices(&keys, &values)
}

/// A number that shared memory can be asked for with.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Width,
    Height,
    Format,
}

impl Key {
    fn name(self) -> &'static CFString {
        // SAFETY: constants of the framework.
        unsafe {
            match self {
                Self::Width => kCVPixelBufferWidthKey,
                Self::Height => kCVPixelBufferHeightKey,
                Self::Format => kCVPixelBufferPixelFormatTypeKey,
            }
        }
    }
}

/// Keeps the memory where the processor reaches it.
#[derive(Debug)]
pub struct Lock<'b> {
    buffer: &'b CVPixelBuffer,
    flags: CVPixelBufferLockFlags,
}

impl<'b> Lock<'b> {
    /// To read and write.
    ///
    /// # Errors
    /// If the system refuses, in its words.
    pub fn new(buffer: &'b CVPixelBuffer) -> Result<Self, String> {
        Self::with(buffer, CVPixelBufferLockFlags(0))
    }

    /// To read: what a device has cached stays valid.
    ///
    /// # Errors
    /// As [`Lock::new`].
    pub fn for_reading(buffer: &'b CVPixelBuffer) -> Result<Self, String> {
        Self::with(buffer, CVPixelBufferLockFlags::ReadOnly)
    }

    fn with(buffer: &'b CVPixelBuffer, flags: CVPixelBufferLockFlags) -> Result<Self, String> {
        // SAFETY: the buffer is alive; it is unlocked with the same flags.
        let code = unsafe { CVPixelBufferLockBaseAddress(buffer, flags) };
        let refused = || format!("locking a pixel buffer failed ({code})");
        if code == 0 { Ok(Self { buffer, flags }) } else { Err(refused()) }
    }

    /// The start of the memory, null if it is in planes.
    pub fn base(&self) -> *mut u8 {
        CVPixelBufferGetBaseAddress(self.buffer).cast()
    }

    /// The bytes of a plane, or of all of a buffer without planes, and of one of its
    /// rows.
    ///
    /// # Safety
    /// Nobody writes the memory as long as the bytes are borrowed.
    pub unsafe fn plane(&self, index: usize) -> Option<(&[u8], usize)> {
        let (start, bytes, stride) = self.extent(index)?;
        // SAFETY: locked memory is that long, and nobody writes it.
        Some((unsafe { slice::from_raw_parts(start.as_ptr(), bytes) }, stride))
    }

    /// The same, to be written.
    ///
    /// # Safety
    /// The lock is not only for reading, and nobody else uses the memory as long as the
    /// bytes are borrowed.
    pub unsafe fn plane_mut(&mut self, index: usize) -> Option<(&mut [u8], usize)> {
        let (start, bytes, stride) = self.extent(index)?;
        // SAFETY: locked memory is that long, and nobody else uses it.
        Some((unsafe { slice::from_raw_parts_mut(start.as_ptr(), bytes) }, stride))
    }

    /// Where a plane begins, its bytes, and those of a row.
    fn extent(&self, index: usize) -> Option<(NonNull<u8>, usize, usize)> {
        let buffer = self.buffer;
        let (start, stride, rows) = match CVPixelBufferGetPlaneCount(buffer) {
            0 if index == 0 => (
                CVPixelBufferGetBaseAddress(buffer),
                CVPixelBufferGetBytesPerRow(buffer),
                CVPixelBufferGetHeight(buffer),
            ),
            planes if index < planes => (
                CVPixelBufferGetBaseAddressOfPlane(buffer, index),
                CVPixelBufferGetBytesPerRowOfPlane(buffer, index),
                CVPixelBufferGetHeightOfPlane(buffer, index),
            ),
            _ => return None,
        };
        Some((NonNull::new(start.cast())?, stride.checked_mul(rows)?, stride))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // SAFETY: it was locked with these flags.
        unsafe { CVPixelBufferUnlockBaseAddress(self.buffer, self.flags) };
    }
}
