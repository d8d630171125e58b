//! The two system calls of V4L2 (`linux/videodev2.h`) that an output needs, and
//! what they read and write.
#![allow(unsafe_code, reason = "the kernel reads and writes these structures")]

use std::fs::File;
use std::io;

use rustix::ioctl::{Getter, Opcode, Updater, ioctl, opcode};

/// `VIDIOC_QUERYCAP`.
const QUERY: Opcode = opcode::read::<Capability>(b'V', 0);

/// `VIDIOC_S_FMT`.
const SET_FORMAT: Opcode = opcode::read_write::<Format>(b'V', 5);

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Format {
    pub(super) kind: u32,
    pub(super) body: Body,
}

/// The union in it, of 200 bytes, as aligned as the pointers in others of its
/// members.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    align: [usize; 0],
    pub(super) pixels: PixelFormat,
    rest: [u8; 200 - size_of::<PixelFormat>()],
}

impl Default for Body {
    fn default() -> Self {
        Self {
            align: [],
            pixels: PixelFormat::default(),
            rest: [0; 200 - size_of::<PixelFormat>()],
        }
    }
}

/// `struct v4l2_pix_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PixelFormat {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) code: u32,
    pub(super) field: u32,
    pub(super) stride_bytes: u32,
    pub(super) size_bytes: u32,
    pub(super) colours: u32,
    pub(super) private: u32,
    pub(super) flags: u32,
    pub(super) encoding: u32,
    pub(super) range: u32,
    pub(super) curve: u32,
}

/// What the device says of itself.
///
/// # Errors
/// If it is no video device, as a rule.
pub(super) fn query(device: &File) -> io::Result<Capability> {
    // SAFETY: The number says that the kernel writes a `v4l2_capability`, whose
    // layout `Capability` has, and any bytes are a value of it.
    let about = unsafe { ioctl(device, Getter::<QUERY, Capability>::new()) };
    about.map_err(io::Error::from)
}

/// Asks for a format; the device changes it to what it will take.
///
/// # Errors
/// If it takes nothing of the kind.
pub(super) fn set_format(device: &File, format: &mut Format) -> io::Result<()> {
    // SAFETY: The number says that the kernel reads and writes a `v4l2_format`,
    // whose size and layout `Format` has, and any bytes are a value of it. For
    // the kinds of format that are asked for here it holds no pointers.
    let set = unsafe { ioctl(device, Updater::<SET_FORMAT, Format>::new(format)) };
    set.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// Expected values are what a C compiler makes of `linux/videodev2.h`.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn layouts_and_numbers_are_the_kernels() {
        assert_eq!((size_of::<Capability>(), size_of::<Format>()), (104, 208));
        assert_eq!((size_of::<PixelFormat>(), offset_of!(Format, body)), (48, 8));
        assert_eq!(offset_of!(Capability, capabilities), 84);
        assert_eq!(offset_of!(Capability, device_caps), 88);
        assert_eq!(offset_of!(PixelFormat, size_bytes), 20);
        assert_eq!(offset_of!(PixelFormat, private), 28);
        assert_eq!(offset_of!(PixelFormat, encoding), 36);
        assert_eq!(offset_of!(PixelFormat, curve), 44);
        assert_eq!((QUERY as u64, SET_FORMAT as u64), (0x8068_5600, 0xc0d0_5605));
    }
}
