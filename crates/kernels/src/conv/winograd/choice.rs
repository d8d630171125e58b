//! Which algorithm computes a convolution: the cheapest by a model of operations over their rate and
//! bytes over their bandwidth, or the one that is asked for.

use super::streamed::{FILTER_COST, Stages};
use super::tiles::Tiles;
use super::{ConvShape, Winograd, is_streamed};
use crate::gemm::Precision;
use crate::isa::Isa;
use std::fmt;
use std::str::FromStr;

/// Environment variable for how 3x3 convolutions are computed where nothing else says so.
pub const CONVOLUTIONS_VARIABLE: &str = "LATERNA_CONVOLUTIONS";

/// A minimal filtering, or none: the direct kernel.
pub type Way = Option<Winograd>;

/// How 3x3 convolutions with stride 1 are computed. All others are direct.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Convolutions {
    /// Each as is cheapest, by a model of costs: the same on every machine with these instructions.
    #[default]
    Auto,
    /// Each as is fastest here, measured when it is first met ([`crate::measure_ways`]).
    Measured,
    /// As sums of products, window by window.
    Direct,
    /// All by F(2x2, 3x3).
    Winograd2,
    /// All by F(4x4, 3x3).
    Winograd4,
}

/// No such way to compute convolutions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown way to compute convolutions `{0}`: known are auto, measured, direct, winograd2, winograd4"
)]
pub struct UnknownConvolutions(String);

impl Convolutions {
    /// Every way.
    pub const ALL: [Self; 5] =
        [Self::Auto, Self::Measured, Self::Direct, Self::Winograd2, Self::Winograd4];

    /// What the environment variable [`CONVOLUTIONS_VARIABLE`] names, or `Auto`.
    ///
    /// # Errors
    /// If it names none.
    pub fn from_environment() -> Result<Self, UnknownConvolutions> {
        match std::env::var(CONVOLUTIONS_VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse(),
            _ => Ok(Self::Auto),
        }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Measured => "measured",
            Self::Direct => "direct",
            Self::Winograd2 => "winograd2",
            Self::Winograd4 => "winograd4",
        }
    }

    /// How a convolution is computed: the only place where this is decided, but for what is measured.
    /// The number of threads has no say, so that a result does not depend on it.
    pub fn choose(self, isa: Isa, precision: Precision, shape: &ConvShape) -> Way {
        let kinds: &[Winograd] = match self {
            Self::Auto | Self::Measured => return cheapest(isa, precision, shape),
            Self::Direct => &[],
            Self::Winograd2 => &[Winograd::F2],
            Self::Winograd4 => &[Winograd::F4Enlarged, Winograd::F4],
        };
        kinds.iter().copied().find(|kind| kind.computes(shape))
    }
}

impl fmt::Display for Convolutions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Convolutions {
    type Err = UnknownConvolutions;

    fn from_str(name: &str) -> Result<Self, UnknownConvolutions> {
        let known = Self::ALL.into_iter().find(|way| way.name() == name);
        known.ok_or_else(|| UnknownConvolutions(name.to_owned()))
    }
}

/// What it takes to transform a vector of channels of a tile's inputs, or of its outputs, and to
/// move it to and from memory: multiply-adds of a vector for each position.
const INPUT_COST: usize = 30;
const OUTPUT_COST: usize = 30;

/// What it takes to finish a vector of outputs of the direct kernel, in multiply-adds of a vector.
const FINISH_COST: usize = 100;

/// Bytes from memory in the time of two multiply-adds of a vector.
const BYTES_IN_TWO: usize = 3;

/// Of equals the one with the smallest rounding errors.
fn cheapest(isa: Isa, precision: Precision, shape: &ConvShape) -> Way {
    ways(shape).min_by_key(|&way| cost(isa, precision, way, shape)).flatten()
}

/// How far from the cheapest a way may be and yet turn out to be the fastest: costs have been off by
/// half of that.
const LIKELY: usize = 2;

/// The ways that can be the fastest.
pub(in crate::conv) fn likely_ways(isa: Isa, precision: Precision, shape: &ConvShape) -> Vec<Way> {
    let least = ways(shape).map(|way| cost(isa, precision, way, shape)).min().unwrap_or(0);
    ways(shape).filter(|&way| cost(isa, precision, way, shape) <= LIKELY * least).collect()
}

/// From the smallest rounding errors to the largest.
fn ways(shape: &ConvShape) -> impl Iterator<Item = Way> {
    let ways = [None, Some(Winograd::F2), Some(Winograd::F4), Some(Winograd::F4Enlarged)];
    ways.into_iter().filter(|way| way.is_none_or(|kind| kind.computes(shape)))
}

/// In multiply-adds of a vector.
fn cost(isa: Isa, precision: Precision, way: Way, shape: &ConvShape) -> usize {
    match way {
        None => direct_cost(isa, precision, shape),
        Some(kind) => winograd_cost(isa, precision, kind, shape),
    }
}

/// In multiply-adds of a vector.
fn direct_cost(isa: Isa, precision: Precision, shape: &ConvShape) -> usize {
    let precision = precision.without_int8(isa);
    let products = shape.taps() * shape.in_channels * row_cost(isa, shape.out_channels);
    let products = products / channels_at_once(isa, precision);
    let finish = FINISH_COST * shape.out_channels.div_ceil(isa.lanes());
    let filters = filter_bytes(precision, shape) * 2 / BYTES_IN_TWO;
    (shape.out_rows() * (products + finish)).max(filters)
}

/// In multiply-adds of a vector.
fn winograd_cost(isa: Isa, precision: Precision, kind: Winograd, shape: &ConvShape) -> usize {
    let [inputs, outputs] =
        [shape.in_channels, shape.out_channels].map(|channels| channels.div_ceil(isa.lanes()));
    let products = shape.in_channels * row_cost(isa, shape.out_channels);
    let precision = kind.rounding(isa, precision);
    let products = products / channels_at_once(isa, precision);
    let tile = products + OUTPUT_COST * outputs;
    let tiles = Tiles::new(kind, shape).count;
    if !is_streamed(shape.out_channels, shape.in_channels) {
        return kind.products() * tiles * (tile + INPUT_COST * inputs);
    }
    let blocks = Stages::new(isa, 1, kind, precision, shape).blocks();
    let filters = blocks * FILTER_COST * shape.in_channels * outputs;
    let operations = kind.products() * (tiles * (tile + INPUT_COST * inputs) + filters);
    operations.max(filter_bytes(precision, shape) * 2 / BYTES_IN_TWO)
}

/// Channels that one multiply-add takes.
fn channels_at_once(isa: Isa, precision: Precision) -> usize {
    if precision.has_products(isa) { precision.channels_per_word() } else { 1 }
}

/// Of one row of a product: its multiply-adds, and half of one more for reading the input that all
/// vectors of a panel share.
fn row_cost(isa: Isa, columns: usize) -> usize {
    let vectors = columns.div_ceil(isa.lanes());
    vectors + vectors.div_ceil(isa.tile_vectors()).div_ceil(2)
}

fn filter_bytes(precision: Precision, shape: &ConvShape) -> usize {
    let words = shape.in_channels.div_ceil(precision.channels_per_word());
    shape.taps() * words * shape.out_channels * size_of::<f32>()
}
