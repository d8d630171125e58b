//! Indices into a palette of a few numbers, for all weights of a layer or for
//! each group of output channels. The palette minimises the squared error:
//! k-means in one dimension (Lloyd 1982), over the distinct half-precision
//! numbers, of which there are at most 65,536.

use std::io;

use half::f16;
use half::slice::HalfFloatSliceExt;
use laterna_tensor::Shape;

use super::{Encoding, Recipe, blob, half_bytes, packed, shape_operand};
use crate::emit::blob::Blobs;
use crate::emit::mil::DataType;
use crate::emit::options::Target;

/// Rounds of k-means; one of them is a few thousand steps, whatever the layer.
const ROUNDS: usize = 200;

pub(super) struct Palette {
    shape: Shape,
    bits: u8,
    indices: Vec<u8>,
    /// One palette of `2^bits` behind the other.
    palettes: Vec<f16>,
}

impl Palette {
    /// A layer whose output channels are no multiple of `group` has one palette.
    pub fn encode(values: &[f32], shape: Shape, bits: u8, group: Option<usize>) -> Self {
        let fitting = group.filter(|group| shape[0].is_multiple_of(*group));
        let channels = fitting.unwrap_or(shape[0]);
        let group = channels * shape[1..].iter().product::<usize>();
        let (mut indices, mut palettes) = (Vec::with_capacity(values.len()), Vec::new());
        for group in values.chunks(group) {
            let mut halves = vec![f16::ZERO; group.len()];
            halves.convert_from_f32_slice(group);
            let palette = Histogram::of(&halves).palette(1 << bits);
            let nearest = Nearest::new(&palette);
            indices.extend(halves.iter().map(|&v| nearest.index(v)));
            palettes.extend(palette);
        }
        Self { shape, bits, indices, palettes }
    }

    fn groups(&self) -> usize {
        self.palettes.len() >> self.bits
    }
}

/// Half-precision numbers in the order of their values.
fn key(value: f16) -> u16 {
    let bits = value.to_bits();
    if bits & 0x8000 == 0 { bits | 0x8000 } else { !bits }
}

fn value(key: u16) -> f16 {
    f16::from_bits(if key & 0x8000 == 0 { !key } else { key & 0x7fff })
}

/// The distinct numbers of a group in rising order, with sums over all before
/// each: any run's mean takes two looks.
struct Histogram {
    values: Vec<f32>,
    counts: Vec<f64>,
    sums: Vec<f64>,
}

impl Histogram {
    fn of(group: &[f16]) -> Self {
        let mut all = vec![0u32; 1 << 16];
        group.iter().for_each(|&v| all[usize::from(key(v))] += 1);
        let mut histogram = Self { values: Vec::new(), counts: vec![0.0], sums: vec![0.0] };
        let (mut count, mut sum) = (0.0, 0.0);
        for (key, &n) in all.iter().enumerate().filter(|(_, n)| **n > 0) {
            let value = value(key as u16).to_f32();
            count += f64::from(n);
            sum += f64::from(n) * f64::from(value);
            histogram.values.push(value);
            histogram.counts.push(count);
            histogram.sums.push(sum);
        }
        histogram
    }

    /// `size` numbers in rising order; the last repeats where there are fewer.
    fn palette(&self, size: usize) -> Vec<f16> {
        let mut centres = if self.values.len() <= size {
            self.values.iter().map(|&v| f64::from(v)).collect()
        } else {
            self.k_means(size)
        };
        let last = centres.last().copied().unwrap_or(0.0);
        centres.resize(size, last);
        centres.into_iter().map(f16::from_f64).collect()
    }

    fn k_means(&self, size: usize) -> Vec<f64> {
        let mut centres = self.quantiles(size);
        let mut bounds: Vec<_> = (0..=size).map(|run| run * self.values.len() / size).collect();
        for round in 0..ROUNDS {
            let moved = self.assign(&centres, &mut bounds);
            if !moved && round > 0 {
                break;
            }
            for (centre, run) in centres.iter_mut().zip(bounds.windows(2)) {
                *centre = self.mean(run[0], run[1]).unwrap_or(*centre);
            }
        }
        centres
    }

    /// Middles of runs that hold equally many weights.
    fn quantiles(&self, size: usize) -> Vec<f64> {
        let total = self.counts.last().copied().unwrap_or(0.0);
        let at = |index: usize| {
            let wanted = total * (index as f64 + 0.5) / size as f64;
            let position = self.counts.partition_point(|&count| count <= wanted) - 1;
            f64::from(self.values[position.min(self.values.len() - 1)])
        };
        (0..size).map(at).collect()
    }

    /// Moves `bounds` to where the runs nearest to each centre begin; gives whether
    /// one moved. They move little from round to round, so they are walked, not
    /// searched: there may be tens of thousands of groups.
    fn assign(&self, centres: &[f64], bounds: &mut [usize]) -> bool {
        let mut moved = false;
        for (pair, bound) in centres.windows(2).zip(&mut bounds[1..]) {
            let next = self.walk(*bound, (pair[0] + pair[1]) / 2.0);
            moved |= next != *bound;
            *bound = next;
        }
        moved
    }

    /// The first position whose number is not below `middle`, from `start` on.
    fn walk(&self, start: usize, middle: f64) -> usize {
        let mut at = start;
        while at > 0 && f64::from(self.values[at - 1]) >= middle {
            at -= 1;
        }
        while at < self.values.len() && f64::from(self.values[at]) < middle {
            at += 1;
        }
        at
    }

