//! A picture of known colours as if a camera of macOS had sent it, for the system's
//! own test.
#![allow(unsafe_code, reason = "the memory of a pixel buffer")]

use laterna_pipeline::Image;
use laterna_pipeline::port::Aim;
use laterna_surface::{Lock, PixelBuffer};
use objc2_core_video::{
    CVAttachmentMode, kCVImageBufferYCbCrMatrix_ITU_R_601_4, kCVImageBufferYCbCrMatrixKey,
    kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange,
};

use super::avfoundation::Work;

const SIZE: [usize; 2] = [96, 72];

/// The picture as a model gets it that reads surfaces, and as others do, which crop and
/// scale it themselves.
///
/// # Errors
/// If the system does not crop and scale it, in its words.
pub fn camera_trial(aim: Aim) -> Result<[Image; 2], String> {
    let buffer = picture()?;
    let mut work = Work::default();
    work.share(buffer.object(), aim)?;
    let shared = std::mem::take(&mut work.image);
    work.receive(buffer.object(), None).ok_or("a pixel buffer has no planes")?;
    Ok([shared, work.image])
}

/// Brighter to the right and downwards, bluer downwards, redder to both: no two corners are alike,
/// and a part, another shape or another matrix of it is seen.
fn picture() -> Result<PixelBuffer, String> {
    let [width, height] = SIZE;
    let format = kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange;
    let buffer = PixelBuffer::new(width, height, format)?;
    let mut lock = Lock::new(buffer.object())?;
    let none = "a pixel buffer has no planes";
    // SAFETY: it is new, so that nobody else has it.
    let (luma, stride) = unsafe { lock.plane_mut(0) }.ok_or(none)?;
    for (y, row) in luma.chunks_mut(stride).enumerate().take(height) {
        row.iter_mut().take(width).enumerate().for_each(|(x, luma)| *luma = 40 + (x + y) as u8);
    }
    // SAFETY: as above.
    let (chroma, stride) = unsafe { lock.plane_mut(1) }.ok_or(none)?;
    for (y, row) in chroma.chunks_mut(stride).enumerate().take(height / 2) {
        for (x, pair) in row.as_chunks_mut::<2>().0.iter_mut().take(width / 2).enumerate() {
            *pair = [96 + 2 * y as u8, 96 + (x + y) as u8];
        }
    }
    drop(lock);
    // SAFETY: the key's value is one of its strings.
    unsafe {
        buffer.object().set_attachment(
            kCVImageBufferYCbCrMatrixKey,
            kCVImageBufferYCbCrMatrix_ITU_R_601_4,
            CVAttachmentMode::ShouldPropagate,
        );
    }
    Ok(buffer)
}
