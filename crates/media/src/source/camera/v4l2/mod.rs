//! Cameras of Linux. Requests, layouts and choices are tested here, against the
//! kernel's header and with drivers that are made up; no real camera has been
//! tried.

mod modes;
mod sys;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::port::{Clock, PortError, Read, Source};
use laterna_pipeline::{Image, Size};

use super::super::error::SourceError;
use super::super::kinds::{Claim, Device, Info, Opened, Request};
use super::super::natural;
use super::super::pixels::{Colour, Matrix, Range};
use super::super::player::PATIENCE;
use super::frame::{FrameDecoder, Layout};
use super::mode::{CameraFormat, CameraMode, choose};
use super::stamp::captured;
use super::{FPS, SIZE, pick};
use crate::v4l2::PixelFormat;
use modes::{CODES, format_of, modes};
use sys::{CAP_STREAMING, CAP_VIDEO_CAPTURE, Filled, Stream, VideoDevice};

/// Buffers that the driver fills in turn.
const BUFFERS: u32 = 4;
/// A camera that has sent nothing for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Pictures in a row that may be damaged.
const MAX_DAMAGED: u32 = 60;

pub(super) fn claims(claim: &Claim<'_>) -> bool {
    claim.path().is_some_and(|path| path.starts_with("/dev") && is_video_name(path))
}

fn is_video_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("video")
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let path = find(request.argument(), &request.text)?;
    let name = path.display().to_string();
    let failed = |error: io::Error| explain(&name, error);
    let device = VideoDevice::open(&path).map_err(failed)?;
    let (size, fps) = (request.want.size.unwrap_or(SIZE), request.want.fps_or(FPS));
    let modes = modes(&device, size).map_err(failed)?;
    let wanted = choose(&modes, size, fps).ok_or_else(|| SourceError::Unavailable {
        name: name.clone(),
        why: "it offers no pixel format that is known here".to_owned(),
    })?;
    let (layout, fps) = set(&device, wanted).map_err(failed)?;
    let stream = device.stream(BUFFERS).map_err(failed)?;
    let info = Info {
        size: Some(layout.size),
        fps: Some(fps),
        format: Some(layout.format.to_string()),
        ..Info::named(&name)
    };
    let source = Camera::new(name, stream, layout, request.clock);
    Ok(Opened { source: Box::new(source), info })
}

/// Adds what to do about errors that mean something else than they say.
fn explain(name: &str, error: io::Error) -> SourceError {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => "no permission: add your user to the group `video`",
        io::ErrorKind::ResourceBusy => "another program uses it",
        _ => return SourceError::Io { name: name.to_owned(), source: error },
    };
    SourceError::Unavailable { name: name.to_owned(), why: why.to_owned() }
}

/// The device that an argument names: a path, a number in the list of cameras, or
/// a part of a name; the first camera if nothing is named.
fn find(argument: &str, text: &str) -> Result<PathBuf, SourceError> {
    if argument.starts_with('/') {
        return Ok(PathBuf::from(argument));
    }
    let cameras: Vec<(PathBuf, String)> = nodes().into_iter().filter_map(named).collect();
    let found = pick(&cameras, argument, |(_, name)| name.clone());
    found.map(|(path, _)| path.clone()).ok_or_else(|| SourceError::Unavailable {
        name: text.to_owned(),
        why: match cameras.len() {
            0 => "no camera is connected, or none may be read".to_owned(),
            count => format!("there is no such camera among {count}"),
        },
    })
}

/// The name of a device that gives pictures.
fn named(path: PathBuf) -> Option<(PathBuf, String)> {
    let device = VideoDevice::open(&path).ok()?;
    let name = camera_name(&device).ok()??;
    Some((path, name))
}

fn camera_name(device: &VideoDevice) -> io::Result<Option<String>> {
    let (name, capabilities) = device.describe()?;
    let needed = CAP_VIDEO_CAPTURE | CAP_STREAMING;
    // The second node of a camera, which carries metadata, has no formats.
    let is_camera = capabilities & needed == needed && device.format(0).is_ok();
    Ok(is_camera.then_some(name))
}

/// Every `/dev/video*`, in order.
fn nodes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut nodes: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_video_name(path)).collect();
    nodes.sort_by(|a, b| natural::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    nodes
}

pub(super) fn list() -> Vec<Device> {
    nodes().into_iter().filter_map(|path| describe(&path)).collect()
}

