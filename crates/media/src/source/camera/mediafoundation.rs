//! Cameras of Windows, read by Media Foundation. This file is type-checked for that
//! system and has not been run on one.

use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use laterna_pipeline::{Image, Size};
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{
    ApiBackend, CameraFormat as Format, CameraInfo, FrameFormat, RequestedFormat,
    RequestedFormatType,
};
use nokhwa::{Camera, NokhwaError, query};

use super::super::error::SourceError;
use super::super::kinds::{Claim, Device, Info, Opened, Request};
use super::super::pixels::Colour;
use super::super::player::Next;
use super::super::threaded::latest_of;
use super::frame::{FrameDecoder, Layout};
use super::mode::{CameraFormat, CameraMode, choose};
use super::{FPS, SIZE, pick};

/// Pictures in a row that cannot be read before the camera counts as lost.
const MOST_DAMAGED: u32 = 100;

pub(super) fn claims(_: &Claim<'_>) -> bool {
    false
}

pub(super) fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let unavailable = |why: String| SourceError::Unavailable { name: request.text.clone(), why };
    let device = find(request.argument()).map_err(unavailable)?;
    let (size, fps) = (request.want.size.unwrap_or(SIZE), request.want.fps_or(FPS));
    let name = device.human_name();
    // The camera stays on the thread that reads it, which tells what it has opened.
    let (tell, told) = sync_channel(1);
    let start = move || {
        let mut pictures = Pictures::start(&device, size, fps).inspect_err(|error| {
            drop(tell.send(Err(error.to_string())));
        })?;
        drop(tell.send(Ok(pictures.mode)));
        Ok(move |image: &mut Image| pictures.next(image))
    };
    let source = latest_of("camera", start, request.clock);
    let source = source.map_err(|source| SourceError::Io { name: name.clone(), source })?;
    let mode = told.recv().unwrap_or_else(|gone| Err(gone.to_string())).map_err(unavailable)?;
    let info = Info {
        size: Some(mode.size),
        fps: Some(mode.fps),
        format: Some(mode.format.to_string()),
        ..Info::named(&name)
    };
    Ok(Opened { source: Box::new(source), info })
}

pub(super) fn list() -> Vec<Device> {
    let describe = |device: CameraInfo| {
        let name = device.human_name();
        // Another program's camera has a name all the same.
        let modes = {
            let _system = system();
            connect(&device).and_then(|mut camera| modes(&mut camera)).unwrap_or_default()
        };
        let details = modes.iter().map(|(mode, _)| mode.to_string()).collect();
        Device { spec: format!("camera:{name}"), name, details }
    };
    devices().unwrap_or_default().into_iter().map(describe).collect()
}

fn devices() -> Result<Vec<CameraInfo>, NokhwaError> {
    let _system = system();
    query(ApiBackend::MediaFoundation)
}

/// The library counts cameras without a lock and shuts Media Foundation down with the last:
/// held while one is opened or let go of, or all are listed.
fn system() -> MutexGuard<'static, ()> {
    static SYSTEM: Mutex<()> = Mutex::new(());
    SYSTEM.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find(argument: &str) -> Result<CameraInfo, String> {
    let devices = devices().map_err(|error| error.to_string())?;
    let found = pick(&devices, argument, CameraInfo::human_name);
    found.cloned().ok_or_else(|| match devices.len() {
        0 => "no camera is connected, or Settings, Privacy, Camera forbids it".to_owned(),
        count => format!("there is no such camera among {count}"),
    })
}

/// The device in whichever mode it is.
fn connect(device: &CameraInfo) -> Result<Camera, NokhwaError> {
    let any = RequestedFormat::new::<RgbFormat>(RequestedFormatType::None);
    Camera::with_backend(device.index().clone(), any, ApiBackend::MediaFoundation)
}

/// The modes that can be read, and what the library calls them.
fn modes(camera: &mut Camera) -> Result<Vec<(CameraMode, Format)>, NokhwaError> {
    let formats = camera.compatible_camera_formats()?;
    Ok(formats.into_iter().filter_map(|format| Some((mode(&format)?, format))).collect())
}

fn mode(format: &Format) -> Option<CameraMode> {
    let pixels = match format.format() {
        FrameFormat::MJPEG => CameraFormat::Mjpeg,
        FrameFormat::YUYV => CameraFormat::Yuyv,
        FrameFormat::NV12 => CameraFormat::Nv12,
        FrameFormat::RAWRGB => CameraFormat::Rgb24,
        FrameFormat::RAWBGR => CameraFormat::Bgr24,
        FrameFormat::GRAY => return None,
    };
    let size = Size::new(format.width() as usize, format.height() as usize);
    Some(CameraMode { format: pixels, size, fps: f64::from(format.frame_rate()) })
}

/// A camera's pictures as they come.
struct Pictures {
    name: String,
    mode: CameraMode,
    /// Until it is let go of.
    camera: Option<Camera>,
    decoder: FrameDecoder,
    damaged: u32,
}

impl Pictures {
    /// Opens the device in the mode that suits best.
    fn start(device: &CameraInfo, size: Size, fps: f64) -> Result<Self, SourceError> {
        let name = device.human_name();
        let refused = |error: NokhwaError| SourceError::Unavailable {
            name: name.clone(),
            why: format!(
                "{error}; another program may use it, or Settings, Privacy, Camera may forbid it"
            ),
        };
        let _system = system();
        let mut camera = connect(device).map_err(refused)?;
        let found = modes(&mut camera).map_err(refused)?;
        let offered: Vec<CameraMode> = found.iter().map(|(mode, _)| *mode).collect();
        let mode = choose(&offered, size, fps).ok_or_else(|| SourceError::Unavailable {
            name: name.clone(),
            why: "it has no format that can be read".to_owned(),
        })?;
        for (_, format) in found.iter().filter(|(found, _)| *found == mode).take(1) {
            let kinds = [format.format()];
            let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(*format), &kinds);
            camera.set_camera_requset(exact).map_err(refused)?;
        }
        camera.open_stream().map_err(refused)?;
        Ok(Self {
            name,
            mode,
            camera: Some(camera),
            decoder: FrameDecoder::new(layout(mode)),
            damaged: 0,
        })
    }

    /// Waits for the next picture.
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        let Some(camera) = &mut self.camera else { return Ok(Next::End) };
        let read = match camera.frame_raw() {
            Ok(bytes) => self.decoder.decode(&bytes, image),
            // Also what is said of an empty sample, as cameras send now and then.
            Err(NokhwaError::ReadFrameError(_)) => None,
            Err(error) => return Err(self.lost(error.to_string())),
        };
        if read.is_some() {
            self.damaged = 0;
            return Ok(Next::Picture { at: Duration::ZERO });
        }
        self.damaged += 1;
        if self.damaged < MOST_DAMAGED {
            return Ok(Next::Later);
        }
        Err(self.lost(format!("{MOST_DAMAGED} pictures in a row cannot be read")))
    }

    fn lost(&self, why: String) -> SourceError {
        SourceError::Lost { name: self.name.clone(), why }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let _system = system();
        self.camera = None;
    }
}

/// Buffers are asked for in one piece, whose rows follow each other.
fn layout(mode: CameraMode) -> Layout {
    let CameraMode { format, size, .. } = mode;
    let bytes = match format {
        CameraFormat::Yuyv => 2,
        CameraFormat::Rgb24 | CameraFormat::Bgr24 => 3,
        CameraFormat::Nv12 | CameraFormat::Yu12 | CameraFormat::Mjpeg => 1,
    };
    Layout { format, size, stride: bytes * size.width, colour: Colour::of(size) }
}
