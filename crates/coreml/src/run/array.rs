//! Arrays that Core ML reads and writes in place.
//!
//! fp16 arrays are IOSurfaces, which processor, GPU and Neural Engine share; the
//! latter writes into no other memory (Apple, WWDC22 Core ML lounge). A surface is
//! the last axis wide and the product of the others high, and its rows may be
//! padded. Pictures are such surfaces too. Other types, and what is too large for a
//! surface, are in memory that Core ML allocates.

use half::f16;
use half::slice::HalfFloatSliceExt;
use laterna_surface::{Lock, PixelBuffer};
use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use objc2::{AnyThread, Message};
use objc2_core_foundation::CFType;
use objc2_core_ml::{MLFeatureValue, MLMultiArray, MLMultiArrayDataType};
use objc2_core_video::{kCVPixelFormatType_32BGRA, kCVPixelFormatType_OneComponent16Half};
use objc2_foundation::{NSArray, NSNumber};

use super::compile::reason;
use super::{Element, Feature, PIXEL_BYTES, Rows, RunError, read_bgra, write_bgra};

/// An input's or output's memory.
pub(super) struct Array {
    pub feature: Feature,
    object: Object,
    rows: Rows,
}

/// What Core ML is handed.
enum Object {
    Plain(Retained<MLMultiArray>),
    Shared { array: Retained<MLMultiArray>, surface: PixelBuffer },
    Picture { own: PixelBuffer, shared: Option<PixelBuffer> },
}

impl Array {
    /// Zeros.
    pub fn new(feature: &Feature) -> Result<Self, RunError> {
        match feature.element {
            // A surface may be larger than the system allows.
            Element::F16 => Self::shared(feature)
                .or_else(|_| Self::plain::<f16>(feature, MLMultiArrayDataType::Float16)),
            Element::F32 => Self::plain::<f32>(feature, MLMultiArrayDataType::Float32),
            Element::I32 => Self::plain::<i32>(feature, MLMultiArrayDataType::Int32),
            Element::Bgra => Self::picture(feature),
        }
    }

    fn shared(feature: &Feature) -> Result<Self, RunError> {
        let dense = Rows::dense(&feature.shape);
        let format = kCVPixelFormatType_OneComponent16Half;
        let surface = PixelBuffer::new(dense.length, dense.count, format);
        let surface = surface.map_err(|reason| refused(feature, reason))?;
        let rows = with_stride(feature, dense, &surface, size_of::<f16>())?;
        let shape = numbers(&feature.shape);
        let array = MLMultiArray::alloc();
        // SAFETY: the surface is of 16-bit floats, as high and wide as Core ML
        // demands for this shape.
        let array =
            unsafe { MLMultiArray::initWithPixelBuffer_shape(array, surface.object(), &shape) };
        Ok(Self { feature: feature.clone(), object: Object::Shared { array, surface }, rows })
    }

    /// `T` is the type that `dtype` names.
    fn plain<T>(feature: &Feature, dtype: MLMultiArrayDataType) -> Result<Self, RunError> {
        let (object, shape) = (MLMultiArray::alloc(), numbers(&feature.shape));
        // SAFETY: the numbers are extents, which is all that is asked of them.
        let made = unsafe { MLMultiArray::initWithShape_dataType_error(object, &shape, dtype) };
        let object = made.map_err(|error| refused(feature, reason(&error)))?;
        let bytes = feature.count() * size_of::<T>();
        // SAFETY: a fresh array owns dense memory for its elements, and leaves it
        // uninitialised.
        #[allow(deprecated, reason = "what replaces it is for memory that can move")]
        unsafe {
            object.dataPointer().cast::<u8>().write_bytes(0, bytes);
        }
        let rows = Rows::dense(&feature.shape);
        Ok(Self { feature: feature.clone(), object: Object::Plain(object), rows })
    }

    fn picture(feature: &Feature) -> Result<Self, RunError> {
        let &[1, 3, height, width] = feature.shape.as_slice() else {
            return Err(refused(feature, "is no picture"));
        };
        let surface = PixelBuffer::new(width, height, kCVPixelFormatType_32BGRA);
        let surface = surface.map_err(|reason| refused(feature, reason))?;
        let dense = Rows::dense(&[height, width * PIXEL_BYTES]);
        let rows = with_stride(feature, dense, &surface, size_of::<u8>())?;
        let object = Object::Picture { own: surface, shared: None };
        Ok(Self { feature: feature.clone(), object, rows })
    }

    /// What a prediction reads.
    pub fn value(&self) -> Retained<MLFeatureValue> {
        // SAFETY: the object is alive, and the value keeps it so.
        unsafe {
            match &self.object {
                Object::Plain(array) | Object::Shared { array, .. } => {
                    MLFeatureValue::featureValueWithMultiArray(array)
                }
                Object::Picture { own, shared } => {
                    let surface = shared.as_ref().unwrap_or(own);
                    MLFeatureValue::featureValueWithPixelBuffer(surface.object())
                }
            }
        }
    }

    /// What a prediction writes into.
    pub fn backing(&self) -> Retained<AnyObject> {
        match &self.object {
            Object::Plain(array) | Object::Shared { array, .. } => array.clone().into(),
            Object::Picture { own, .. } => {
                let object: &AnyObject = AsRef::<CFType>::as_ref(own.object()).as_ref();
                object.retain()
            }
        }
    }

