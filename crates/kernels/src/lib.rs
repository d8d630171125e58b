//! CPU kernels on plain slices: matrix products, convolution, attention and the element-wise
//! mathematics they need, each written once and compiled for every instruction set.
//!
//! This crate knows no graph and no model. Activations are channels-last, `[batch, height, width,
//! channels]`, so a row is one pixel or one token. Kernels allocate nothing; lengths are checked
//! at the public entry, where a wrong one is a bug of the caller and panics.

#[cfg(target_endian = "big")]
compile_error!("words of two bf16 are written in the order of little-endian memory");

mod aligned;
pub mod attention;
pub mod ceiling;
mod chunks;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod isa;
mod lanes;
pub mod lookup;
pub mod math;
pub mod norm;
pub mod permute;
pub mod pool;
pub mod resample;
pub mod softmax;
mod strided;
#[cfg(test)]
mod testing;

pub use aligned::AlignedBuffer;
pub use attention::{AttentionShape, Tokens, attention, attention_scratch_len};
pub use conv::{
    CONVOLUTIONS_VARIABLE, Chain, ConvShape, Convolutions, Halving, Link, MAX_LINKS, Padding,
    UnknownConvolutions, Way, Winograd, WinogradWeights, conv2d, conv2d_grouped, conv2d_winograd,
    measure_ways, winograd_scratch_len,
};
pub use gemm::{
    BatchBias, Epilogue, MatmulShape, PackedWeights, Precision, ReadWeights, Residual,
    UnknownPrecision, WeightShape, linear, matmul, matmul_scratch_len,
};
pub use isa::{Isa, IsaError};
pub use math::Activation;
pub use pool::Pool;
pub use strided::MAX_RANK;
