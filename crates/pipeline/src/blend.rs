//! What is done to 8-bit pictures on their way to the display: conversion from
//! planes, mixing of two pictures, and smoothing over time (EMA). The loops are
//! written so that the compiler turns them into vector code.

use crate::frame::Frame;
use crate::image::Size;
use crate::settings::Settings;

/// Pixels converted at a time: their three rows of bytes stay in registers or
/// the nearest cache.
const CHUNK: usize = 64;

/// Adding it to 0..2^22 leaves the value rounded half to even in the low bits:
/// 1.5 * 2^23, the usual float-to-int constant.
const ROUND: f32 = 12_582_912.0;

/// Makes a frame's pictures of what the model read and wrote, `[3, height, width]`
/// of `size`, about -1..=1: the camera's, and the painting, smoothed and mixed
/// with the camera's as the settings say.
///
/// # Panics
/// If planes have another size.
pub fn compose<S>(
    frame: &mut Frame,
    size: Size,
    [picture, painted]: [&[f32]; 2],
    smoother: &mut Smoother,
    settings: &Settings<S>,
) {
    for (image, planes) in [(&mut frame.camera, picture), (&mut frame.painting, painted)] {
        image.reset(size);
        planes_to_rgb(planes, image.rgb_mut());
    }
    let rgb = frame.painting.rgb_mut();
    smoother.apply(rgb, settings.smoothing);
    match weight(settings.camera) {
        0 => {}
        share => mix(rgb, frame.camera.rgb(), share),
    }
}

/// Writes planes, `[3, height, width]`, -1..=1, as interleaved RGB bytes, by the
/// arithmetic of [`laterna_tensor::Picture::from_tensor`].
///
/// # Panics
/// If the lengths differ.
pub fn planes_to_rgb(planes: &[f32], rgb: &mut [u8]) {
    assert_eq!(planes.len(), rgb.len(), "a picture of another size");
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let pixels = rgb.as_chunks_mut::<3>().0;
    let rows = red.chunks(CHUNK).zip(green.chunks(CHUNK)).zip(blue.chunks(CHUNK));
    for (((red, green), blue), pixels) in rows.zip(pixels.chunks_mut(CHUNK)) {
        let [red, green, blue] = [red, green, blue].map(to_bytes);
        for (i, pixel) in pixels.iter_mut().enumerate() {
            *pixel = [red[i], green[i], blue[i]];
        }
    }
}

fn to_bytes(values: &[f32]) -> [u8; CHUNK] {
    let mut bytes = [0; CHUNK];
    for (byte, &value) in bytes.iter_mut().zip(values) {
        let unit = value / 2.0 + 0.5;
        // In this order NaN becomes 0.
        let low = if unit > 0.0 { unit } else { 0.0 };
        let clamped = if low < 1.0 { low } else { 1.0 };
        *byte = (clamped * 255.0 + ROUND).to_bits() as u8;
    }
    bytes
}

/// A share of 0..=1 in 256ths; NaN counts as 0.
pub fn weight(share: f32) -> u16 {
    (share.clamp(0.0, 1.0) * 256.0).round() as u16
}

/// How many times a picture is to be smoothed until what was before it no longer
/// shows: its share is then below half a level.
pub fn frames_to_settle(keep: f32) -> u32 {
    let keep = f32::from(weight(keep).min(255)) / 256.0;
    if keep == 0.0 { 0 } else { ((1.0_f32 / 512.0).ln() / keep.ln()).ceil() as u32 }
}

/// `into = into * (1 - w) + other * w` with `w` in 256ths, at most 256.
///
/// # Panics
/// If the lengths differ or the weight is larger.
pub fn mix(into: &mut [u8], other: &[u8], weight: u16) {
    check(into.len(), other.len(), weight);
    for (a, &b) in into.iter_mut().zip(other) {
        *a = lerp(*a, b, weight);
    }
}

/// `out = from * (1 - w) + to * w` with `w` in 256ths, at most 256.
///
/// # Panics
/// If the lengths differ or the weight is larger.
pub fn interpolate(out: &mut [u8], from: &[u8], to: &[u8], weight: u16) {
    check(out.len(), from.len(), weight);
    check(out.len(), to.len(), weight);
    for ((out, &a), &b) in out.iter_mut().zip(from).zip(to) {
        *out = lerp(a, b, weight);
    }
}

fn check(length: usize, other: usize, weight: u16) {
    assert_eq!(length, other, "a picture of another size");
    assert!(weight <= 256, "a weight above one");
}

/// 255 * 256 + 128 fits 16 bits.
#[inline(always)]
fn lerp(a: u8, b: u8, weight: u16) -> u8 {
    ((u16::from(a) * (256 - weight) + u16::from(b) * weight + 128) >> 8) as u8
}

/// An exponential moving average of pictures, kept with 7 bits below the byte:
/// in 8 bits alone it would stop short of a picture that no longer changes.
#[derive(Clone, Debug, Default)]
pub struct Smoother {
    average: Vec<i16>,
}

impl Smoother {
    /// Forgets earlier pictures, as at a scene cut.
    pub fn reset(&mut self) {
        self.average.clear();
    }

    /// The average, interleaved RGB in 128ths of a level; empty before the first
    /// picture. [`Smoother::of_average`] goes on with it.
    pub fn average(&self) -> &[i16] {
        &self.average
    }

    /// Goes on with the average of another one; what no average can be counts as
    /// the nearest.
    pub fn of_average(mut average: Vec<i16>) -> Self {
        average.iter_mut().for_each(|value| *value = (*value).clamp(0, 255 << 7));
        Self { average }
    }

