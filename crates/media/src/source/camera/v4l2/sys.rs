//! Video4Linux2 as the kernel has it: structures, requests and mapped buffers
//! behind safe functions. The layouts are those of `linux/videodev2.h`.
#![allow(unsafe_code, reason = "system calls with structures and memory of the kernel's")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::v4l2::{self, Format, PixelFormat};

const CAPTURE: u32 = 1;
const MEMORY_MAP: u32 = 1;

pub(super) const CAP_VIDEO_CAPTURE: u32 = 0x1;
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;

const FLAG_ERROR: u32 = 0x40;
const FLAG_TIMESTAMP_MASK: u32 = 0xE000;
const FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FormatDescription {
    index: u32,
    kind: u32,
    flags: u32,
    description: [u8; 32],
    pixel_format: u32,
    bus_code: u32,
    reserved: [u32; 3],
}

/// `struct v4l2_frmsizeenum`; `values` are width and height, or smallest, largest
/// and step of each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FrameSize {
    index: u32,
    pixel_format: u32,
    kind: u32,
    values: [u32; 6],
    reserved: [u32; 2],
}

/// `struct v4l2_frmivalenum`; `values` are a fraction, or the shortest, the longest
/// and the step.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FrameInterval {
    index: u32,
    pixel_format: u32,
    width: u32,
    height: u32,
    kind: u32,
    values: [u32; 6],
    reserved: [u32; 2],
}

/// `struct v4l2_streamparm`.
#[repr(C)]
#[derive(Clone, Copy)]
struct StreamParameters {
    kind: u32,
    capability: u32,
    mode: u32,
    numerator: u32,
    denominator: u32,
    extended_mode: u32,
    read_buffers: u32,
    rest: [u32; 44],
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RequestBuffers {
    count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    flags: [u8; 4],
}

/// `struct v4l2_buffer`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Buffer {
    index: u32,
    kind: u32,
    bytes_used: u32,
    flags: u32,
    field: u32,
    seconds: isize,
    microseconds: isize,
    timecode: [u32; 4],
    sequence: u32,
    memory: u32,
    align: [usize; 0],
    offset: u32,
    rest: [u8; size_of::<usize>() - 4],
    length: u32,
    reserved: [u32; 2],
}

const ENUMERATE_FORMATS: Opcode = opcode::read_write::<FormatDescription>(b'V', 2);
const REQUEST_BUFFERS: Opcode = opcode::read_write::<RequestBuffers>(b'V', 8);
const QUERY_BUFFER: Opcode = opcode::read_write::<Buffer>(b'V', 9);
const QUEUE_BUFFER: Opcode = opcode::read_write::<Buffer>(b'V', 15);
const DEQUEUE_BUFFER: Opcode = opcode::read_write::<Buffer>(b'V', 17);
const STREAM_ON: Opcode = opcode::write::<i32>(b'V', 18);
const STREAM_OFF: Opcode = opcode::write::<i32>(b'V', 19);
const SET_PARAMETERS: Opcode = opcode::read_write::<StreamParameters>(b'V', 22);
const ENUMERATE_SIZES: Opcode = opcode::read_write::<FrameSize>(b'V', 74);
const ENUMERATE_INTERVALS: Opcode = opcode::read_write::<FrameInterval>(b'V', 75);

/// Values of a kind that a driver lists one by one or as a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed<T> {
    One(T),
    /// Smallest, largest and step.
    Range(T, T, T),
}

/// An open video device.
pub(super) struct VideoDevice {
    file: File,
}

