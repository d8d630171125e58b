//! Measures of how much two tensors or two pictures differ.
//!
//! Values are compared as slices; pictures as interleaved 8-bit RGB, rows top to
//! bottom, with their width and height.
#![forbid(unsafe_code)]

mod difference;
mod ssim;

pub use difference::{max_relative_error, mean_square_error, psnr, psnr_rgb};
pub use ssim::{WINDOW, ssim_luma, ssim_rgb};

use thiserror::Error;

/// Why two things cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QualityError {
    /// They have different sizes.
    #[error("cannot compare {found} values with {reference}")]
    Length {
        /// Values in the first.
        found: usize,
        /// Values in the reference.
        reference: usize,
    },
    /// There is nothing to compare.
    #[error("nothing to compare")]
    Empty,
    /// The values are not a picture of this size.
    #[error("a {width}x{height} RGB picture needs {expected} bytes, not {found}")]
    Picture {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The picture is smaller than the window of the measure.
    #[error("a {width}x{height} picture is smaller than the {WINDOW}x{WINDOW} window of SSIM")]
    TooSmall {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
}

fn same_length(found: usize, reference: usize) -> Result<(), QualityError> {
    match (found, reference) {
        (0, 0) => Err(QualityError::Empty),
        (found, reference) if found == reference => Ok(()),
        (found, reference) => Err(QualityError::Length { found, reference }),
    }
}
