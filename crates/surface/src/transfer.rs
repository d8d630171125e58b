//! Crops, scales and converts pictures where they are: VideoToolbox does it on
//! whichever device it has for that.

use std::ptr::NonNull;

use objc2_core_foundation::{CFRetained, CFString, CFType};
use objc2_core_video::{CVPixelBuffer, CVPixelBufferPool, kCVPixelFormatType_32BGRA};
use objc2_video_toolbox::{
    VTPixelTransferSession, VTSessionSetProperty, kVTPixelTransferPropertyKey_ScalingMode,
    kVTScalingMode_Letterbox, kVTScalingMode_Trim,
};

use crate::buffer::{Key, PixelBuffer, attributes};

/// How a picture of another shape is made to fit. The system heeds what the picture says of its
/// clean aperture and of the shape of its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The largest centred part of that shape.
    Crop,
    /// The whole picture, between black bars.
    Letterbox,
}

/// Makes pixel buffers of 32-bit BGRA from others. Those that nobody holds any more are
/// used again.
#[derive(Debug)]
pub struct Transfer {
    session: CFRetained<VTPixelTransferSession>,
    fit: Option<Fit>,
    pool: Option<([usize; 2], CFRetained<CVPixelBufferPool>)>,
}

// SAFETY: neither object belongs to the thread that made it, and every use takes
// `&mut self`.
unsafe impl Send for Transfer {}

impl Transfer {
    /// Without any memory yet.
    ///
    /// # Errors
    /// If the system has no such session, in its words.
    pub fn new() -> Result<Self, String> {
        let mut session = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let code = unsafe { VTPixelTransferSession::create(None, NonNull::from(&mut session)) };
        let session = NonNull::new(session).filter(|_| code == 0);
        // SAFETY: the session was created, so the caller owns a reference.
        let session = session.map(|session| unsafe { CFRetained::from_raw(session) });
        let session = session.ok_or_else(|| format!("no pixel transfer session ({code})"))?;
        Ok(Self { session, fit: None, pool: None })
    }

    /// The picture in so many columns and rows.
    ///
    /// # Errors
    /// If the system cannot, in its words.
    pub fn run(
        &mut self,
        picture: &CVPixelBuffer,
        size: [usize; 2],
        fit: Fit,
    ) -> Result<PixelBuffer, String> {
        self.set_fit(fit)?;
        let made = self.buffer(size)?;
        // SAFETY: both are alive, and nobody else has the new one.
        let code = unsafe { self.session.transfer_image(picture, made.object()) };
        if code == 0 { Ok(made) } else { Err(format!("a pixel transfer failed ({code})")) }
    }

    fn set_fit(&mut self, fit: Fit) -> Result<(), String> {
        if self.fit == Some(fit) {
            return Ok(());
        }
        // SAFETY: constants of the framework.
        let (key, mode) = unsafe {
            let mode = match fit {
                Fit::Crop => kVTScalingMode_Trim,
                Fit::Letterbox => kVTScalingMode_Letterbox,
            };
            (kVTPixelTransferPropertyKey_ScalingMode, mode)
        };
        self.set(key, mode)?;
        self.fit = Some(fit);
        Ok(())
    }

    fn set(&self, key: &CFString, value: &CFString) -> Result<(), String> {
        let (session, value): (&CFType, &CFType) = (self.session.as_ref(), value.as_ref());
        // SAFETY: a session of the kind that has this property, whose values are strings.
        let code = unsafe { VTSessionSetProperty(session, key, Some(value)) };
        if code == 0 { Ok(()) } else { Err(format!("{key} = {value:?} was refused ({code})")) }
    }

    fn buffer(&mut self, size: [usize; 2]) -> Result<PixelBuffer, String> {
        let pool = match self.pool.take() {
            Some((of, pool)) if of == size => pool,
            _ => pool(size)?,
        };
        let mut buffer = std::ptr::null_mut();
        let out = NonNull::from(&mut buffer);
        // SAFETY: the pointer is valid for the call.
        let code = unsafe { CVPixelBufferPool::create_pixel_buffer(None, &pool, out) };
        self.pool = Some((size, pool));
        let made = NonNull::new(buffer).filter(|_| code == 0);
        // SAFETY: the buffer was created, so the caller owns a reference.
        let made = made.map(|buffer| PixelBuffer::owned(unsafe { CFRetained::from_raw(buffer) }));
        made.ok_or_else(|| format!("no memory of a pool of pixel buffers ({code})"))
    }
}

fn pool([width, height]: [usize; 2]) -> Result<CFRetained<CVPixelBufferPool>, String> {
    let format = kCVPixelFormatType_32BGRA as usize;
    let wanted = [(Key::Width, width), (Key::Height, height), (Key::Format, format)];
    let attributes = attributes(&wanted);
    let (mut pool, attributes) = (std::ptr::null_mut(), Some(attributes.as_opaque()));
    // SAFETY: the attributes have the types that their keys want, and the pointer is
    // valid for the call.
    let code =
        unsafe { CVPixelBufferPool::create(None, None, attributes, NonNull::from(&mut pool)) };
    let made = NonNull::new(pool).filter(|_| code == 0);
    // SAFETY: the pool was created, so the caller owns a reference.
    let made = made.map(|pool| unsafe { CFRetained::from_raw(pool) });
    made.ok_or_else(|| format!("no pool of surfaces {width} wide and {height} high ({code})"))
}
