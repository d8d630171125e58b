//! What a camera offers, and which of it fits best.

use std::fmt;

use laterna_pipeline::Size;

/// How a camera sends its pixels, of what can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CameraFormat {
    /// Packed 4:2:2.
    Yuyv,
    /// Luma, then pairs of chroma, 4:2:0.
    Nv12,
    /// Three planes, 4:2:0.
    Yu12,
    /// Interleaved RGB.
    Rgb24,
    /// Interleaved BGR.
    Bgr24,
    /// A JPEG for each picture.
    Mjpeg,
}

impl CameraFormat {
    /// All of them, the cheapest to read first.
    pub const ALL: [Self; 6] =
        [Self::Yuyv, Self::Nv12, Self::Yu12, Self::Rgb24, Self::Bgr24, Self::Mjpeg];
}

impl fmt::Display for CameraFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::Yu12 => "YU12",
            Self::Rgb24 => "RGB24",
            Self::Bgr24 => "BGR24",
            Self::Mjpeg => "MJPEG",
        })
    }
}

/// A format, a size and a rate that a camera can be set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraMode {
    /// How pixels are sent.
    pub format: CameraFormat,
    /// Their extents.
    pub size: Size,
    /// Pictures a second.
    pub fps: f64,
}

impl fmt::Display for CameraMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { width, height } = self.size;
        write!(f, "{} {width}x{height} at {} fps", self.format, (self.fps * 100.0).round() / 100.0)
    }
}

/// The mode that costs least: a picture that is too small or too slow costs more
/// than one that is too large, and of equal ones the one that is read fastest wins.
#[cfg(any(test, target_os = "linux", target_os = "macos", windows))]
pub(super) fn choose(modes: &[CameraMode], size: Size, fps: f64) -> Option<CameraMode> {
    let cost = |mode: &CameraMode| cost(mode, size, fps);
    modes.iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).copied()
}

#[cfg(any(test, target_os = "linux", target_os = "macos", windows))]
fn cost(mode: &CameraMode, size: Size, fps: f64) -> f64 {
    let lack = |want: f64, have: f64| (want / have.max(1e-3)).max(1.0).ln();
    let (width, height) = (mode.size.width as f64, mode.size.height as f64);
    let small = lack(size.width as f64, width) + lack(size.height as f64, height);
    // 29.97 is 30.
    let slow = lack(fps * 0.99, mode.fps);
    let large = lack(width * height, size.area() as f64);
    let fast = lack(mode.fps, fps);
    let rank = CameraFormat::ALL.iter().position(|format| *format == mode.format).unwrap_or(0);
    2.0 * small + 2.0 * slow + 0.25 * large + 0.01 * fast + 0.02 * rank as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(format: CameraFormat, width: usize, height: usize, fps: f64) -> CameraMode {
        CameraMode { format, size: Size::new(width, height), fps }
    }

    /// What a common webcam offers.
    fn webcam() -> Vec<CameraMode> {
        use CameraFormat::{Mjpeg, Yuyv};
        vec![
            mode(Yuyv, 1920, 1080, 5.0),
            mode(Yuyv, 1280, 720, 10.0),
            mode(Yuyv, 640, 480, 30.0),
            mode(Yuyv, 320, 240, 30.0),
            mode(Mjpeg, 1920, 1080, 30.0),
            mode(Mjpeg, 1280, 720, 60.0),
            mode(Mjpeg, 1280, 720, 30.0),
            mode(Mjpeg, 640, 480, 30.0),
        ]
    }

    #[test]
    fn the_smallest_mode_that_is_large_and_fast_enough_wins() {
        use CameraFormat::{Mjpeg, Yuyv};
        let choose = |width, height, fps| choose(&webcam(), Size::new(width, height), fps).unwrap();
        assert_eq!(choose(640, 480, 30.0), mode(Yuyv, 640, 480, 30.0));
        assert_eq!(choose(512, 512, 30.0), mode(Yuyv, 640, 480, 30.0));
        assert_eq!(choose(1280, 720, 30.0), mode(Mjpeg, 1280, 720, 30.0));
        assert_eq!(choose(1280, 720, 60.0), mode(Mjpeg, 1280, 720, 60.0));
        assert_eq!(choose(3840, 2160, 30.0), mode(Mjpeg, 1920, 1080, 30.0));
        assert_eq!(choose(160, 120, 30.0), mode(Yuyv, 320, 240, 30.0));
        assert_eq!(super::choose(&[], Size::new(1, 1), 30.0), None);
    }

    #[test]
    fn modes_read_well() {
        let text = mode(CameraFormat::Mjpeg, 1280, 720, 30000.0 / 1001.0).to_string();
        assert_eq!(text, "MJPEG 1280x720 at 29.97 fps");
    }
}
