//! What a driver says that its camera can do, as a list of modes.

use std::io;

use laterna_pipeline::Size;

use super::super::FPS;
use super::super::mode::{CameraFormat, CameraMode};
use super::sys::{Listed, VideoDevice};

/// Entries of one of the driver's lists that are looked at.
const MAX_LISTED: u32 = 256;

/// What a driver lists.
pub(super) trait Modes {
    fn format(&self, index: u32) -> io::Result<u32>;
    fn size(&self, code: u32, index: u32) -> io::Result<Listed<[u32; 2]>>;
    fn interval(&self, code: u32, size: [u32; 2], index: u32) -> io::Result<Listed<[u32; 2]>>;
}

impl Modes for VideoDevice {
    fn format(&self, index: u32) -> io::Result<u32> {
        self.format(index)
    }

    fn size(&self, code: u32, index: u32) -> io::Result<Listed<[u32; 2]>> {
        self.size(code, index)
    }

    fn interval(&self, code: u32, size: [u32; 2], index: u32) -> io::Result<Listed<[u32; 2]>> {
        self.interval(code, size, index)
    }
}

/// Every mode that can be read here; of ranges, those nearest to `wanted`.
pub(super) fn modes(driver: &impl Modes, wanted: Size) -> io::Result<Vec<CameraMode>> {
    let mut modes = Vec::new();
    for code in listed(|index| driver.format(index))? {
        let Some(format) = format_of(code) else { continue };
        for size in listed(|index| driver.size(code, index))? {
            let size = nearest_size(size, wanted);
            // Some drivers list sizes and no rates.
            let intervals = listed(|index| driver.interval(code, size, index)).unwrap_or_default();
            let rates = intervals.into_iter().map(fastest);
            let rates: Vec<f64> = if rates.len() == 0 { vec![FPS] } else { rates.collect() };
            let size = Size::new(size[0] as usize, size[1] as usize);
            modes.extend(rates.into_iter().map(|fps| CameraMode { format, size, fps }));
        }
    }
    modes.retain(|mode| mode.size.area() > 0 && mode.fps.is_finite());
    Ok(modes)
}

/// What a driver lists until it says that there is no more, which is EINVAL.
fn listed<T>(get: impl Fn(u32) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for index in 0..MAX_LISTED {
        match get(index) {
            Ok(value) => found.push(value),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(_) if index > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn nearest_size(listed: Listed<[u32; 2]>, wanted: Size) -> [u32; 2] {
    let (smallest, largest, step) = match listed {
        Listed::One(size) => return size,
        Listed::Range(smallest, largest, step) => (smallest, largest, step),
    };
    let wanted = [wanted.width, wanted.height];
    std::array::from_fn(|axis| {
        let (low, high) = (smallest[axis], largest[axis].max(smallest[axis]));
        let wanted = u32::try_from(wanted[axis]).unwrap_or(u32::MAX).clamp(low, high);
        let step = step[axis].max(1);
        (low + (wanted - low).div_ceil(step) * step).min(high)
    })
}

/// Pictures a second of the shortest interval.
fn fastest(listed: Listed<[u32; 2]>) -> f64 {
    let (Listed::One([over, under]) | Listed::Range([over, under], _, _)) = listed;
    f64::from(under) / f64::from(over)
}

pub(super) const fn four(code: [u8; 4]) -> u32 {
    u32::from_le_bytes(code)
}

/// The kernel's codes of the formats.
pub(super) const CODES: [(u32, CameraFormat); 7] = [
    (four(*b"YUYV"), CameraFormat::Yuyv),
    (four(*b"NV12"), CameraFormat::Nv12),
    (four(*b"YU12"), CameraFormat::Yu12),
    (four(*b"RGB3"), CameraFormat::Rgb24),
    (four(*b"BGR3"), CameraFormat::Bgr24),
    (four(*b"MJPG"), CameraFormat::Mjpeg),
    (four(*b"JPEG"), CameraFormat::Mjpeg),
];

pub(super) fn format_of(code: u32) -> Option<CameraFormat> {
    CODES.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver with a discrete format, one with ranges, and one that is unknown.
    struct Driver;

    fn no_more<T>() -> io::Result<T> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    impl Modes for Driver {
        fn format(&self, index: u32) -> io::Result<u32> {
            let codes = [four(*b"MJPG"), four(*b"H264"), four(*b"YUYV")];
            codes.get(index as usize).copied().map_or_else(no_more, Ok)
        }

        fn size(&self, code: u32, index: u32) -> io::Result<Listed<[u32; 2]>> {
            match (code == four(*b"MJPG"), index) {
                (true, 0) => Ok(Listed::One([1280, 720])),
                (true, 1) => Ok(Listed::One([640, 480])),
                (false, 0) => Ok(Listed::Range([160, 120], [1920, 1080], [16, 8])),
                _ => no_more(),
            }
        }

        fn interval(&self, code: u32, size: [u32; 2], index: u32) -> io::Result<Listed<[u32; 2]>> {
            match (code == four(*b"MJPG"), size, index) {
                (true, [1280, _], 0) => Ok(Listed::One([1, 60])),
                (true, [1280, _], 1) => Ok(Listed::One([1001, 30000])),
                (true, ..) => no_more(),
                (false, _, 0) => Ok(Listed::Range([1, 30], [1, 5], [1, 1])),
                (false, ..) => no_more(),
            }
        }
    }

    #[test]
    fn a_drivers_lists_become_modes() {
        let modes = modes(&Driver, Size::new(500, 500)).unwrap();
        let texts: Vec<_> = modes.iter().map(CameraMode::to_string).collect();
        assert_eq!(
            texts,
            [
                "MJPEG 1280x720 at 60 fps",
                "MJPEG 1280x720 at 29.97 fps",
                "MJPEG 640x480 at 30 fps",
                "YUYV 512x504 at 30 fps",
            ]
        );
    }

    #[test]
    fn a_driver_without_lists_is_an_error_and_one_without_end_is_cut() {
        let denied = listed(|_| Err::<(), _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(listed(Ok).unwrap().len(), MAX_LISTED as usize);
    }
}
