//! Owned tensors and borrowed views with typed elements.

use half::{bf16, f16};
use thiserror::Error;

use crate::{DType, RawTensor, Shape, Surface};

/// Why a tensor could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The number of elements is not the shape's.
    #[error("shape {shape} needs {expected} elements, not {found}")]
    Length {
        /// The shape asked for.
        shape: Shape,
        /// Elements in that shape.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// The elements have another type.
    #[error("expected {expected} elements, found {found}")]
    DType {
        /// Type asked for.
        expected: DType,
        /// Type found.
        found: DType,
    },
}

/// Owned elements, by type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the element type of that name")]
pub enum TensorData {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

/// Borrowed elements, by type.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the element type of that name")]
pub enum Data<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    I64(&'a [i64]),
    U8(&'a [u8]),
}

/// Mutably borrowed elements, by type.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the element type of that name")]
pub enum DataMut<'a> {
    F32(&'a mut [f32]),
    F16(&'a mut [f16]),
    BF16(&'a mut [bf16]),
    I64(&'a mut [i64]),
    U8(&'a mut [u8]),
}

macro_rules! for_each_type {
    ($value:expr, $family:ident, $d:ident => $body:expr) => {
        match $value {
            $family::F32($d) => $body,
            $family::F16($d) => $body,
            $family::BF16($d) => $body,
            $family::I64($d) => $body,
            $family::U8($d) => $body,
        }
    };
}

impl Data<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        for_each_type!(self, Data, d => d.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::I64(_) => DType::I64,
            Self::U8(_) => DType::U8,
        }
    }
}

/// An owned, dense, row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: TensorData,
    surface: Option<Surface>,
}

impl Tensor {
    /// A tensor of f32 elements.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn from_f32(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Self, TensorError> {
        Self::new(shape.into(), TensorData::F32(data))
    }

    /// A tensor of i64 elements.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn from_i64(shape: impl Into<Shape>, data: Vec<i64>) -> Result<Self, TensorError> {
        Self::new(shape.into(), TensorData::I64(data))
    }

    /// A tensor of any element type.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn new(shape: Shape, data: TensorData) -> Result<Self, TensorError> {
        let found = for_each_type!(&data, TensorData, d => d.len());
        check_length(shape, found)?;
        Ok(Self { shape, data, surface: None })
    }

    /// An f32 tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { shape, data: TensorData::F32(vec![0.0; shape.elements()]), surface: None }
    }

    /// Decodes stored bytes: 16-bit and 8-bit floats become f32, integers keep
    /// their type.
    pub fn from_raw(raw: &RawTensor<'_>) -> Self {
        let data = match raw.dtype {
            DType::I64 => {
                let (chunks, _) = raw.bytes.as_chunks::<8>();
                TensorData::I64(chunks.iter().map(|&b| i64::from_le_bytes(b)).collect())
            }
            DType::U8 => TensorData::U8(raw.bytes.to_vec()),
            _ => TensorData::F32(raw.to_f32()),
        };
        Self { shape: raw.shape, data, surface: None }
    }

    /// Extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.view().dtype()
    }

    /// The elements.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The elements as f32.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_f32(&self) -> Result<&[f32], TensorError> {
        self.view().as_f32()
    }

    /// The elements as mutable f32. They are then no surface's any more.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_f32_mut(&mut self) -> Result<&mut [f32], TensorError> {
        let found = self.dtype();
        self.surface = None;
        match &mut self.data {
            TensorData::F32(data) => Ok(data),
            _ => Err(TensorError::DType { expected: DType::F32, found }),
        }
    }

    /// The elements as i64.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_i64(&self) -> Result<&[i64], TensorError> {
        self.view().as_i64()
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn reshaped(self, shape: impl Into<Shape>) -> Result<Self, TensorError> {
        Self::new(shape.into(), self.data)
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorView<'_> {
        let data = match &self.data {
            TensorData::F32(d) => Data::F32(d),
            TensorData::F16(d) => Data::F16(d),
            TensorData::BF16(d) => Data::BF16(d),
            TensorData::I64(d) => Data::I64(d),
            TensorData::U8(d) => Data::U8(d),
        };
        TensorView { shape: self.shape, data, surface: self.surface.as_ref() }
    }

    /// Says that the elements are a picture, `[1, 3, height, width]` in -1..=1, which
    /// also is in that memory, to the 8 bits that it has. A device that reads such memory
    /// may take it instead.
    pub fn set_surface(&mut self, surface: Surface) {
        self.surface = Some(surface);
    }

    /// A mutable view. The elements are then no surface's any more.
    pub fn view_mut(&mut self) -> TensorViewMut<'_> {
        self.surface = None;
        let data = match &mut self.data {
            TensorData::F32(d) => DataMut::F32(d),
            TensorData::F16(d) => DataMut::F16(d),
            TensorData::BF16(d) => DataMut::BF16(d),
            TensorData::I64(d) => DataMut::I64(d),
            TensorData::U8(d) => DataMut::U8(d),
        };
        TensorViewMut { shape: self.shape, data }
    }
}

