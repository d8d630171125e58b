//! How convolutions are computed where that is measured: each shape once, and what came of it is
//! remembered by whoever opens the backend.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use laterna_kernels::{ConvShape, Isa, Pool, Precision, Way, Winograd, measure_ways};

/// Remembers how something was best computed, by a text for what it is.
pub trait Choices: Send + Sync {
    /// What was chosen earlier, on a machine like this.
    fn recall(&self, what: &str) -> Option<String>;

    /// A choice was made.
    fn remember(&self, what: &str, chosen: &str);
}

/// Choices that last as long as the backend.
#[derive(Debug, Default)]
pub struct Fleeting(Mutex<BTreeMap<String, String>>);

impl Choices for Fleeting {
    fn recall(&self, what: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(what).cloned()
    }

    fn remember(&self, what: &str, chosen: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(what.to_owned(), chosen.to_owned());
    }
}

/// The fastest way to compute a convolution, measured if it is met for the first time.
pub fn fastest(
    choices: &dyn Choices,
    isa: Isa,
    pool: &Pool,
    precision: Precision,
    shape: &ConvShape,
) -> Way {
    let what = Key { isa, precision, threads: pool.threads(), shape }.to_string();
    if let Some(known) = choices.recall(&what).and_then(|name| way(&name, shape)) {
        return known;
    }
    let measured = measure_ways(isa, pool, precision, shape);
    let best = measured.into_iter().min_by_key(|&(_, time)| time);
    let best = best.and_then(|(way, _)| way);
    choices.remember(&what, name(best));
    best
}

const DIRECT: &str = "direct";

fn name(way: Way) -> &'static str {
    way.map_or(DIRECT, Winograd::name)
}

/// The way of that name, if it computes the convolution.
fn way(name: &str, shape: &ConvShape) -> Option<Way> {
    let kinds = Winograd::ALL.into_iter().filter(|kind| kind.computes(shape)).map(Some);
    kinds.chain([None]).find(|&way| self::name(way) == name)
}

/// What a choice depends on, but for the CPU itself.
struct Key<'s> {
    isa: Isa,
    precision: Precision,
    threads: usize,
    shape: &'s ConvShape,
}

/// Such as "avx512 bf16 2 threads 1x64x64 320 to 320".
impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { isa, precision, threads, shape } = self;
        let ConvShape { batch, height, width, in_channels, out_channels, .. } = shape;
        write!(f, "{isa} {precision} {threads} threads {batch}x{height}x{width}")?;
        write!(f, " {in_channels} to {out_channels}")?;
        if shape.upsample != 1 {
            write!(f, " enlarged by {}", shape.upsample)?;
        }
        let usual = ConvShape::same3x3(*batch, *height, *width, *in_channels, *out_channels);
        match shape.padding == usual.padding {
            true => Ok(()),
            false => write!(f, " padded by {:?}", shape.padding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_measured_once_and_what_is_remembered_is_believed_if_it_computes() {
        let (pool, isa) = (Pool::new(1), Isa::available().next().expect("one is always there"));
        let shape = ConvShape::same3x3(1, 12, 12, 16, 16);
        let choices = Fleeting::default();
        let fastest = || fastest(&choices, isa, &pool, Precision::F32, &shape);
        let first = fastest();
        let what = format!("{isa} f32 1 threads 1x12x12 16 to 16");
        assert_eq!(choices.recall(&what).as_deref(), Some(name(first)));
        for (remembered, expected) in [("winograd2", Some(Winograd::F2)), ("direct", None)] {
            choices.remember(&what, remembered);
            assert_eq!(fastest(), expected);
        }
        // What no longer exists, or does not compute this, is measured anew.
        for odd in ["winograd9", "winograd4up"] {
            choices.remember(&what, odd);
            fastest();
            assert_ne!(choices.recall(&what).as_deref(), Some(odd));
        }
    }
}
