//! Cameras: Video4Linux2 on Linux, AVFoundation on macOS, Media Foundation on
//! Windows; on other systems ffmpeg is the way to them.

#[cfg(target_os = "macos")]
mod avfoundation;
#[cfg(any(target_os = "linux", windows))]
mod frame;
#[cfg(windows)]
mod mediafoundation;
mod mode;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod none;
#[cfg(any(target_os = "linux", target_os = "macos"))]
mod stamp;
#[cfg(target_os = "macos")]
mod trial;
#[cfg(target_os = "linux")]
mod v4l2;

#[cfg(target_os = "macos")]
use avfoundation as system;
#[cfg(windows)]
use mediafoundation as system;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use none as system;
#[cfg(target_os = "linux")]
use v4l2 as system;

#[cfg(any(target_os = "linux", target_os = "macos", windows))]
use laterna_pipeline::Size;

use super::kinds::Kind;

pub use mode::{CameraFormat, CameraMode};
#[cfg(target_os = "macos")]
pub use trial::camera_trial;

/// `camera`.
pub(super) const KIND: Kind = Kind {
    name: "camera",
    accepts: "a camera: the first, its number, a part of its name, or its device file",
    stands_alone: true,
    claims: system::claims,
    open: system::open,
    list: Some(system::list),
};

/// Whether the system lets this program use cameras, where it can be asked without
/// asking the user.
pub fn camera_permission() -> Option<&'static str> {
    #[cfg(target_os = "macos")]
    return Some(system::permission());
    #[cfg(not(target_os = "macos"))]
    None
}

/// The camera that an argument names: a number in the list, or a part of a name; the
/// first if nothing is named.
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
fn pick<'c, C>(cameras: &'c [C], argument: &str, name: impl Fn(&C) -> String) -> Option<&'c C> {
    match argument.parse::<usize>() {
        Ok(number) => cameras.get(number),
        Err(_) => {
            let wanted = argument.to_lowercase();
            cameras.iter().find(|camera| name(camera).to_lowercase().contains(&wanted))
        }
    }
}

/// If none is wanted.
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
const SIZE: Size = Size::new(640, 480);
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
const FPS: f64 = 30.0;
