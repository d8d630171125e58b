//! Arrays that Core ML reads and writes in place.
//!
//! fp16 arrays are IOSurfaces, which processor, GPU and Neural Engine share; the
//! latter writes into no other memory (Apple, WWDC22 Core ML lounge). A surface is
//! the last axis wide and the product of the others high, and its rows may be
//! padded. Other types are in memory that Core ML allocates.

use std::ptr::NonNull;

use half::f16;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_core_foundation::{CFDictionary, CFRetained, CFString, CFType};
use objc2_core_ml::{MLMultiArray, MLMultiArrayDataType};
use objc2_core_video::{
    CVPixelBuffer, CVPixelBufferCreate, CVPixelBufferGetBaseAddress, CVPixelBufferGetBytesPerRow,
    CVPixelBufferLockBaseAddress, CVPixelBufferLockFlags, CVPixelBufferUnlockBaseAddress,
    kCVPixelBufferIOSurfacePropertiesKey, kCVPixelFormatType_OneComponent16Half,
};
use objc2_foundation::{NSArray, NSNumber};

use super::compile::reason;
use super::{Element, Feature, Rows, RunError};

/// An input's or output's array.
pub(super) struct Array {
    pub feature: Feature,
    pub object: Retained<MLMultiArray>,
    /// The memory of fp16 arrays.
    surface: Option<CFRetained<CVPixelBuffer>>,
    rows: Rows,
}

impl Array {
    /// An array of zeros.
    pub fn new(feature: &Feature) -> Result<Self, RunError> {
        match feature.element {
            Element::F16 => Self::shared(feature),
            Element::F32 => Self::plain(feature, MLMultiArrayDataType::Float32),
            Element::I32 => Self::plain(feature, MLMultiArrayDataType::Int32),
        }
    }

    fn shared(feature: &Feature) -> Result<Self, RunError> {
        let dense = Rows::dense(&feature.shape);
        let surface = surface(dense).map_err(|reason| refused(feature, reason))?;
        let stride = CVPixelBufferGetBytesPerRow(&surface) / size_of::<f16>();
        let rows = dense.with_stride(stride);
        let rows = rows.ok_or_else(|| refused(feature, "its surface has overlapping rows"))?;
        let shape = numbers(&feature.shape);
        let object = MLMultiArray::alloc();
        // SAFETY: the surface is of 16-bit floats, as high and wide as Core ML
        // demands for this shape.
        let object = unsafe { MLMultiArray::initWithPixelBuffer_shape(object, &surface, &shape) };
        Ok(Self { feature: feature.clone(), object, surface: Some(surface), rows })
    }

    fn plain(feature: &Feature, dtype: MLMultiArrayDataType) -> Result<Self, RunError> {
        let (object, shape) = (MLMultiArray::alloc(), numbers(&feature.shape));
        // SAFETY: the numbers are extents, which is all that is asked of them.
        let made = unsafe { MLMultiArray::initWithShape_dataType_error(object, &shape, dtype) };
        let object = made.map_err(|error| refused(feature, reason(&error)))?;
        let bytes = feature.count() * size_of::<u32>();
        // SAFETY: a fresh array owns dense memory for its elements, of four bytes each
        // in both types, and leaves it uninitialised.
        #[allow(deprecated, reason = "what replaces it is for memory that can move")]
        unsafe {
            object.dataPointer().cast::<u8>().write_bytes(0, bytes);
        }
        let rows = Rows::dense(&feature.shape);
        Ok(Self { feature: feature.clone(), object, surface: None, rows })
    }

    /// Writes every element; fp16 arrays round to nearest.
    pub fn write_f32(&mut self, values: &[f32]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        match self.feature.element {
            Element::F16 => self.with(|bits| rows.scatter(values, bits, f16::from_f32)),
            Element::F32 => self.with(|bits| rows.scatter(values, bits, |x: f32| x)),
            Element::I32 => Err(refused(&self.feature, "holds integers, not f32")),
        }
    }

    /// Writes every element.
    pub fn write_i32(&mut self, values: &[i32]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        match self.feature.element {
            Element::I32 => self.with(|bits| rows.scatter(values, bits, |x: i32| x)),
            _ => Err(refused(&self.feature, "holds no integers")),
        }
    }