fn describe(path: &Path) -> Option<Device> {
    let spec = format!("camera:{}", path.display());
    let found = VideoDevice::open(path).and_then(|device| {
        let name = camera_name(&device)?;
        Ok(name.map(|name| (name, modes(&device, SIZE).unwrap_or_default())))
    });
    match found {
        Ok(None) => None,
        Ok(Some((name, modes))) => {
            let details = modes.iter().map(CameraMode::to_string).collect();
            Some(Device { spec, name, details })
        }
        Err(error) => {
            let details = vec![explain(&path.display().to_string(), error).to_string()];
            Some(Device { spec, name: "video device".to_owned(), details })
        }
    }
}

/// Sets a mode, and says what the driver made of it.
fn set(device: &VideoDevice, mode: CameraMode) -> io::Result<(Layout, f64)> {
    let size = [mode.size.width, mode.size.height];
    let size = size.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let codes = CODES.iter().filter(|row| row.1 == mode.format);
    let mut result = Err(io::ErrorKind::Unsupported.into());
    for (code, _) in codes {
        result = device.set_format(*code, size);
        if result.as_ref().is_ok_and(|pixels| pixels.code == *code) {
            break;
        }
    }
    let layout = layout(&result?).ok_or(io::ErrorKind::Unsupported)?;
    // A camera with one rate does not let it be set.
    let fps = device.set_rate(mode.fps).ok().filter(|fps| *fps > 0.0).unwrap_or(mode.fps);
    Ok((layout, fps))
}

/// How the driver lays pixels out, in a format that is known here.
fn layout(pixels: &PixelFormat) -> Option<Layout> {
    const JPEG: u32 = 7;
    const REC709: u32 = 3;
    const ENCODING_709: u32 = 2;
    const FULL: u32 = 1;
    let format = format_of(pixels.code)?;
    let size = Size::new(pixels.width as usize, pixels.height as usize);
    let is_709 = match pixels.encoding {
        0 => pixels.colours == REC709,
        encoding => encoding == ENCODING_709,
    };
    let is_full = match pixels.range {
        0 => pixels.colours == JPEG,
        range => range == FULL,
    };
    let matrix = if is_709 { Matrix::Bt709 } else { Matrix::Bt601 };
    let range = if is_full { Range::Full } else { Range::Limited };
    let packed = match format {
        CameraFormat::Yuyv => 2 * size.width.next_multiple_of(2),
        CameraFormat::Rgb24 | CameraFormat::Bgr24 => 3 * size.width,
        CameraFormat::Nv12 | CameraFormat::Yu12 => size.width.next_multiple_of(2),
        CameraFormat::Mjpeg => 0,
    };
    let stride = (pixels.stride_bytes as usize).max(packed);
    (size.area() > 0).then_some(Layout { format, size, stride, colour: Colour { matrix, range } })
}

/// What gives filled buffers.
trait Video: Send {
    fn next(&mut self, patience: Duration, see: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool>;
    /// The clock of the stamps.
    fn now(&self) -> Duration;
}

impl Video for Stream {
    fn next(&mut self, patience: Duration, see: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool> {
        self.next(patience, see)
    }

    fn now(&self) -> Duration {
        sys::monotonic_now()
    }
}

/// A camera that is streaming.
struct Camera<V> {
    name: String,
    video: V,
    decoder: FrameDecoder,
    clock: Arc<dyn Clock>,
    /// When a buffer last came.
    heard: Duration,
    damaged: u32,
}

impl<V: Video> Camera<V> {
    fn new(name: String, video: V, layout: Layout, clock: &Arc<dyn Clock>) -> Self {
        let (heard, clock) = (clock.now(), Arc::clone(clock));
        Self { name, video, decoder: FrameDecoder::new(layout), clock, heard, damaged: 0 }
    }

    fn lost(&self, why: impl Into<String>) -> PortError {
        SourceError::Lost { name: self.name.clone(), why: why.into() }.into()
    }
}

impl<V: Video> Source for Camera<V> {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        let (mut decoded, mut stamp) = (None, None);
        let decoder = &mut self.decoder;
        let mut see = |filled: Filled<'_>| {
            stamp = filled.stamp;
            decoded = decoder.decode(filled.bytes, image).filter(|()| !filled.is_damaged);
        };
        let came = self.video.next(PATIENCE, &mut see);
        let now = self.clock.now();
        match came {
            Err(error) => return Err(self.lost(error.to_string())),
            Ok(false) if now.saturating_sub(self.heard) > SILENCE => {
                return Err(self.lost("it sends no pictures"));
            }
            Ok(false) => return Ok(Read::Nothing),
            Ok(true) => self.heard = now,
        }
        if decoded.is_none() {
            self.damaged += 1;
            let is_hopeless = self.damaged > MAX_DAMAGED;
            return if is_hopeless {
                Err(self.lost("its pictures are damaged"))
            } else {
                Ok(Read::Nothing)
            };
        }
        self.damaged = 0;
        Ok(Read::Picture { captured: captured(now, self.video.now(), stamp) })
    }
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::sim::SimClock;

