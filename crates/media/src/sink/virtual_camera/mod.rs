//! A camera for other programs: pictures are written to a v4l2loopback device,
//! which video calls and recorders open like any camera. Linux only.
//!
//! Sizes and numbers of the system calls are tested against the kernel's headers
//! and the pictures' bytes against the formats. A real device could not be tried
//! where this was written.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod device;

use std::io;
use std::path::{Path, PathBuf};

use laterna_pipeline::port::{PortError, Shown, Sink};
use laterna_pipeline::{Image, Size};
use thiserror::Error;

#[cfg(not(target_os = "linux"))]
use self::absent::Device;
#[cfg(target_os = "linux")]
use self::device::Device;
use super::scale::Letterbox;
use super::yuv::{Matrix, yuyv};

/// Why there is no virtual camera.
#[derive(Debug, Error)]
pub enum VirtualCameraError {
    /// This system has none that a program can write to.
    #[error("{}: virtual cameras are written on Linux only", .0.display())]
    Unsupported(PathBuf),
    /// The device cannot be opened or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The device.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path is no video device.
    #[error("{}: not a video device", .0.display())]
    NotVideo(PathBuf),
    /// The device gives pictures rather than taking them.
    #[error("{} ({driver}): takes no pictures, it is a camera itself", path.display())]
    NotOutput {
        /// The device.
        path: PathBuf,
        /// Its driver's name.
        driver: String,
    },
    /// The device wants pictures that are not made here.
    #[error("{}: takes neither YUYV nor RGB24", .0.display())]
    Format(PathBuf),
    /// The first picture is empty.
    #[error("{}: the first picture is empty", .0.display())]
    Empty(PathBuf),
}

impl VirtualCameraError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("add yourself to the group that the device belongs to, as a rule `video`")
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(LOAD),
            Self::NotVideo(_) | Self::NotOutput { .. } => Some(LOAD),
            Self::Format(_) => Some("close the programs that use the device and try again"),
            _ => None,
        }
    }
}

const LOAD: &str = "make a device with `sudo modprobe v4l2loopback exclusive_caps=1`, and see \
                    which with `ls /sys/devices/virtual/video4linux`";

/// Where Linux shows video devices that no hardware stands behind.
const DEVICES: &str = "/sys/devices/virtual/video4linux";

/// The devices of this system that [`VirtualCamera::open`] may be tried on.
pub fn list() -> Vec<PathBuf> {
    list_in(Path::new(DEVICES))
}

fn list_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|e| Path::new("/dev").join(e.file_name())).collect();
    paths.sort();
    paths
}

/// How a device takes pictures.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "no device asks for one"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pixels {
    Yuyv,
    Rgb24,
}

/// What was agreed on with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    pixels: Pixels,
    size: Size,
    /// From one row to the next.
    stride_bytes: usize,
}

/// A sink that other programs see as a camera. It has the first picture's size,
/// or what the device insists on; pictures of another one are letterboxed.
pub struct VirtualCamera {
    path: PathBuf,
    device: Device,
    agreed: Option<Agreed>,
    letterbox: Letterbox,
    packed: Vec<u8>,
    frame: Vec<u8>,
}

impl VirtualCamera {
    /// Opens the device at `path`, such as `/dev/video10`.
    ///
    /// # Errors
    /// If it cannot be opened or takes no pictures; see
    /// [`VirtualCameraError::hint`].
    pub fn open(path: &Path) -> Result<Self, VirtualCameraError> {
        let device = Device::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            device,
            agreed: None,
            letterbox: Letterbox::default(),
            packed: Vec::new(),
            frame: Vec::new(),
        })
    }

    fn write(&mut self, image: &Image) -> Result<(), VirtualCameraError> {
        let agreed = match self.agreed {
            Some(agreed) => agreed,
            None if image.size().area() == 0 => {
                return Err(VirtualCameraError::Empty(self.path.clone()));
            }
            None => self.device.agree(&self.path, image.size())?,
        };
        self.agreed = Some(agreed);
        let image = self.letterbox.apply(image, agreed.size);
        pack(image, agreed, &mut self.packed, &mut self.frame);
        let written = self.device.write(&self.frame);
        written.map_err(|source| VirtualCameraError::Io { path: self.path.clone(), source })
    }
}

impl Sink for VirtualCamera {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        Ok(self.write(shown.image)?)
    }
}

/// `image`, which has the agreed size, as the device takes it.
fn pack(image: &Image, agreed: Agreed, packed: &mut Vec<u8>, frame: &mut Vec<u8>) {
    let row_bytes = match agreed.pixels {
        Pixels::Rgb24 => {
            image.rgb().clone_into(packed);
            3 * agreed.size.width
        }
        Pixels::Yuyv => {
            yuyv(image, Matrix::Bt601, packed);
            4 * agreed.size.width.div_ceil(2)
        }
    };
    frame.clear();
    for row in packed.chunks_exact(row_bytes.max(1)) {
        frame.extend_from_slice(row);
        frame.resize(frame.len() + agreed.stride_bytes.saturating_sub(row_bytes), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str) -> VirtualCameraError {
        VirtualCamera::open(Path::new(path)).err().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_no_video_output_is_named_with_what_to_do() {
        let missing = open("/dev/video-none");
        assert_eq!(missing.to_string(), "/dev/video-none: No such file or directory (os error 2)");
        assert!(missing.hint().unwrap().contains("modprobe v4l2loopback"));
        for path in ["/dev/null", "/proc/version"] {
            let error = open(path);
            let refused = matches!(&error, VirtualCameraError::NotVideo(_))
                || matches!(&error, VirtualCameraError::Io { source, .. }
                    if source.kind() == io::ErrorKind::PermissionDenied);
            assert!(refused && error.hint().is_some(), "{error}");
        }
        assert_eq!(open("/dev/null").to_string(), "/dev/null: not a video device");
    }

    #[test]
    #[cfg(not(target_os = "linux"))]
    fn other_systems_have_none() {
        assert!(matches!(open("/dev/video0"), VirtualCameraError::Unsupported(_)));
    }

    #[test]
    fn devices_are_listed_by_their_nodes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list_in(&folder.path().join("absent")).is_empty());
        for name in ["video11", "video10"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(list_in(folder.path()), ["/dev/video10", "/dev/video11"].map(PathBuf::from));
    }

    #[test]
    fn pictures_are_packed_row_by_row() {
        let mut image = Image::new(Size::new(2, 2));
        image.rgb_mut().copy_from_slice(&[255, 255, 255, 0, 0, 0, 255, 0, 0, 255, 0, 0]);
        let (mut packed, mut frame) = (Vec::new(), Vec::new());
        let mut agreed = Agreed { pixels: Pixels::Yuyv, size: image.size(), stride_bytes: 4 };
        pack(&image, agreed, &mut packed, &mut frame);
        // Red of BT.601 in limited range is (81, 90, 240).
        assert_eq!(frame, [235, 128, 16, 128, 81, 90, 81, 240]);
        agreed.stride_bytes = 6;
        pack(&image, agreed, &mut packed, &mut frame);
        assert_eq!(frame, [235, 128, 16, 128, 0, 0, 81, 90, 81, 240, 0, 0]);
        agreed = Agreed { pixels: Pixels::Rgb24, size: image.size(), stride_bytes: 6 };
        pack(&image, agreed, &mut packed, &mut frame);
        assert_eq!(frame, image.rgb());
    }
}
