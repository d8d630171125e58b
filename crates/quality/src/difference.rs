//! Errors taken value by value.

use crate::{QualityError, same_length};

/// The largest difference divided by the largest reference value: 0 if both are
/// all zero, infinite if only the reference is. NaN if any value is NaN.
///
/// # Errors
/// If the lengths differ or are 0.
pub fn max_relative_error(found: &[f32], reference: &[f32]) -> Result<f64, QualityError> {
    same_length(found.len(), reference.len())?;
    let pairs = found.iter().zip(reference);
    let error = largest(pairs.map(|(&found, &reference)| f64::from(found) - f64::from(reference)));
    let scale = largest(reference.iter().map(|&value| f64::from(value)));
    Ok(if error == 0.0 && scale == 0.0 { 0.0 } else { error / scale })
}

/// The largest magnitude, or NaN if any value is.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(
        0.0,
        |most, value| {
            if most.is_nan() || value.is_nan() { f64::NAN } else { value.abs().max(most) }
        },
    )
}

/// The mean of the squared differences.
///
/// # Errors
/// If the lengths differ or are 0.
pub fn mean_square_error(found: &[f32], reference: &[f32]) -> Result<f64, QualityError> {
    same_length(found.len(), reference.len())?;
    let pairs = found.iter().zip(reference);
    Ok(mean_square(pairs.map(|(&found, &reference)| f64::from(found) - f64::from(reference))))
}

/// Peak signal-to-noise ratio in dB of values whose range is `peak` wide: 2 for
/// pictures in [-1, 1]. Infinite if they are equal.
///
/// # Errors
/// If the lengths differ or are 0.
pub fn psnr(found: &[f32], reference: &[f32], peak: f64) -> Result<f64, QualityError> {
    Ok(decibel(mean_square_error(found, reference)?, peak))
}

/// Peak signal-to-noise ratio in dB of 8-bit pictures, over all channels.
/// Infinite if they are equal.
///
/// # Errors
/// If the lengths differ or are 0.
pub fn psnr_rgb(found: &[u8], reference: &[u8]) -> Result<f64, QualityError> {
    same_length(found.len(), reference.len())?;
    let pairs = found.iter().zip(reference);
    let differences = pairs.map(|(&found, &reference)| f64::from(found) - f64::from(reference));
    Ok(decibel(mean_square(differences), 255.0))
}

fn decibel(mean_square_error: f64, peak: f64) -> f64 {
    10.0 * (peak * peak / mean_square_error).log10()
}

fn mean_square(differences: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = differences.len() as f64;
    differences.map(|difference| difference * difference).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_error_is_of_the_largest_values() {
        let error = max_relative_error(&[1.0, -4.0, 0.5], &[1.0, -4.0, 0.25]).unwrap();
        assert_eq!(error, 0.25 / 4.0);
        assert_eq!(max_relative_error(&[0.0], &[0.0]).unwrap(), 0.0);
        assert_eq!(max_relative_error(&[1.0], &[0.0]).unwrap(), f64::INFINITY);
        assert!(max_relative_error(&[f32::NAN, 1.0], &[1.0, 1.0]).unwrap().is_nan());
        assert!(max_relative_error(&[1.0, 1.0], &[f32::NAN, 1.0]).unwrap().is_nan());
    }

    #[test]
    fn psnr_of_known_errors() {
        // A mean square error of 1 in 255: 20 log10(255).
        let value = psnr_rgb(&[10, 20, 30, 40], &[11, 19, 31, 39]).unwrap();
        assert!((value - 48.130_803_608_679).abs() < 1e-9);
        // 0.02 off in a range of 2: 20 log10(100).
        let value = psnr(&[0.5, -0.25], &[0.52, -0.27], 2.0).unwrap();
        assert!((value - 40.0).abs() < 1e-4);
        // One of four values 2 off: a mean square error of 1.
        assert_eq!(mean_square_error(&[0.0; 4], &[0.0, 2.0, 0.0, 0.0]).unwrap(), 1.0);
    }

    #[test]
    fn equal_things_have_infinite_psnr() {
        assert_eq!(psnr_rgb(&[7; 12], &[7; 12]).unwrap(), f64::INFINITY);
        assert_eq!(psnr(&[0.5; 3], &[0.5; 3], 1.0).unwrap(), f64::INFINITY);
    }

    #[test]
    fn other_sizes_are_refused() {
        let length = QualityError::Length { found: 1, reference: 2 };
        assert_eq!(psnr_rgb(&[1], &[1, 2]), Err(length.clone()));
        assert_eq!(max_relative_error(&[1.0], &[1.0, 2.0]), Err(length));
        assert_eq!(mean_square_error(&[], &[]), Err(QualityError::Empty));
    }
}
