//! How weights are stored: one file a format. Each encodes the numbers of one
//! tensor, decodes them again as Core ML will, and says which operation of the
//! program does so.

mod dense;
mod int4;
mod int8;
mod palette;
mod sparse;

use std::io;

use half::f16;
use laterna_tensor::Shape;

use super::blob::Blobs;
use super::error::EmitError;
use super::mil::{Constant, DataType, Literal, ValueType};
use super::options::{Options, Target, WeightFormat};

pub(super) use dense::{check_finite, from_raw, halves};

/// A tensor's numbers in some format.
pub(super) trait Encoding {
    /// What Core ML makes of it, row-major.
    fn decode(&self) -> Vec<f32>;

    /// Stores it; gives the operation that decodes it.
    fn store(&self, target: Target, blobs: &mut Blobs<'_>) -> io::Result<Recipe>;
}

/// The operation that makes a weight: its kind, attributes and operands. Where
/// they belong differs between the sets of operations.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub kind: &'static str,
    pub attributes: Vec<(&'static str, Constant)>,
    pub inputs: Vec<(&'static str, Constant)>,
}

impl Recipe {
    fn of_attributes(kind: &'static str, attributes: Vec<(&'static str, Constant)>) -> Self {
        Self { kind, attributes, inputs: Vec::new() }
    }

    fn of_inputs(kind: &'static str, inputs: Vec<(&'static str, Constant)>) -> Self {
        Self { kind, attributes: Vec::new(), inputs }
    }
}

/// Checks that the target has the format.
///
/// # Errors
/// If it has not, or the format's numbers make no sense.
pub(super) fn check(options: &Options) -> Result<(), EmitError> {
    let old = options.target < Target::MacOs15;
    match options.weights {
        WeightFormat::Fp16 | WeightFormat::Int8 { .. } => Ok(()),
        WeightFormat::Palette { bits, .. } if DataType::unsigned(bits).is_none() => {
            Err(EmitError::Options(format!("a palette has 1, 2, 3, 4, 6 or 8 bits, not {bits}")))
        }
        WeightFormat::Palette { group: Some(0), .. } => {
            Err(EmitError::Options("a group has at least one output channel".into()))
        }
        WeightFormat::Palette { bits: 3, .. } if old => {
            Err(EmitError::needs_macos_15("a palette of 3 bits"))
        }
        WeightFormat::Palette { group: Some(_), .. } if old => {
            Err(EmitError::needs_macos_15("a palette for a group"))
        }
        WeightFormat::Palette { .. } => Ok(()),
        WeightFormat::Int4 { block: 0 } => {
            Err(EmitError::Options("a block has at least one input channel".into()))
        }
        WeightFormat::Int4 { .. } if old => Err(EmitError::needs_macos_15("4-bit integers")),
        WeightFormat::Int4 { .. } => Ok(()),
        WeightFormat::Sparse { density } if !(0.0..=1.0).contains(&density) => {
            Err(EmitError::Options(format!("a density is between 0 and 1, not {density}")))
        }
        WeightFormat::Sparse { .. } => Ok(()),
    }
}

/// The format that weights of this shape get: small ones stay as they are.
pub(super) fn format_for(options: &Options, shape: &Shape) -> WeightFormat {
    let small = shape.elements() < options.min_elements.max(1) || shape.rank() < 2;
    if small { WeightFormat::Fp16 } else { options.weights }
}

/// Encodes finite numbers; none if the format is half precision, whose numbers are
/// stored as they are read. `shape`: `[out, in]` or `[out, in, height, width]`.
pub(super) fn encode(
    format: WeightFormat,
    values: &[f32],
    shape: Shape,
) -> Option<Box<dyn Encoding>> {
    Some(match format {
        WeightFormat::Fp16 => return None,
        WeightFormat::Int8 { symmetric } => Box::new(int8::Int8::encode(values, shape, symmetric)),
        WeightFormat::Palette { bits, group } => {
            Box::new(palette::Palette::encode(values, shape, bits, group))
        }
        WeightFormat::Int4 { block } => Box::new(int4::Int4::encode(values, shape, block)),
        WeightFormat::Sparse { density } => {
            Box::new(sparse::Sparse::encode(values, shape, density))
        }
    })
}

