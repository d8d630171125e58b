//! Structural similarity of 8-bit pictures (Wang, Bovik, Sheikh and Simoncelli
//! 2004): an 11x11 Gaussian window of deviation 1.5 at every place where it lies
//! inside the picture, K1 0.01, K2 0.03, range 255, no downsampling.

use crate::{QualityError, same_length};

/// The side of the window in pixels.
pub const WINDOW: usize = 11;

const DEVIATION: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean SSIM of the luma planes, 0.299 R + 0.587 G + 0.114 B unrounded.
///
/// # Errors
/// If the pictures are not `width` x `height`, or smaller than the window.
pub fn ssim_luma(
    found: &[u8],
    reference: &[u8],
    width: usize,
    height: usize,
) -> Result<f64, QualityError> {
    check(found, reference, width, height)?;
    Ok(mean_ssim(&luma(found), &luma(reference), width))
}

/// Mean over R, G and B of the planes' mean SSIM.
///
/// # Errors
/// If the pictures are not `width` x `height`, or smaller than the window.
pub fn ssim_rgb(
    found: &[u8],
    reference: &[u8],
    width: usize,
    height: usize,
) -> Result<f64, QualityError> {
    check(found, reference, width, height)?;
    let of = |c: usize| mean_ssim(&channel(found, c), &channel(reference, c), width);
    Ok((of(0) + of(1) + of(2)) / 3.0)
}

fn check(found: &[u8], reference: &[u8], width: usize, height: usize) -> Result<(), QualityError> {
    same_length(found.len(), reference.len())?;
    let expected = width.saturating_mul(height).saturating_mul(3);
    if found.len() != expected {
        return Err(QualityError::Picture { width, height, expected, found: found.len() });
    }
    if width.min(height) < WINDOW {
        return Err(QualityError::TooSmall { width, height });
    }
    Ok(())
}

fn luma(rgb: &[u8]) -> Vec<f64> {
    let (pixels, _) = rgb.as_chunks::<3>();
    let of =
        |&[r, g, b]: &[u8; 3]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    pixels.iter().map(of).collect()
}

fn channel(rgb: &[u8], channel: usize) -> Vec<f64> {
    rgb.iter().skip(channel).step_by(3).map(|&value| f64::from(value)).collect()
}

/// x, y: `[height, width]`.
fn mean_ssim(x: &[f64], y: &[f64], width: usize) -> f64 {
    let mean = |plane: Vec<f64>| smooth(&plane, width);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect();
    let (mean_x, mean_y) = (mean(x.to_vec()), mean(y.to_vec()));
    let (xx, yy, xy) = (mean(product(x, x)), mean(product(y, y)), mean(product(x, y)));
    let at = |i: usize| {
        let (mx, my) = (mean_x[i], mean_y[i]);
        similarity(mx, my, xx[i] - mx * mx, yy[i] - my * my, xy[i] - mx * my)
    };
    (0..mean_x.len()).map(at).sum::<f64>() / mean_x.len() as f64
}

/// SSIM of one window from its means, variances and covariance.
fn similarity(mean_x: f64, mean_y: f64, var_x: f64, var_y: f64, covariance: f64) -> f64 {
    let luminance = (2.0 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1);
    luminance * (2.0 * covariance + C2) / (var_x + var_y + C2)
}

/// Weighted means of all windows inside the plane:
/// `[height - WINDOW + 1, width - WINDOW + 1]`.
fn smooth(plane: &[f64], width: usize) -> Vec<f64> {
    let weights = gaussian();
    let narrow = width - WINDOW + 1;
    let in_row = |row: &[f64], x: usize| dot(&weights, row[x..x + WINDOW].iter());
    let rows: Vec<f64> =
        plane.chunks(width).flat_map(|row| (0..narrow).map(move |x| in_row(row, x))).collect();
    let down = |i: usize| dot(&weights, rows[i..].iter().step_by(narrow));
    (0..rows.len() - (WINDOW - 1) * narrow).map(down).collect()
}

fn dot<'a>(weights: &[f64; WINDOW], values: impl Iterator<Item = &'a f64>) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

