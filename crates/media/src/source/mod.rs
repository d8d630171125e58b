//! Where pictures come from. Each file holds one kind of source; [`KINDS`] is
//! the table of them, and [`open`] finds the row for what the user named.
//!
//! Recordings are read as [`Pace::Live`] or [`Pace::Offline`]. What arrives
//! through a pipe (standard input, ffmpeg) is read by a thread of its own, so
//! that a source can always be stopped.

mod camera;
pub mod counter;
mod error;
mod ffmpeg;
mod folder;
mod gif;
mod jpeg;
mod kinds;
mod mjpeg;
mod mp4;
mod natural;
mod pixels;
mod player;
pub mod push;
mod screen;
mod spec;
mod stdin;
pub mod stills;
pub mod synthetic;
mod threaded;
mod y4m;

#[cfg(target_os = "macos")]
pub use camera::camera_trial;
pub use camera::{CameraFormat, CameraMode, camera_permission};
pub use error::SourceError;
pub use ffmpeg::Ffmpeg;
pub use kinds::{Device, Info, KINDS, Kind, Opened, list, open};
pub use player::Pace;
pub use spec::{Spec, SpecError, Want};