    /// Reads every element.
    pub fn read_f32(&mut self, values: &mut [f32]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        match self.feature.element {
            Element::F16 => self.with(|bits: &mut [f16]| rows.gather(bits, values, f16::to_f32)),
            Element::F32 => self.with(|bits: &mut [f32]| rows.gather(bits, values, |x| x)),
            Element::I32 => Err(refused(&self.feature, "holds integers, not f32")),
        }
    }

    fn checked(&self, given: usize) -> Result<Rows, RunError> {
        let wanted = self.feature.count();
        if given == wanted {
            return Ok(self.rows);
        }
        Err(refused(&self.feature, format!("{given} elements given, it has {wanted}")))
    }

    /// Runs `body` on the array's memory, padding included, while no device uses it.
    /// `T` is the type of the array's elements.
    fn with<T>(&mut self, body: impl FnOnce(&mut [T])) -> Result<(), RunError> {
        let lock = match &self.surface {
            Some(surface) => Some(Lock::new(surface).map_err(|e| refused(&self.feature, e))?),
            None => None,
        };
        let base = match &lock {
            Some(lock) => CVPixelBufferGetBaseAddress(lock.0),
            // SAFETY: the array's memory is its own, dense, and lives as long as it.
            #[allow(deprecated, reason = "what replaces it is for memory that can move")]
            None => unsafe { self.object.dataPointer() }.as_ptr(),
        };
        if base.is_null() || !base.cast::<T>().is_aligned() {
            return Err(refused(&self.feature, "its memory cannot be read"));
        }
        // SAFETY: the memory holds `extent` elements of T from here on: a surface has
        // `count` rows of `stride` elements, a plain array is dense. Both begin as
        // zeros, any bits are a value of T, and `&mut self` and the lock keep everyone
        // else from it.
        body(unsafe { std::slice::from_raw_parts_mut(base.cast(), self.rows.extent()) });
        Ok(())
    }
}

/// A surface whose memory the processor may use while this lives.
struct Lock<'surface>(&'surface CVPixelBuffer);

impl<'surface> Lock<'surface> {
    fn new(surface: &'surface CVPixelBuffer) -> Result<Self, String> {
        // SAFETY: the buffer is alive; it is unlocked with the same flags.
        let code = unsafe { CVPixelBufferLockBaseAddress(surface, CVPixelBufferLockFlags(0)) };
        if code == 0 { Ok(Self(surface)) } else { Err(format!("locking it failed ({code})")) }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // SAFETY: it was locked with these flags.
        unsafe { CVPixelBufferUnlockBaseAddress(self.0, CVPixelBufferLockFlags(0)) };
    }
}

/// A surface of 16-bit floats, `rows.count` high.
fn surface(rows: Rows) -> Result<CFRetained<CVPixelBuffer>, String> {
    let nothing = CFDictionary::<CFString, CFType>::empty();
    // SAFETY: a constant of the framework.
    let key = unsafe { kCVPixelBufferIOSurfacePropertiesKey };
    let attributes = CFDictionary::<CFString, CFType>::from_slices(&[key], &[nothing.as_ref()]);
    let mut buffer = std::ptr::null_mut();
    // SAFETY: the attribute has the type that its key wants, and the pointer is
    // valid for the call.
    let code = unsafe {
        CVPixelBufferCreate(
            None,
            rows.length,
            rows.count,
            kCVPixelFormatType_OneComponent16Half,
            Some(attributes.as_opaque()),
            NonNull::from(&mut buffer),
        )
    };
    match NonNull::new(buffer) {
        // SAFETY: the buffer was created, so the caller owns a reference.
        Some(buffer) if code == 0 => Ok(unsafe { CFRetained::from_raw(buffer) }),
        _ => Err(format!("no surface {} wide and {} high ({code})", rows.length, rows.count)),
    }
}

fn numbers(extents: &[usize]) -> Retained<NSArray<NSNumber>> {
    let numbers: Vec<_> = extents.iter().map(|&extent| NSNumber::new_usize(extent)).collect();
    NSArray::from_retained_slice(&numbers)
}

pub(super) fn refused(feature: &Feature, reason: impl Into<String>) -> RunError {
    RunError::Feature { name: feature.name.clone(), reason: reason.into() }
}
