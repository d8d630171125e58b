//! Cameras of macOS. This file is type-checked for that system and has not been
//! run on one.
#![allow(unsafe_code, reason = "every call of AVFoundation is unsafe in its bindings")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dispatch2::{DispatchQueue, DispatchRetained};
use laterna_pipeline::port::{Aim, Clock, PortError, Read, Source};
use laterna_pipeline::prepare::Fit;
use laterna_pipeline::{Image, Size};
use laterna_surface::{Lock, Transfer};
use laterna_tensor::Surface;
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, NSObjectProtocol, ProtocolObject};
use objc2::{AnyThread, DefinedClass, define_class, msg_send};
use objc2_av_foundation::{
    AVAuthorizationStatus, AVCaptureConnection, AVCaptureDevice, AVCaptureDeviceFormat,
    AVCaptureDeviceInput, AVCaptureOutput, AVCaptureSession, AVCaptureVideoDataOutput,
    AVCaptureVideoDataOutputSampleBufferDelegate, AVFrameRateRange, AVMediaType, AVMediaTypeVideo,
};
use objc2_core_foundation::CFString;
use objc2_core_media::{CMClock, CMSampleBuffer, CMTime, CMVideoFormatDescriptionGetDimensions};
use objc2_core_video::{
    CVPixelBuffer, CVPixelBufferGetHeight, CVPixelBufferGetPixelFormatType,
    CVPixelBufferGetPlaneCount, CVPixelBufferGetWidth, kCVImageBufferYCbCrMatrix_ITU_R_601_4,
    kCVImageBufferYCbCrMatrix_ITU_R_709_2, kCVImageBufferYCbCrMatrixKey,
    kCVPixelBufferPixelFormatTypeKey, kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange,
};
use objc2_foundation::{NSDictionary, NSNumber, NSString};

use super::super::error::SourceError;
use super::super::kinds::{Claim, Device, Info, Opened, Request};
use super::super::pixels::{Colour, Matrix, Yuv, bgra_to_rgb};
use super::super::push::{self, PushSource, Pusher};
use super::mode::{CameraFormat, CameraMode, choose};
use super::stamp::captured;
use super::{FPS, SIZE, pick};

pub(super) fn claims(_: &Claim<'_>) -> bool {
    false
}

pub(super) fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let unavailable =
        |why: &str| SourceError::Unavailable { name: request.text.clone(), why: why.to_owned() };
    allowed().map_err(unavailable)?;
    let device = find(request.argument()).ok_or_else(|| unavailable("there is no such camera"))?;
    let (size, fps) = (request.want.size.unwrap_or(SIZE), request.want.fps_or(FPS));
    let (name, mode) = (name(&device), best(&device, size, fps));
    let (pusher, source) = push::pair(Arc::clone(request.clock));
    let receiver = Receiver::new(pusher, Arc::clone(request.clock));
    let started = start(&device, mode.as_ref(), &receiver).map_err(|why| unavailable(&why))?;
    let (session, is_set) = started;
    let mode = mode.map(|found| found.mode).filter(|_| is_set);
    let info = Info {
        size: mode.map(|mode| mode.size),
        fps: mode.map(|mode| mode.fps),
        format: Some(CameraFormat::Nv12.to_string()),
        ..Info::named(&name)
    };
    let camera = Camera { name, source, session, device, receiver };
    Ok(Opened { source: Box::new(camera), info })
}

pub(super) fn list() -> Vec<Device> {
    let describe = |device: Retained<AVCaptureDevice>| {
        let details = modes(&device).iter().map(|found| found.mode.to_string()).collect();
        let name = name(&device);
        Device { spec: format!("camera:{name}"), name, details }
    };
    devices().into_iter().map(describe).collect()
}

const FORBIDDEN: &str = "no permission: allow the terminal in System Settings, Privacy, Camera";

/// Whether the user lets this program see: the system asks when a camera is first
/// opened.
fn allowed() -> Result<(), &'static str> {
    let Some(status) = status() else { return Err("this system has no video") };
    if status == AVAuthorizationStatus::Denied || status == AVAuthorizationStatus::Restricted {
        return Err(FORBIDDEN);
    }
    Ok(())
}