    /// Whether a prediction's result is in this memory.
    pub fn is_behind(&self, value: &MLFeatureValue) -> bool {
        match &self.object {
            Object::Plain(array) | Object::Shared { array, .. } => {
                // SAFETY: a plain getter.
                let given = unsafe { value.multiArrayValue() };
                given.is_some_and(|given| Retained::as_ptr(&given) == Retained::as_ptr(array))
            }
            Object::Picture { own, .. } => {
                // SAFETY: a plain getter.
                let given = unsafe { value.imageBufferValue() };
                given.is_some_and(|given| std::ptr::eq(&raw const *given, own.object()))
            }
        }
    }

    /// Reads another's picture from now on, or its own again; false if it is of another
    /// size or format, or this holds no picture.
    pub fn share(&mut self, picture: Option<&PixelBuffer>) -> bool {
        let Object::Picture { own, shared } = &mut self.object else { return false };
        let fits =
            |other: &PixelBuffer| other.size() == own.size() && other.format() == own.format();
        if !picture.is_none_or(fits) {
            return false;
        }
        *shared = picture.cloned();
        true
    }

    /// The picture of another's that is read, if any.
    pub fn lent(&self) -> Option<PixelBuffer> {
        match &self.object {
            Object::Picture { shared, .. } => shared.clone(),
            Object::Plain(_) | Object::Shared { .. } => None,
        }
    }

    /// Writes every element; fp16 arrays round to nearest.
    pub fn write_f32(&mut self, values: &[f32]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        match self.feature.element {
            Element::F16 => self.with(|bits: &mut [f16]| {
                rows.scatter(values, bits, |from, to| to.convert_from_f32_slice(from));
            }),
            Element::F32 => {
                self.with(|bits| rows.scatter(values, bits, |from, to| to.copy_from_slice(from)))
            }
            Element::Bgra => self.with(|bytes| write_bgra(rows, values, bytes)),
            Element::I32 => Err(refused(&self.feature, "holds integers, not fractions")),
        }
    }

    /// Writes every element.
    pub fn write_i64(&mut self, values: &[i64]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        if self.feature.element != Element::I32 {
            return Err(refused(&self.feature, "holds no integers"));
        }
        if let Some(wide) = values.iter().find(|&&value| i32::try_from(value).is_err()) {
            return Err(refused(&self.feature, format!("{wide} does not fit 32 bits")));
        }
        let narrow = |from: &[i64], to: &mut [i32]| {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from as i32);
        };
        self.with(|bits| rows.scatter(values, bits, narrow))
    }

    /// Reads every element.
    pub fn read_f32(&mut self, values: &mut [f32]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        match self.feature.element {
            Element::F16 => self.with(|bits: &mut [f16]| {
                rows.gather(bits, values, |from, to| from.convert_to_f32_slice(to));
            }),
            Element::F32 => self.with(|bits: &mut [f32]| {
                rows.gather(bits, values, |from, to| to.copy_from_slice(from));
            }),
            Element::Bgra => self.with(|bytes: &mut [u8]| read_bgra(rows, bytes, values)),
            Element::I32 => Err(refused(&self.feature, "holds integers, not fractions")),
        }
    }

    /// Reads every element.
    pub fn read_i64(&mut self, values: &mut [i64]) -> Result<(), RunError> {
        let rows = self.checked(values.len())?;
        if self.feature.element != Element::I32 {
            return Err(refused(&self.feature, "holds no integers"));
        }
        let widen = |from: &[i32], to: &mut [i64]| {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = i64::from(from));
        };
        self.with(|bits: &mut [i32]| rows.gather(bits, values, widen))
    }

    fn checked(&self, given: usize) -> Result<Rows, RunError> {
        let wanted = self.feature.count();
        if given == wanted {
            return Ok(self.rows);
        }
        Err(refused(&self.feature, format!("{given} elements given, it has {wanted}")))
    }

    /// Runs `body` on the memory, padding included, while no device uses it. `T` is
    /// the type of its elements, bytes for pictures.
    fn with<T>(&mut self, body: impl FnOnce(&mut [T])) -> Result<(), RunError> {
        let lock = match &self.object {
            Object::Plain(_) => None,
            Object::Shared { surface, .. } | Object::Picture { own: surface, .. } => {
                let lock = Lock::new(surface.object());
                Some(lock.map_err(|reason| refused(&self.feature, reason))?)
            }
        };
        let base = match (&lock, &self.object) {
            (Some(lock), _) => lock.base(),
            // SAFETY: the array's memory is its own, dense, and lives as long as it.
            #[allow(deprecated, reason = "what replaces it is for memory that can move")]
            (None, Object::Plain(array)) => unsafe { array.dataPointer() }.as_ptr().cast(),
            (None, _) => std::ptr::null_mut(),
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

/// The rows as far apart as the surface has them.
fn with_stride(
    feature: &Feature,
    dense: Rows,
    surface: &PixelBuffer,
    element_bytes: usize,
) -> Result<Rows, RunError> {
    let stride = surface.row_bytes() / element_bytes;
    dense.with_stride(stride).ok_or_else(|| refused(feature, "its surface has overlapping rows"))
}

fn numbers(extents: &[usize]) -> Retained<NSArray<NSNumber>> {
    let numbers: Vec<_> = extents.iter().map(|&extent| NSNumber::new_usize(extent)).collect();
    NSArray::from_retained_slice(&numbers)
}

pub(super) fn refused(feature: &Feature, reason: impl Into<String>) -> RunError {
    RunError::Feature { name: feature.name.clone(), reason: reason.into() }
}
