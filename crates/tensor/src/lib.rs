//! Element types, shapes, tensors and views, and the one conversion between
//! 8-bit pictures and tensors.
//!
//! This crate computes nothing: it is the vocabulary that every other crate
//! speaks. Tensors are dense and row-major; a network's physical layout is a
//! fact of `laterna-graph`, not of a tensor.
#![forbid(unsafe_code)]

mod dtype;
mod picture;
mod raw;
mod shape;
mod surface;
mod tensor;

pub use dtype::DType;
pub use half::{bf16, f16};
pub use picture::{Picture, PictureError};
pub use raw::RawTensor;
pub use shape::{MAX_RANK, Shape};
pub use surface::Surface;
pub use tensor::{Data, DataMut, Tensor, TensorData, TensorError, TensorView, TensorViewMut};