/// The same for people, who are not asked by it.
pub(super) fn permission() -> &'static str {
    match status() {
        None => "this system has no video",
        Some(AVAuthorizationStatus::Authorized) => "given",
        Some(AVAuthorizationStatus::NotDetermined) => {
            "not asked yet: macOS asks for the terminal when a camera is first opened"
        }
        Some(_) => FORBIDDEN,
    }
}

fn status() -> Option<AVAuthorizationStatus> {
    // SAFETY: the media type is AVMediaTypeVideo, one of the two that may be asked.
    Some(unsafe { AVCaptureDevice::authorizationStatusForMediaType(video()?) })
}

fn video() -> Option<&'static AVMediaType> {
    // SAFETY: a constant of the framework, never written.
    unsafe { AVMediaTypeVideo }
}

fn devices() -> Vec<Retained<AVCaptureDevice>> {
    let Some(video) = video() else { return Vec::new() };
    // The session that replaces this call wants every type of device by name, and
    // leaves out those that are not known yet.
    #[allow(deprecated, reason = "it finds devices of types that have no name here")]
    // SAFETY: no arguments but the media type.
    let devices = unsafe { AVCaptureDevice::devicesWithMediaType(video) };
    devices.to_vec()
}

/// The device that an argument names: a number in the list, or a part of a name;
/// the system's choice if nothing is named.
fn find(argument: &str) -> Option<Retained<AVCaptureDevice>> {
    if argument.is_empty() {
        // SAFETY: no arguments but the media type.
        return unsafe { AVCaptureDevice::defaultDeviceWithMediaType(video()?) };
    }
    pick(&devices(), argument, |device| name(device)).cloned()
}

fn name(device: &AVCaptureDevice) -> String {
    // SAFETY: a property that any thread may read.
    unsafe { device.localizedName() }.to_string()
}

/// A mode, and what the framework calls it.
struct Found {
    mode: CameraMode,
    format: Retained<AVCaptureDeviceFormat>,
    range: Retained<AVFrameRateRange>,
}

fn modes(device: &AVCaptureDevice) -> Vec<Found> {
    let mut modes = Vec::new();
    // SAFETY: properties that any thread may read; a video device's formats have
    // video descriptions.
    unsafe {
        for format in device.formats() {
            let size = CMVideoFormatDescriptionGetDimensions(&format.formatDescription());
            let side = |side: i32| usize::try_from(side).unwrap_or(0);
            let size = Size::new(side(size.width), side(size.height));
            for range in format.videoSupportedFrameRateRanges() {
                let fps = range.maxFrameRate();
                let mode = CameraMode { format: CameraFormat::Nv12, size, fps };
                modes.push(Found { mode, format: format.clone(), range });
            }
        }
    }
    modes
}

fn best(device: &AVCaptureDevice, size: Size, fps: f64) -> Option<Found> {
    let found = modes(device);
    let modes: Vec<CameraMode> = found.iter().map(|found| found.mode).collect();
    let best = choose(&modes, size, fps)?;
    found.into_iter().find(|found| found.mode == best)
}

/// Starts a session that sends the device's pictures to `receiver`; says whether they are of
/// that mode.
fn start(
    device: &AVCaptureDevice,
    mode: Option<&Found>,
    receiver: &Receiver,
) -> Result<(Retained<AVCaptureSession>, bool), String> {
    let queue: DispatchRetained<DispatchQueue> = DispatchQueue::new("laterna.camera", None);
    // SAFETY: the objects are new and used by this thread alone until the session
    // runs; inputs and outputs are added only if the session takes them; the format
    // and the duration are the device's own.
    unsafe {
        let session = AVCaptureSession::new();
        let input = AVCaptureDeviceInput::deviceInputWithDevice_error(device)
            .map_err(|error| error.localizedDescription().to_string())?;
        let output = AVCaptureVideoDataOutput::new();
        output.setAlwaysDiscardsLateVideoFrames(true);
        output.setVideoSettings(Some(&settings()));
        let delegate = ProtocolObject::from_ref(receiver);
        output.setSampleBufferDelegate_queue(Some(delegate), Some(&queue));
        if !session.canAddInput(&input) || !session.canAddOutput(&output) {
            return Err("another program uses it".to_owned());
        }
        session.addInput(&input);
        session.addOutput(&output);
        let set = mode.filter(|_| device.lockForConfiguration().is_ok());
        if let Some(mode) = set {
            device.setActiveFormat(&mode.format);
            device.setActiveVideoMinFrameDuration(mode.range.minFrameDuration());
        }
        // Were the device not locked meanwhile, the session would choose the format
        // (Apple's reference of AVCaptureDevice.activeFormat).
        session.startRunning();
        if set.is_some() {
            device.unlockForConfiguration();
        }
        Ok((session, set.is_some()))
    }
}