/// A borrowed, dense, row-major tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    shape: Shape,
    data: Data<'a>,
    surface: Option<&'a Surface>,
}

impl<'a> TensorView<'a> {
    /// A view of f32 elements.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn from_f32(shape: impl Into<Shape>, data: &'a [f32]) -> Result<Self, TensorError> {
        Self::new(shape.into(), Data::F32(data))
    }

    /// A view of elements of any type.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn new(shape: Shape, data: Data<'a>) -> Result<Self, TensorError> {
        check_length(shape, data.len())?;
        Ok(Self { shape, data, surface: None })
    }

    /// Extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The memory that the same picture also is in, see [`Tensor::set_surface`].
    pub fn surface(&self) -> Option<&'a Surface> {
        self.surface
    }

    /// The elements.
    pub fn data(&self) -> Data<'a> {
        self.data
    }

    /// The elements as f32.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_f32(&self) -> Result<&'a [f32], TensorError> {
        match self.data {
            Data::F32(data) => Ok(data),
            other => Err(TensorError::DType { expected: DType::F32, found: other.dtype() }),
        }
    }

    /// The elements as i64.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_i64(&self) -> Result<&'a [i64], TensorError> {
        match self.data {
            Data::I64(data) => Ok(data),
            other => Err(TensorError::DType { expected: DType::I64, found: other.dtype() }),
        }
    }

    /// A copy that owns its elements.
    pub fn to_tensor(&self) -> Tensor {
        let data = match self.data {
            Data::F32(d) => TensorData::F32(d.to_vec()),
            Data::F16(d) => TensorData::F16(d.to_vec()),
            Data::BF16(d) => TensorData::BF16(d.to_vec()),
            Data::I64(d) => TensorData::I64(d.to_vec()),
            Data::U8(d) => TensorData::U8(d.to_vec()),
        };
        Tensor { shape: self.shape, data, surface: self.surface.cloned() }
    }
}

/// A mutably borrowed, dense, row-major tensor.
#[derive(Debug)]
pub struct TensorViewMut<'a> {
    shape: Shape,
    data: DataMut<'a>,
}

impl<'a> TensorViewMut<'a> {
    /// A mutable view of f32 elements.
    ///
    /// # Errors
    /// If the number of elements is not the shape's.
    pub fn from_f32(shape: impl Into<Shape>, data: &'a mut [f32]) -> Result<Self, TensorError> {
        let shape = shape.into();
        check_length(shape, data.len())?;
        Ok(Self { shape, data: DataMut::F32(data) })
    }

    /// Extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match &self.data {
            DataMut::F32(_) => DType::F32,
            DataMut::F16(_) => DType::F16,
            DataMut::BF16(_) => DType::BF16,
            DataMut::I64(_) => DType::I64,
            DataMut::U8(_) => DType::U8,
        }
    }

    /// The elements as f32.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_f32_mut(&mut self) -> Result<&mut [f32], TensorError> {
        let found = self.dtype();
        match &mut self.data {
            DataMut::F32(data) => Ok(data),
            _ => Err(TensorError::DType { expected: DType::F32, found }),
        }
    }

    /// The elements as i64.
    ///
    /// # Errors
    /// If they have another type.
    pub fn as_i64_mut(&mut self) -> Result<&mut [i64], TensorError> {
        let found = self.dtype();
        match &mut self.data {
            DataMut::I64(data) => Ok(data),
            _ => Err(TensorError::DType { expected: DType::I64, found }),
        }
    }
}

fn check_length(shape: Shape, found: usize) -> Result<(), TensorError> {
    let expected = shape.elements();
    if expected == found { Ok(()) } else { Err(TensorError::Length { shape, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_goes_with_its_elements_until_they_change() {
        let surface = Surface::new(7_u8);
        assert_eq!((surface.get::<u8>(), surface.get::<i8>()), (Some(&7), None));
        assert_ne!(surface, Surface::new(7_u8));
        let mut tensor = Tensor::zeros([1, 3, 2, 2]);
        assert_eq!(tensor.view().surface(), None);
        tensor.set_surface(surface.clone());
        assert_eq!(tensor.view().surface(), Some(&surface));
        assert_eq!(tensor.view().to_tensor().view().surface(), Some(&surface));
        let mut read = tensor.clone();
        assert_eq!(read.as_f32_mut().unwrap().len(), 12);
        assert_eq!(read.view().surface(), None);
        let mut viewed = tensor.clone();
        assert_eq!(viewed.view_mut().dtype(), DType::F32);
        assert_eq!(viewed.view().surface(), None);
        assert_eq!(tensor.reshaped([12]).unwrap().view().surface(), None);
    }
}
