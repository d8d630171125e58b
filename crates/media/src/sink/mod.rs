//! Where pictures go: files, windows, streams, a camera for other programs, and
//! the JPEG pictures of the page.
//!
//! Each file holds one sink and its error. A sink is given pictures on a thread
//! of its own, the newest one only, and may take as long as it needs.

pub mod jpeg;
pub mod recorder;
mod scale;
pub mod snapshot;
pub mod stream;
pub mod virtual_camera;
pub mod window;
mod yuv;

pub use scale::Filter;
