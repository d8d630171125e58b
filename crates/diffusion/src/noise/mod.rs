//! Normal noise from a seed, the same on every platform and for any thread
//! count: value `i` of a stream depends on the seed, the stream and `i` alone.
//!
//! The generator, which pictures made with a seed depend on and which therefore
//! never changes:
//!
//! 1. Block `b` of a stream is Philox4x32-10 of the key (seed's low and high 32
//!    bits) and the counter (low and high 32 bits of `b`, the stream's number,
//!    the stream's index).
//! 2. Its four words are two pairs (p, q), each of which gives two values by Box
//!    and Muller: with u = (p + 1/2) / 2^32 and r = sqrt(-2 ln u), the values are
//!    r cos(2 pi q / 2^32) and r sin(2 pi q / 2^32), in f64, rounded to f32.
//! 3. ln, sin and cos are the polynomials of this module, built from operations
//!    that IEEE 754 rounds exactly; libm's differ between platforms.

mod math;
mod philox;

use math::{ln, sin_cos_turn};
use philox::philox4x32;

/// What a stream of noise is used for. Streams of one seed are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The latent that a run starts from, or is noised with.
    Initial,
    /// What a scheduler draws at a step, by the step's index.
    Step(u32),
    /// The sample of an autoencoder's distribution.
    Autoencoder,
}

impl Stream {
    /// The stream's number and index in the counter.
    fn words(self) -> [u32; 2] {
        match self {
            Self::Initial => [0, 0],
            Self::Step(i) => [1, i],
            Self::Autoencoder => [2, 0],
        }
    }
}

/// The noise of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    key: [u32; 2],
}

impl Noise {
    /// The noise of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { key: halves(seed) }
    }

    /// Fills `out` with the first values of a stream: mean 0, deviation 1.
    pub fn fill(&self, stream: Stream, out: &mut [f32]) {
        for (block, values) in (0u64..).zip(out.chunks_mut(4)) {
            values.copy_from_slice(&self.block(stream, block)[..values.len()]);
        }
    }

    fn block(&self, stream: Stream, block: u64) -> [f32; 4] {
        let ([low, high], [number, index]) = (halves(block), stream.words());
        let [a, b, c, d] = philox4x32([low, high, number, index], self.key);
        let ([w, x], [y, z]) = (box_muller(a, b), box_muller(c, d));
        [w, x, y, z]
    }
}

/// Two independent normal values from two uniform words.
fn box_muller(radius: u32, angle: u32) -> [f32; 2] {
    let uniform = (f64::from(radius) + 0.5) / 4_294_967_296.0;
    let length = (-2.0 * ln(uniform)).sqrt();
    let (sin, cos) = sin_cos_turn(angle);
    [(length * cos) as f32, (length * sin) as f32]
}

/// The low and the high 32 bits.
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 1 << 18;

    fn filled(seed: u64, stream: Stream, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Noise::new(seed).fill(stream, &mut values);
        values
    }

    /// FNV-1a of the values' bits.
    fn hash(values: &[f32]) -> u64 {
        let bytes = values.iter().flat_map(|value| value.to_bits().to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Mean, variance and excess kurtosis less their normal values, in standard
    /// errors.
    fn moment_errors(values: &[f32]) -> [f64; 3] {
        let count = values.len() as f64;
        let moment = |power| values.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / count;
        let (mean, variance, fourth) = (moment(1), moment(2), moment(4));
        [
            mean * count.sqrt(),
            (variance - 1.0) * (count / 2.0).sqrt(),
            (fourth - 3.0) * (count / 96.0).sqrt(),
        ]
    }

    /// The correlation of two streams in standard errors.
    fn correlation_error(a: &[f32], b: &[f32]) -> f64 {
        let sum: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        sum / (a.len().min(b.len()) as f64).sqrt()
    }

    /// The expected values come from the same definition in 120-bit arithmetic.
    #[test]
    fn values_never_change() {
        let first = filled(42, Stream::Initial, 6);
        assert_eq!(
            first,
            [-0.970_189_8, 0.194_018_96, -1.235_620_7, 1.923_926_7, -0.073_181_51, 0.139_137_49]
        );
        let hash_of = |seed, stream| hash(&filled(seed, stream, 1 << 14));
        assert_eq!(hash_of(42, Stream::Initial), 0x9afd_83d5_8c48_6928);
        assert_eq!(hash_of(u64::MAX, Stream::Step(7)), 0xfeb1_9712_f967_34ea);
        assert_eq!(hash_of(0, Stream::Autoencoder), 0xd190_ab73_5b45_4790);
    }

    #[test]
    fn values_are_normal() {
        for seed in 0..4 {
            let values = filled(seed, Stream::Initial, COUNT);
            let errors = moment_errors(&values);
            assert!(errors.iter().all(|error| error.abs() < 4.0), "seed {seed}: {errors:?}");
        }
    }

    #[test]
    fn the_moment_test_tells_other_distributions_apart() {
        let normal = filled(0, Stream::Initial, COUNT);
        let shifted: Vec<f32> = normal.iter().map(|v| v + 0.02).collect();
        let wide: Vec<f32> = normal.iter().map(|v| v * 1.02).collect();
        let uniform: Vec<f32> =
            (0..COUNT).map(|i| (i as f32 / COUNT as f32 - 0.5) * 12f32.sqrt()).collect();
        for (values, moment) in [(shifted, 0), (wide, 1), (uniform, 2)] {
            assert!(moment_errors(&values)[moment].abs() > 4.0);
        }
    }

    #[test]
    fn tails_have_their_share() {
        let values = filled(3, Stream::Initial, COUNT);
        let share = |bound| values.iter().filter(|v| v.abs() > bound).count() as f64 / COUNT as f64;
        for (bound, expected) in [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 0.002_699_8)] {
            let deviation = (expected * (1.0 - expected) / COUNT as f64).sqrt();
            assert!((share(bound) - expected).abs() < 4.0 * deviation, "beyond {bound}");
        }
    }

    #[test]
    fn streams_and_seeds_are_independent() {
        let base = filled(1, Stream::Initial, COUNT);
        let others = [
            filled(2, Stream::Initial, COUNT),
            filled(1 << 32, Stream::Initial, COUNT),
            filled(1, Stream::Autoencoder, COUNT),
            filled(1, Stream::Step(0), COUNT),
            filled(1, Stream::Step(1), COUNT),
        ];
        for other in &others {
            assert!(correlation_error(&base, other).abs() < 4.0);
        }
        for lag in 1..9 {
            assert!(correlation_error(&base[lag..], &base).abs() < 4.0, "lag {lag}");
        }
        assert!(correlation_error(&base, &base) > 4.0);
    }

    #[test]
    fn a_shorter_fill_is_a_prefix() {
        let long = filled(9, Stream::Step(3), 64);
        for count in 0..64 {
            assert_eq!(filled(9, Stream::Step(3), count), long[..count]);
        }
    }
}