    fn mean(&self, start: usize, end: usize) -> Option<f64> {
        let count = self.counts[end] - self.counts[start];
        (count > 0.0).then(|| (self.sums[end] - self.sums[start]) / count)
    }
}

/// The nearest palette entry of every half-precision number.
struct Nearest(Vec<u8>);

impl Nearest {
    fn new(palette: &[f16]) -> Self {
        let mut table = vec![0; 1 << 16];
        let mut start = 0;
        for (index, pair) in palette.windows(2).enumerate() {
            let middle = (pair[0].to_f32() + pair[1].to_f32()) / 2.0;
            let bound = usize::from(key(f16::from_f32(middle))).max(start);
            table[start..bound].fill(index as u8);
            start = bound;
        }
        table[start..].fill((palette.len() - 1) as u8);
        Self(table)
    }

    fn index(&self, value: f16) -> u8 {
        self.0[usize::from(key(value))]
    }
}

impl Encoding for Palette {
    fn decode(&self) -> Vec<f32> {
        let group = (self.indices.len() / self.groups()).max(1);
        let palettes = self.palettes.chunks(1 << self.bits);
        let groups = self.indices.chunks(group).zip(palettes);
        groups.flat_map(|(g, p)| g.iter().map(|&index| p[usize::from(index)].to_f32())).collect()
    }

    fn store(&self, target: Target, blobs: &mut Blobs<'_>) -> io::Result<Recipe> {
        let dtype = DataType::unsigned(self.bits).expect("the options are checked");
        let bytes = packed(&self.indices, usize::from(self.bits));
        let palettes = half_bytes(&self.palettes);
        Ok(match target {
            Target::MacOs14 => {
                let indices = blob(blobs, DataType::Uint8, [bytes.len()], &bytes)?;
                let lut = blob(blobs, DataType::Fp16, [self.palettes.len()], &palettes)?;
                let shape = shape_operand(&self.shape);
                Recipe::of_attributes(
                    "constexpr_lut_to_dense",
                    vec![("indices", indices), ("lut", lut), ("shape", shape)],
                )
            }
            Target::MacOs15 => {
                let indices = blob(blobs, dtype, self.shape, &bytes)?;
                let lut = blob(blobs, DataType::Fp16, self.lut_shape(), &palettes)?;
                let inputs = vec![("indices", indices), ("lut", lut)];
                Recipe::of_inputs("constexpr_lut_to_dense", inputs)
            }
        })
    }
}

impl Palette {
    /// `[groups, 1, .., 2^bits, 1]`, of two dimensions more than the weights.
    fn lut_shape(&self) -> Shape {
        let mut extents = vec![1; self.shape.rank() + 2];
        extents[0] = self.groups();
        extents[self.shape.rank()] = 1 << self.bits;
        Shape::new(&extents)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{relative_error, weights};
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_values() {
        let values = [-65_504.0, -1.0, -6e-8, -0.0, 0.0, 6e-8, 0.5, 65_504.0].map(f16::from_f32);
        assert!(values.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!(values.iter().all(|&v| value(key(v)).to_bits() == v.to_bits()));
    }

    #[test]
    fn few_numbers_are_kept_exactly() {
        let shape = Shape::from([2, 4]);
        let values = [0.5, -1.0, 0.25, 0.5, 2.0, -1.0, 0.25, 2.0];
        assert_eq!(Palette::encode(&values, shape, 2, None).decode(), values);
    }

    /// Against the least error that any palette of the size can have, which is
    /// found by trying every cut.
    #[test]
    fn two_numbers_are_the_best_two() {
        let shape = Shape::from([1, 40]);
        let values: Vec<f32> = weights(shape).iter().map(|&v| f16::from_f32(v).to_f32()).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        let spread = |run: &[f32]| {
            let mean = run.iter().sum::<f32>() / run.len() as f32;
            run.iter().map(|v| (v - mean).powi(2)).sum::<f32>()
        };
        let best = (1..40).map(|cut| spread(&sorted[..cut]) + spread(&sorted[cut..]));
        let best = best.fold(f32::INFINITY, f32::min);
        let found = Palette::encode(&values, shape, 1, None).decode();
        let error: f32 = values.iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum();
        assert!(error <= best * 1.02, "{error} against {best}");
    }

    /// Of a bell curve: Max 1960, "Quantizing for minimum distortion", table I,
    /// has 0.3634, 0.1175, 0.0345, 0.0095 as squared errors for 1 to 4 bits.
    #[test]
    fn a_bell_curve_has_the_known_errors() {
        let shape = Shape::from([64, 256]);
        let values = weights(shape);
        for (bits, square) in [(1, 0.3634f32), (2, 0.1175), (3, 0.0345), (4, 0.0095)] {
            let error =
                relative_error(&values, &Palette::encode(&values, shape, bits, None).decode());
            assert!(error < 1.05 * square.sqrt(), "{bits} bits: {error}");
        }
    }

    #[test]
    fn a_palette_for_each_group_is_closer() {
        let shape = Shape::from([16, 32]);
        let values: Vec<f32> = weights(shape)
            .iter()
            .enumerate()
            .map(|(i, v)| v * (1.0 + (i / 256) as f32 * 9.0))
            .collect();
        // Of the small ones: the large ones make most of the whole error.
        let error = |group| {
            let decoded = Palette::encode(&values, shape, 3, group).decode();
            relative_error(&values[..256], &decoded[..256])
        };
        assert!(error(Some(8)) < 0.5 * error(None));
        assert_eq!(error(Some(7)), error(None), "7 does not divide 16");
    }
}