    /// Replaces `rgb` by the average: `keep * before + (1 - keep) * rgb`. The
    /// first picture, and one of another size, starts it anew.
    pub fn apply(&mut self, rgb: &mut [u8], keep: f32) {
        let keep = weight(keep).min(255);
        if self.average.len() != rgb.len() || keep == 0 {
            self.restart(rgb);
            return;
        }
        let gain = 256 - i32::from(keep);
        for (average, byte) in self.average.iter_mut().zip(rgb) {
            *average = step(*average, *byte, gain);
            *byte = ((*average + 64) >> 7) as u8;
        }
    }

    fn restart(&mut self, rgb: &[u8]) {
        self.average.clear();
        self.average.extend(rgb.iter().map(|&byte| i16::from(byte) << 7));
    }
}

/// The difference times the gain, rounded away from 0 so that the average
/// arrives, at the byte itself and not beyond.
#[inline(always)]
fn step(average: i16, byte: u8, gain: i32) -> i16 {
    let difference = (i32::from(byte) << 7) - i32::from(average);
    let up = if difference > 0 { 255 } else { 0 };
    average + ((difference * gain + up) >> 8) as i16
}

#[cfg(test)]
mod tests {
    use laterna_tensor::{Picture, Tensor};

    use super::*;

    fn noise(length: usize, seed: u32) -> Vec<u8> {
        let mut x = seed;
        (0..length)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn planes_become_the_bytes_that_picture_gives() {
        let (width, height) = (37, 11);
        let mut values: Vec<f32> = noise(3 * width * height * 2, 1)
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&pair| f32::from(u16::from_le_bytes(pair)) / 29_000.0 - 1.1)
            .collect();
        let halves = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1.0 / 255.0, 3.0 / 255.0];
        values[..6].copy_from_slice(&halves);
        let tensor = Tensor::from_f32([1, 3, height, width], values.clone()).unwrap();
        let mut rgb = vec![7; values.len()];
        planes_to_rgb(&values, &mut rgb);
        assert_eq!(rgb, Picture::from_tensor(&tensor).unwrap().rgb());
    }

    #[test]
    fn a_mix_is_the_rounded_weighted_mean() {
        let (a, b) = (noise(1001, 2), noise(1001, 3));
        for w in [0, 1, 100, 128, 255, 256] {
            let mut mixed = a.clone();
            mix(&mut mixed, &b, w);
            let mut out = vec![0; a.len()];
            interpolate(&mut out, &a, &b, w);
            assert_eq!(out, mixed);
            for ((&a, &b), &mixed) in a.iter().zip(&b).zip(&mixed) {
                let exact = f64::from(a) + (f64::from(b) - f64::from(a)) * f64::from(w) / 256.0;
                assert_eq!(f64::from(mixed), (exact + 0.5).floor(), "{a} {b} {w}");
            }
        }
    }

    #[test]
    fn shares_become_weights() {
        assert_eq!([0.0, 0.5, 1.0, 9.0, -1.0, f32::NAN].map(weight), [0, 128, 256, 256, 0, 0]);
    }

    #[test]
    fn smoothing_follows_the_formula_within_a_level() {
        let mut smoother = Smoother::default();
        let mut exact: Vec<f64> = Vec::new();
        for seed in 0..20 {
            let picture = noise(300, seed);
            let mut shown = picture.clone();
            smoother.apply(&mut shown, 0.75);
            if exact.is_empty() {
                exact = picture.iter().map(|&byte| f64::from(byte)).collect();
            }
            for ((exact, &byte), &shown) in exact.iter_mut().zip(&picture).zip(&shown) {
                *exact = 0.75 * *exact + 0.25 * f64::from(byte);
                assert!((*exact - f64::from(shown)).abs() < 0.6, "{exact} {shown}");
            }
        }
    }

    #[test]
    fn a_still_picture_is_reached() {
        for (from, to) in [(0, 255), (255, 0), (10, 11), (11, 10)] {
            let mut smoother = Smoother::default();
            smoother.apply(&mut [from; 40], 0.99);
            let mut shown = [0; 40];
            for _ in 0..3000 {
                shown = [to; 40];
                smoother.apply(&mut shown, 0.99);
            }
            assert_eq!(shown, [to; 40], "{from} {to}");
        }
    }

    #[test]
    fn a_picture_settles_in_the_frames_foretold() {
        assert_eq!((frames_to_settle(0.0), frames_to_settle(0.5)), (0, 9));
        for keep in [0.1, 0.4, 0.9] {
            let mut smoother = Smoother::default();
            smoother.apply(&mut [0; 8], keep);
            let mut shown = [0; 8];
            for _ in 0..frames_to_settle(keep) {
                shown = [255; 8];
                smoother.apply(&mut shown, keep);
            }
            assert_eq!(shown, [255; 8], "{keep}");
        }
    }

    #[test]
    fn a_smoother_is_gone_on_with_by_another() {
        let mut smoother = Smoother::default();
        for seed in 0..3 {
            smoother.apply(&mut noise(300, seed), 0.9);
        }
        let mut other = Smoother::of_average(smoother.average().to_vec());
        let (mut a, mut b) = (noise(300, 9), noise(300, 9));
        smoother.apply(&mut a, 0.9);
        other.apply(&mut b, 0.9);
        assert_eq!((a, smoother.average()), (b, other.average()));
        let odd = Smoother::of_average(vec![i16::MIN, -1, 0, i16::MAX]);
        assert_eq!(odd.average(), [0, 0, 0, 255 << 7]);
    }

    #[test]
    fn a_reset_shows_the_new_picture_alone() {
        let mut smoother = Smoother::default();
        smoother.apply(&mut [200; 6], 0.9);
        smoother.reset();
        let mut shown = [10; 6];
        smoother.apply(&mut shown, 0.9);
        assert_eq!(shown, [10; 6]);
    }
}