impl VideoDevice {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(Self { file })
    }

    /// # Safety
    /// `CODE` must be a request of V4L2 that reads and writes a `T` and keeps no
    /// pointer to it or within it.
    unsafe fn call<const CODE: Opcode, T>(&self, value: &mut T) -> io::Result<()> {
        // SAFETY: the caller's promise is that of `Updater`; a descriptor of
        // another kind answers ENOTTY to requests of V4L2.
        unsafe { ioctl(&self.file, Updater::<CODE, T>::new(value)) }.map_err(io::Error::from)
    }

    /// The device's name and capabilities.
    pub(super) fn describe(&self) -> io::Result<(String, u32)> {
        let found = v4l2::query(&self.file)?;
        Ok((text(&found.card), found.own()))
    }

    /// The four-character code of pixel format `index`.
    pub(super) fn format(&self, index: u32) -> io::Result<u32> {
        let mut found = FormatDescription { index, kind: CAPTURE, ..Default::default() };
        // SAFETY: VIDIOC_ENUM_FMT reads and writes a `v4l2_fmtdesc`.
        unsafe { self.call::<ENUMERATE_FORMATS, _>(&mut found) }?;
        Ok(found.pixel_format)
    }

    /// Size `index` of a pixel format, [width, height].
    pub(super) fn size(&self, pixel_format: u32, index: u32) -> io::Result<Listed<[u32; 2]>> {
        let mut found = FrameSize { index, pixel_format, ..Default::default() };
        // SAFETY: VIDIOC_ENUM_FRAMESIZES reads and writes a `v4l2_frmsizeenum`.
        unsafe { self.call::<ENUMERATE_SIZES, _>(&mut found) }?;
        let [a, b, c, d, e, f] = found.values;
        Ok(if found.kind == 1 {
            Listed::One([a, b])
        } else {
            Listed::Range([a, d], [b, e], [c, f])
        })
    }

    /// Interval `index` of a mode, in seconds as [numerator, denominator].
    pub(super) fn interval(
        &self,
        pixel_format: u32,
        [width, height]: [u32; 2],
        index: u32,
    ) -> io::Result<Listed<[u32; 2]>> {
        let mut found = FrameInterval { index, pixel_format, width, height, ..Default::default() };
        // SAFETY: VIDIOC_ENUM_FRAMEINTERVALS reads and writes a `v4l2_frmivalenum`.
        unsafe { self.call::<ENUMERATE_INTERVALS, _>(&mut found) }?;
        let [a, b, c, d, e, f] = found.values;
        Ok(if found.kind == 1 {
            Listed::One([a, b])
        } else {
            Listed::Range([a, b], [c, d], [e, f])
        })
    }

    /// Asks for a format; what the driver made of it.
    pub(super) fn set_format(
        &self,
        code: u32,
        [width, height]: [u32; 2],
    ) -> io::Result<PixelFormat> {
        // 1 asks for whole pictures instead of fields.
        let pixels = PixelFormat { width, height, code, field: 1, ..Default::default() };
        let mut format = Format::new(CAPTURE, pixels);
        v4l2::set_format(&self.file, &mut format)?;
        Ok(format.body.pixels)
    }

    /// Asks for a rate, in pictures a second; what the driver made of it.
    pub(super) fn set_rate(&self, fps: f64) -> io::Result<f64> {
        let (numerator, denominator) = (1000, (fps * 1000.0).round() as u32);
        let mut found = StreamParameters {
            kind: CAPTURE,
            capability: 0,
            mode: 0,
            numerator,
            denominator,
            extended_mode: 0,
            read_buffers: 0,
            rest: [0; 44],
        };
        // SAFETY: VIDIOC_S_PARM reads and writes a `v4l2_streamparm`.
        unsafe { self.call::<SET_PARAMETERS, _>(&mut found) }?;
        Ok(f64::from(found.denominator) / f64::from(found.numerator.max(1)))
    }

    /// Starts streaming into `count` mapped buffers.
    pub(super) fn stream(self, count: u32) -> io::Result<Stream> {
        let mut request =
            RequestBuffers { count, kind: CAPTURE, memory: MEMORY_MAP, ..Default::default() };
        // SAFETY: VIDIOC_REQBUFS reads and writes a `v4l2_requestbuffers`.
        unsafe { self.call::<REQUEST_BUFFERS, _>(&mut request) }?;
        let buffers: io::Result<Vec<Mapping>> =
            (0..request.count).map(|index| Mapping::new(&self, index)).collect();
        let stream = Stream { buffers: buffers?, device: self };
        for index in 0..request.count {
            stream.queue(index)?;
        }
        stream.switch::<STREAM_ON>()?;
        Ok(stream)
    }
}