/// Asks for a plane of luma and one of chroma.
fn settings() -> Retained<NSDictionary<NSString, AnyObject>> {
    // SAFETY: a constant of the framework; a CFString is an NSString.
    let key: &NSString = unsafe {
        let key: *const _ = kCVPixelBufferPixelFormatTypeKey;
        &*key.cast()
    };
    let format = NSNumber::new_u32(kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange);
    let format: Retained<AnyObject> = format.into_super().into_super().into();
    NSDictionary::from_retained_objects(&[key], &[format])
}

/// A running camera.
struct Camera {
    name: String,
    source: PushSource,
    session: Retained<AVCaptureSession>,
    device: Retained<AVCaptureDevice>,
    /// The session's output holds its delegate weakly.
    receiver: Retained<Receiver>,
}

// SAFETY: a session may be started and stopped, and a device's properties read, on
// any thread, one at a time; the receiver's state is behind a mutex.
unsafe impl Send for Camera {}

impl Source for Camera {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        let read = self.source.read(image)?;
        // SAFETY: a property that any thread may read.
        if read == Read::Nothing && !unsafe { self.device.isConnected() } {
            let why = "it was unplugged".to_owned();
            return Err(SourceError::Lost { name: self.name.clone(), why }.into());
        }
        Ok(read)
    }

    fn aim(&mut self, aim: Aim) {
        *self.receiver.ivars().aim() = Some(aim);
    }

    fn note(&mut self) -> Option<String> {
        self.receiver.ivars().work().note.take()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // SAFETY: the session is not being configured. A picture that is being received
        // goes to the receiver, which the call keeps.
        unsafe { self.session.stopRunning() };
    }
}

/// What the receiver writes to.
struct Inner {
    pusher: Pusher,
    clock: Arc<dyn Clock>,
    aim: Mutex<Option<Aim>>,
    work: Mutex<Work>,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses, and this has no Drop.
    #[unsafe(super(NSObject))]
    #[name = "LaternaCameraReceiver"]
    #[ivars = Inner]
    struct Receiver;

    // SAFETY: the protocol has no requirements.
    unsafe impl NSObjectProtocol for Receiver {}

    // SAFETY: the method has the protocol's signature.
    unsafe impl AVCaptureVideoDataOutputSampleBufferDelegate for Receiver {
        #[unsafe(method(captureOutput:didOutputSampleBuffer:fromConnection:))]
        fn receive(&self, _: &AVCaptureOutput, sample: &CMSampleBuffer, _: &AVCaptureConnection) {
            self.ivars().receive(sample);
        }
    }
);

impl Receiver {
    fn new(pusher: Pusher, clock: Arc<dyn Clock>) -> Retained<Self> {
        let inner = Inner { pusher, clock, aim: Mutex::default(), work: Mutex::default() };
        let this = Self::alloc().set_ivars(inner);
        // SAFETY: NSObject's `init`.
        unsafe { msg_send![super(this), init] }
    }
}

impl Inner {
    fn aim(&self) -> MutexGuard<'_, Option<Aim>> {
        self.aim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, sample: &CMSampleBuffer) {
        let aim = *self.aim();
        let mut work = self.work();
        // SAFETY: the sample lives as long as this call.
        let Some(buffer) = (unsafe { sample.image_buffer() }) else { return };
        if work.receive(&buffer, aim).is_some() {
            // SAFETY: the host's clock is a constant, and reading it changes nothing.
            let (now, stamp) =
                unsafe { (CMClock::host_time_clock().time(), sample.presentation_time_stamp()) };
            let now = seconds(now).unwrap_or_default();
            let at = captured(self.clock.now(), now, seconds(stamp));
            self.pusher.push(&mut work.image, at);
        }
    }
}

