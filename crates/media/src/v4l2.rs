//! The two system calls of V4L2 (`linux/videodev2.h`) that cameras and outputs
//! share, and what they read and write.
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
pub(crate) struct Capability {
    pub(crate) driver: [u8; 16],
    pub(crate) card: [u8; 32],
    pub(crate) bus: [u8; 32],
    pub(crate) version: u32,
    pub(crate) capabilities: u32,
    pub(crate) device_caps: u32,
    pub(crate) reserved: [u32; 3],
}

impl Capability {
    /// What this device can do, where the driver says so beside what all of its
    /// devices can.
    pub(crate) fn own(&self) -> u32 {
        /// `V4L2_CAP_DEVICE_CAPS`.
        const SAID: u32 = 0x8000_0000;
        if self.capabilities & SAID == 0 { self.capabilities } else { self.device_caps }
    }
}

/// `struct v4l2_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Format {
    pub(crate) kind: u32,
    pub(crate) body: Body,
}

impl Format {
    /// Pictures on a queue of this kind, `enum v4l2_buf_type`.
    pub(crate) fn new(kind: u32, pixels: PixelFormat) -> Self {
        Self { kind, body: Body { pixels, ..Body::default() } }
    }
}

/// The union in it, of 200 bytes, as aligned as the pointers in others of its
/// members.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    align: [usize; 0],
    pub(crate) pixels: PixelFormat,
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
pub(crate) struct PixelFormat {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) code: u32,
    pub(crate) field: u32,
    pub(crate) stride_bytes: u32,
    pub(crate) size_bytes: u32,
    pub(crate) colours: u32,
    pub(crate) private: u32,
    pub(crate) flags: u32,
    pub(crate) encoding: u32,
    pub(crate) range: u32,
    pub(crate) curve: u32,
}

/// What the device says of itself.
///
/// # Errors
/// If it is no video device, as a rule.
pub(crate) fn query(device: &File) -> io::Result<Capability> {
    // SAFETY: The number says that the kernel writes a `v4l2_capability`, whose
    // layout `Capability` has, and any bytes are a value of it.
    let about = unsafe { ioctl(device, Getter::<QUERY, Capability>::new()) };
    about.map_err(io::Error::from)
}

/// Asks for a format; the device changes it to what it will take.
///
/// # Errors
/// If it takes nothing of the kind.
pub(crate) fn set_format(device: &File, format: &mut Format) -> io::Result<()> {
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
        assert_eq!(offset_of!(PixelFormat, range), 40);
        assert_eq!(offset_of!(PixelFormat, curve), 44);
        assert_eq!((QUERY as u64, SET_FORMAT as u64), (0x8068_5600, 0xc0d0_5605));
    }
}