/// A device that is streaming. The driver owns every buffer except while
/// [`Stream::next`] shows it.
pub(super) struct Stream {
    /// Unmapped before the device is closed.
    buffers: Vec<Mapping>,
    device: VideoDevice,
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled<'a> {
    pub(super) bytes: &'a [u8],
    /// Time of CLOCK_MONOTONIC, if the driver uses that clock.
    pub(super) stamp: Option<Duration>,
    /// The driver says that it is damaged.
    pub(super) is_damaged: bool,
}

impl Stream {
    /// Waits for a filled buffer, shows the newest to `see` and gives all back to
    /// the driver; whether there was one.
    pub(super) fn next(
        &mut self,
        patience: Duration,
        see: &mut dyn FnMut(Filled<'_>),
    ) -> io::Result<bool> {
        if !self.wait(patience)? {
            return Ok(false);
        }
        let Some(mut newest) = self.dequeue()? else { return Ok(false) };
        while let Some(newer) = self.dequeue()? {
            self.queue(newest.index)?;
            newest = newer;
        }
        if let Some(mapping) = self.buffers.get(newest.index as usize) {
            see(mapping.filled(&newest));
        }
        self.queue(newest.index)?;
        Ok(true)
    }

    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.device.file, PollFlags::IN)];
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        match poll(&mut fds, Some(&timeout)) {
            // An error or an unplugged device is told by dequeuing.
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A filled buffer, if there is one now.
    fn dequeue(&self) -> io::Result<Option<Buffer>> {
        let mut buffer = Buffer { kind: CAPTURE, memory: MEMORY_MAP, ..Default::default() };
        // SAFETY: VIDIOC_DQBUF reads and writes a `v4l2_buffer`; for mapped buffers
        // of one plane it holds no pointers.
        match unsafe { self.device.call::<DEQUEUE_BUFFER, _>(&mut buffer) } {
            Ok(()) => Ok(Some(buffer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        let mut buffer = Buffer { index, kind: CAPTURE, memory: MEMORY_MAP, ..Default::default() };
        // SAFETY: VIDIOC_QBUF reads and writes a `v4l2_buffer`; the driver writes
        // only into buffers of its own, which are mapped and not borrowed: bytes
        // are lent by `next` alone, which has ended its loan by now.
        unsafe { self.device.call::<QUEUE_BUFFER, _>(&mut buffer) }
    }

    fn switch<const CODE: Opcode>(&self) -> io::Result<()> {
        // SAFETY: VIDIOC_STREAMON and VIDIOC_STREAMOFF, which are all that this is
        // called with, read an int.
        let setter = unsafe { Setter::<CODE, i32>::new(CAPTURE.cast_signed()) };
        // SAFETY: as above.
        unsafe { ioctl(&self.device.file, setter) }.map_err(io::Error::from)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Closing the device stops it as well.
        drop(self.switch::<STREAM_OFF>());
    }
}

/// A buffer of the driver's, mapped.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is written by
// the driver alone.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(device: &VideoDevice, index: u32) -> io::Result<Self> {
        let mut buffer = Buffer { index, kind: CAPTURE, memory: MEMORY_MAP, ..Default::default() };
        // SAFETY: VIDIOC_QUERYBUF reads and writes a `v4l2_buffer` without pointers.
        unsafe { device.call::<QUERY_BUFFER, _>(&mut buffer) }?;
        let bytes = buffer.length as usize;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        let (file, offset) = (&device.file, u64::from(buffer.offset));
        // SAFETY: a new mapping, at an address of the kernel's choice, replaces none.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, protection, flags, file, offset) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, bytes })
    }

    /// What `buffer`, which has just been dequeued, holds.
    fn filled(&self, buffer: &Buffer) -> Filled<'_> {
        let bytes = (buffer.bytes_used as usize).min(self.bytes);
        // SAFETY: the mapping is `self.bytes` long and lives as long as `self`; the
        // driver does not write to a buffer that is dequeued, and `next` queues it
        // only after this loan.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), bytes) };
        let is_monotonic = buffer.flags & FLAG_TIMESTAMP_MASK == FLAG_TIMESTAMP_MONOTONIC;
        let is_damaged = buffer.flags & FLAG_ERROR != 0;
        Filled { bytes, stamp: stamp(buffer).filter(|_| is_monotonic), is_damaged }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and no loan outlives it. It
        // cannot fail for a mapping that exists.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

fn stamp(buffer: &Buffer) -> Option<Duration> {
    let seconds = u64::try_from(buffer.seconds).ok()?;
    let microseconds = u64::try_from(buffer.microseconds).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(microseconds))
}

/// The time of CLOCK_MONOTONIC.
pub(super) fn monotonic_now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// A text that ends with a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// Against `linux/videodev2.h`, as a C compiler lays it out.
    #[test]
    fn requests_are_the_kernels() {
        assert_eq!(ENUMERATE_FORMATS, 0xC040_5602);
        assert_eq!(REQUEST_BUFFERS, 0xC014_5608);
        assert_eq!(QUERY_BUFFER, 0xC058_5609);
        assert_eq!(QUEUE_BUFFER, 0xC058_560F);
        assert_eq!(DEQUEUE_BUFFER, 0xC058_5611);
        assert_eq!(STREAM_ON, 0x4004_5612);
        assert_eq!(STREAM_OFF, 0x4004_5613);
        assert_eq!(SET_PARAMETERS, 0xC0CC_5616);
        assert_eq!(ENUMERATE_SIZES, 0xC02C_564A);
        assert_eq!(ENUMERATE_INTERVALS, 0xC034_564B);
    }

    #[test]
    fn fields_are_where_the_kernel_has_them() {
        assert_eq!(offset_of!(FormatDescription, pixel_format), 44);
        assert_eq!(offset_of!(FrameSize, values), 12);
        assert_eq!(offset_of!(FrameInterval, values), 20);
        assert_eq!(offset_of!(Buffer, bytes_used), 8);
        assert_eq!(offset_of!(Buffer, seconds), 24);
        assert_eq!(offset_of!(Buffer, sequence), 56);
        assert_eq!(offset_of!(Buffer, memory), 60);
        assert_eq!(offset_of!(Buffer, offset), 64);
        assert_eq!(offset_of!(Buffer, length), 72);
    }

    #[test]
    fn what_is_no_video_device_is_an_error() {
        let device = VideoDevice::open(Path::new("/dev/null")).unwrap();
        assert!(device.describe().is_err() && device.format(0).is_err());
        assert!(device.size(0, 0).is_err() && device.interval(0, [1, 1], 0).is_err());
        assert!(device.set_format(0, [1, 1]).is_err() && device.set_rate(30.0).is_err());
        assert!(device.stream(4).is_err());
        assert!(VideoDevice::open(Path::new("/nowhere/video0")).is_err());
    }

    #[test]
    fn stamps_and_texts_are_read() {
        let buffer = Buffer { seconds: 3, microseconds: 250_000, ..Default::default() };
        assert_eq!(stamp(&buffer), Some(Duration::from_millis(3250)));
        assert_eq!(stamp(&Buffer { seconds: -1, ..Default::default() }), None);
        assert_eq!(text(b"HD Webcam\0\0junk"), "HD Webcam");
        assert!(monotonic_now() > Duration::ZERO);
    }
}