    use super::modes::four;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_camera_is_picked_by_number_or_name() {
        let cameras: Vec<(PathBuf, String)> =
            [("/dev/video0", "HD Webcam C270"), ("/dev/video2", "Capture Card")]
                .map(|(path, name)| (path.into(), name.to_owned()))
                .to_vec();
        let pick = |argument| {
            let found = pick(&cameras, argument, |(_, name)| name.clone());
            found.map(|(path, _)| path.to_str().unwrap())
        };
        assert_eq!(pick(""), Some("/dev/video0"));
        assert_eq!(pick("1"), Some("/dev/video2"));
        assert_eq!(pick("card"), Some("/dev/video2"));
        assert_eq!((pick("2"), pick("phone")), (None, None));
    }

    #[test]
    fn a_layout_follows_the_drivers_answer() {
        let mut pixels = PixelFormat::default();
        (pixels.width, pixels.height, pixels.code) = (5, 4, four(*b"YUYV"));
        let found = layout(&pixels).unwrap();
        let colour = Colour { matrix: Matrix::Bt601, range: Range::Limited };
        assert_eq!((found.stride, found.colour), (12, colour));
        (pixels.stride_bytes, pixels.encoding, pixels.range) = (64, 2, 1);
        let found = layout(&pixels).unwrap();
        let colour = Colour { matrix: Matrix::Bt709, range: Range::Full };
        assert_eq!((found.stride, found.colour), (64, colour));
        pixels.code = four(*b"H264");
        assert_eq!(layout(&pixels), None);
    }

    /// Buffers, one for each read; none means that nothing came.
    struct Buffers(Vec<io::Result<Option<Vec<u8>>>>);

    impl Video for Buffers {
        fn next(&mut self, _: Duration, see: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool> {
            let Some(bytes) = self.0.remove(0)? else { return Ok(false) };
            see(Filled { bytes: &bytes, stamp: Some(70 * MS), is_damaged: false });
            Ok(true)
        }

        fn now(&self) -> Duration {
            100 * MS
        }
    }

    fn camera(buffers: Vec<io::Result<Option<Vec<u8>>>>) -> (Camera<Buffers>, SimClock) {
        let clock = SimClock::new();
        clock.sleep(1000 * MS);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let size = Size::new(2, 1);
        let layout =
            Layout { format: CameraFormat::Yuyv, size, stride: 4, colour: Colour::of(size) };
        (Camera::new("/dev/video7".to_owned(), Buffers(buffers), layout, &shared), clock)
    }

    #[test]
    fn pictures_come_with_the_drivers_time() {
        let gone = io::Error::from_raw_os_error(19);
        let white = vec![235, 128, 235, 128];
        let (mut camera, _) = camera(vec![Ok(None), Ok(Some(vec![1])), Ok(Some(white)), Err(gone)]);
        let mut image = Image::default();
        assert_eq!(camera.read(&mut image).unwrap(), Read::Nothing);
        assert_eq!(camera.read(&mut image).unwrap(), Read::Nothing);
        assert_eq!(camera.read(&mut image).unwrap(), Read::Picture { captured: 970 * MS });
        assert_eq!(image.rgb(), [255; 6]);
        let error = camera.read(&mut image).unwrap_err().to_string();
        assert!(error.starts_with("/dev/video7 is gone: No such device"), "{error}");
    }

    #[test]
    fn a_silent_or_broken_camera_is_given_up() {
        let (mut silent, clock) = camera(vec![Ok(None), Ok(None)]);
        let mut image = Image::default();
        clock.sleep(SILENCE);
        assert_eq!(silent.read(&mut image).unwrap(), Read::Nothing);
        clock.sleep(MS);
        let error = silent.read(&mut image).unwrap_err().to_string();
        assert_eq!(error, "/dev/video7 is gone: it sends no pictures");
        let buffers = (0..=MAX_DAMAGED).map(|_| Ok(Some(Vec::new()))).collect();
        let (mut broken, _) = camera(buffers);
        for _ in 0..MAX_DAMAGED {
            assert_eq!(broken.read(&mut image).unwrap(), Read::Nothing);
        }
        assert!(broken.read(&mut image).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn only_video_nodes_are_claimed() {
        for (path, is_camera) in [
            ("/dev/video0", true),
            ("/dev/video", false),
            ("/dev/video0a", false),
            ("/dev/null", false),
        ] {
            assert_eq!(is_video_name(Path::new(path)), is_camera, "{path}");
        }
    }
}