/// What Core ML will compute with in place of `values`, finite weights `[out, in]`
/// or `[out, in, height, width]`; the options are checked.
pub(super) fn decoded(values: &[f32], shape: Shape, options: &Options) -> Vec<f32> {
    let encoding = encode(format_for(options, &shape), values, shape);
    encoding.map_or_else(|| dense::rounded(values), |encoding| encoding.decode())
}

/// A constant in the weight file.
fn blob(
    blobs: &mut Blobs<'_>,
    dtype: DataType,
    shape: impl Into<Shape>,
    bytes: &[u8],
) -> io::Result<Constant> {
    let ty = ValueType::new(dtype, shape);
    let offset = blobs.store(dtype, ty.shape.elements(), bytes)?;
    Ok(Constant { ty, literal: Literal::Blob(offset) })
}

/// The shape as an operand of the operations of macOS 14.
fn shape_operand(shape: &Shape) -> Constant {
    let bytes = shape.iter().flat_map(|&extent| (extent as u32).to_le_bytes()).collect();
    let ty = ValueType::new(DataType::Uint32, [shape.rank()]);
    Constant { ty, literal: Literal::Bytes(bytes) }
}

fn half_bytes(values: &[f16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The largest magnitude of some weights.
fn magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest: f32, v| largest.max(v.abs()))
}

/// A step between integers as it is stored: never 0, which nothing could be divided by.
fn step(exact: f32) -> f16 {
    f16::from_f32(exact).max(f16::MIN_POSITIVE_SUBNORMAL)
}

fn signed_bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&value| value as u8).collect()
}

/// Values of `bits` bits each, one behind the other from the lowest bit up.
fn packed(values: &[u8], bits: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((values.len() * bits).div_ceil(8));
    let (mut pending, mut filled) = (0u32, 0);
    for &value in values {
        pending |= (u32::from(value) & ((1 << bits) - 1)) << filled;
        filled += bits;
        while filled >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(pending as u8);
    }
    bytes
}

/// Extents with every axis but the first two, or but the first, at 1.
fn scale_shape(shape: &Shape, second: usize) -> Shape {
    let mut extents = vec![1; shape.rank()];
    extents[0] = shape[0];
    extents[1] = second;
    Shape::new(&extents)
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_lowest_up() {
        assert_eq!(packed(&[1, 0, 1, 1, 0, 0, 0, 1, 1], 1), [0b1000_1101, 1]);
        assert_eq!(packed(&[0b101, 0b011, 0b110], 3), [0b1001_1101, 0b1]);
        assert_eq!(packed(&[0x3f, 0, 0x21], 6), [0x3f, 0b0001_0000, 0b10]);
        assert_eq!(packed(&[0xff, 1], 4), [0x1f]);
        assert_eq!(packed(&[7, 255], 8), [7, 255]);
    }

    #[test]
    fn the_older_system_lacks_some_formats() {
        let refused = |weights| {
            let old = Options { weights, ..Options::new(Target::MacOs14) };
            check(&old).err().map(|error| error.to_string())
        };
        let palette = |bits, group| WeightFormat::Palette { bits, group };
        assert_eq!(refused(palette(6, None)), None);
        assert_eq!(
            refused(palette(3, None)).as_deref(),
            Some("a palette of 3 bits: only from macOS 15 on")
        );
        assert!(refused(palette(4, Some(8))).is_some() && refused(palette(5, None)).is_some());
        assert!(refused(WeightFormat::Int4 { block: 32 }).is_some());
        assert!(refused(WeightFormat::Sparse { density: f32::NAN }).is_some());
    }
}