/// Makes pictures of what a camera sends.
#[derive(Default)]
pub(super) struct Work {
    pub(super) image: Image,
    /// Made when it is first needed.
    transfer: Option<Transfer>,
    /// What the system refused to make, which is not tried again.
    refused: Option<Aim>,
    /// What the user should know.
    note: Option<String>,
}

impl Work {
    /// Makes the picture that is aimed at, in memory that the model reads if it does so;
    /// none of a buffer of another kind.
    pub(super) fn receive(&mut self, buffer: &CVPixelBuffer, aim: Option<Aim>) -> Option<()> {
        if let Some(aim) = aim.filter(|aim| aim.surface && self.refused != Some(*aim)) {
            match self.share(buffer, aim) {
                Ok(()) => return Some(()),
                Err(why) => {
                    let way = "the processor crops and scales the camera's pictures";
                    self.note = Some(format!("{way}: {why}"));
                    self.refused = Some(aim);
                }
            }
        }
        write(buffer, &mut self.image)
    }

    /// Has the system crop and scale it; little is left to copy here.
    pub(super) fn share(&mut self, buffer: &CVPixelBuffer, aim: Aim) -> Result<(), String> {
        let transfer = match &mut self.transfer {
            Some(transfer) => transfer,
            none => none.insert(Transfer::new()?),
        };
        let fit = match aim.fit {
            Fit::Crop => laterna_surface::Fit::Crop,
            Fit::Letterbox => laterna_surface::Fit::Letterbox,
        };
        let made = transfer.run(buffer, [aim.size.width, aim.size.height], fit)?;
        let lock = Lock::for_reading(made.object())?;
        // SAFETY: the transfer is done, and whoever it is shared with only reads.
        let plane = unsafe { lock.plane(0) };
        let (bytes, stride) = plane.ok_or("a pixel buffer has no bytes")?;
        self.image.reset(aim.size);
        bgra_to_rgb(bytes, stride, aim.size, self.image.rgb_mut());
        drop(lock);
        self.image.set_surface(Surface::new(made));
        Ok(())
    }
}

fn seconds(time: CMTime) -> Option<Duration> {
    // SAFETY: a conversion; what is no time becomes NaN.
    Duration::try_from_secs_f64(unsafe { time.seconds() }).ok()
}

/// Writes a buffer of two planes into `image`; none if it is another kind.
fn write(buffer: &CVPixelBuffer, image: &mut Image) -> Option<()> {
    let is_ours = CVPixelBufferGetPixelFormatType(buffer)
        == kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange
        && CVPixelBufferGetPlaneCount(buffer) == 2;
    let lock = Lock::for_reading(buffer).ok().filter(|_| is_ours)?;
    let size = Size::new(CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer));
    // SAFETY: the system has written the picture, and lends it to be read.
    let [luma, chroma] = unsafe { [lock.plane(0), lock.plane(1)] };
    let ((luma, luma_stride), (chroma, chroma_stride)) = (luma?, chroma?);
    let yuv = Yuv::nv12(size, [luma, chroma], [luma_stride, chroma_stride]);
    if !yuv.is_complete() {
        return None;
    }
    image.reset(size);
    let usual = Colour::of(size);
    let colour = Colour { matrix: matrix(buffer).unwrap_or(usual.matrix), ..usual };
    yuv.write_rgb(colour, image.rgb_mut());
    Some(())
}

/// What the camera says of its luma, which is what the system goes by too.
fn matrix(buffer: &CVPixelBuffer) -> Option<Matrix> {
    // SAFETY: constants of the framework; the mode is not asked for.
    let (said, hd, sd) = unsafe {
        let said = buffer.attachment(kCVImageBufferYCbCrMatrixKey, std::ptr::null_mut())?;
        (said, kCVImageBufferYCbCrMatrix_ITU_R_709_2, kCVImageBufferYCbCrMatrix_ITU_R_601_4)
    };
    let said = said.downcast_ref::<CFString>()?;
    match () {
        () if said == hd => Some(Matrix::Bt709),
        () if said == sd => Some(Matrix::Bt601),
        () => None,
    }
}