/// The window along one axis; it sums to 1.
fn gaussian() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let weight = |i: usize| (-((i as f64 - middle) / DEVIATION).powi(2) / 2.0).exp();
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|i| weight(i) / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture from a function of x and y.
    fn grey(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let pixel = |i: usize| [value(i % width, i / width); 3];
        (0..width * height).flat_map(pixel).collect()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    }

    #[test]
    fn a_picture_is_like_itself() {
        let picture = grey(20, 13, |x, y| (x * 37 + y * 91) as u8);
        close(ssim_luma(&picture, &picture, 20, 13).unwrap(), 1.0);
        close(ssim_rgb(&picture, &picture, 20, 13).unwrap(), 1.0);
    }

    #[test]
    fn flat_pictures_differ_in_luminance_alone() {
        // (2 * 100 * 150 + 6.5025) / (100^2 + 150^2 + 6.5025)
        let (a, b) = (grey(16, 16, |_, _| 100), grey(16, 16, |_, _| 150));
        close(ssim_luma(&a, &b, 16, 16).unwrap(), 30_006.502_5 / 32_506.502_5);
        close(ssim_rgb(&a, &b, 16, 16).unwrap(), 30_006.502_5 / 32_506.502_5);
    }

    #[test]
    fn channels_are_averaged() {
        // One of three channels: (2 * 10 * 20 + 6.5025) / (10^2 + 20^2 + 6.5025)
        let a = [10, 10, 10].repeat(121);
        let b = [10, 20, 10].repeat(121);
        close(ssim_rgb(&a, &b, 11, 11).unwrap(), (2.0 + 406.502_5 / 506.502_5) / 3.0);
    }

    #[test]
    fn negatives_have_negative_structure() {
        let a = grey(24, 24, |x, y| if (x + y) % 2 == 0 { 28 } else { 228 });
        let b = grey(24, 24, |x, y| if (x + y) % 2 == 0 { 228 } else { 28 });
        assert!(ssim_luma(&a, &b, 24, 24).unwrap() < -0.9);
    }

    /// The definition, window by window with a two-dimensional weight.
    fn naive(x: &[f64], y: &[f64], width: usize, height: usize) -> f64 {
        let weights = gaussian();
        let mut total = 0.0;
        let (columns, rows) = (width - WINDOW + 1, height - WINDOW + 1);
        for (top, left) in (0..rows).flat_map(|top| (0..columns).map(move |left| (top, left))) {
            let mean = |value: &dyn Fn(usize) -> f64| -> f64 {
                let cell = |i: usize| {
                    let (dy, dx) = (i / WINDOW, i % WINDOW);
                    weights[dy] * weights[dx] * value((top + dy) * width + left + dx)
                };
                (0..WINDOW * WINDOW).map(cell).sum()
            };
            let (mx, my) = (mean(&|i| x[i]), mean(&|i| y[i]));
            let covariance =
                |a: &[f64], ma: f64, b: &[f64], mb: f64| mean(&|i| (a[i] - ma) * (b[i] - mb));
            let (xx, yy) = (covariance(x, mx, x, mx), covariance(y, my, y, my));
            total += similarity(mx, my, xx, yy, covariance(x, mx, y, my));
        }
        total / (columns * rows) as f64
    }

    #[test]
    fn the_separable_window_is_the_two_dimensional_one() {
        let a = grey(19, 14, |x, y| (x * x * 7 + y * 31) as u8);
        let b = grey(19, 14, |x, y| (x * x * 7 + y * 29 + 11) as u8);
        let expected = naive(&luma(&a), &luma(&b), 19, 14);
        close(ssim_luma(&a, &b, 19, 14).unwrap(), expected);
        assert!(expected < 0.99);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let a = grey(16, 10, |_, _| 0);
        let small = QualityError::TooSmall { width: 16, height: 10 };
        assert_eq!(ssim_luma(&a, &a, 16, 10), Err(small));
        let picture = QualityError::Picture { width: 16, height: 11, expected: 528, found: 480 };
        assert_eq!(ssim_rgb(&a, &a, 16, 11), Err(picture));
        assert_eq!(ssim_luma(&[], &[], 0, 0), Err(QualityError::Empty));
    }
}
