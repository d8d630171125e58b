//! What a caller says about a model: its inputs and outputs, its devices.

use std::fmt;
use std::str::FromStr;

use crate::emit::{self, DataType, NamedType, Parameter};

/// What goes in and out: arrays of elements, or pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each other variant is the type of that name")]
pub enum Element {
    F16,
    F32,
    I32,
    /// Pixels of four bytes; the shape is `[1, 3, height, width]`.
    Bgra,
}

impl Element {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::F16, Self::F32, Self::I32, Self::Bgra];

    /// The name in a [`Feature`]'s text.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::Bgra => "bgra",
        }
    }
}

/// An input or output by name. The shape is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The name in the package.
    pub name: String,
    /// Extents, outermost first; none is 0.
    pub shape: Vec<usize>,
    /// The type in the package's description.
    pub element: Element,
}

impl Feature {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Such as `x=f16:1x3x8x8`, which [`Feature::from_str`] reads.
impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        write!(f, "{}={}:{}", self.name, self.element.name(), extents.join("x"))
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (name, ty) = text.split_once('=')?;
            let (element, extents) = ty.split_once(':')?;
            let element = Element::ALL.into_iter().find(|e| e.name() == element)?;
            let extent = |text: &str| text.parse().ok().filter(|&extent| extent > 0);
            let shape = extents.split('x').map(extent).collect::<Option<Vec<usize>>>()?;
            let bounded = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
            bounded.map(|_| Self { name: name.to_owned(), shape, element })
        };
        parse().ok_or_else(|| format!("{text:?} is not like x=f16:1x3x8x8"))
    }
}

impl From<&Parameter> for Feature {
    fn from(parameter: &Parameter) -> Self {
        let NamedType { name, ty } = &parameter.value;
        let element = match ty.dtype {
            _ if parameter.image => Element::Bgra,
            DataType::Fp16 => Element::F16,
            DataType::Int32 => Element::I32,
            // Parameters have one of these three types.
            _ => Element::F32,
        };
        Self { name: name.to_string(), shape: ty.shape.to_vec(), element }
    }
}

/// A function's inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interface {
    /// Inputs.
    pub inputs: Vec<Feature>,
    /// Outputs.
    pub outputs: Vec<Feature>,
}

impl From<&emit::Interface> for Interface {
    fn from(written: &emit::Interface) -> Self {
        let features = |side: &[(usize, Parameter)]| side.iter().map(|(_, p)| p.into()).collect();
        Self { inputs: features(&written.inputs), outputs: features(&written.outputs) }
    }
}

/// The devices that Core ML may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ComputeUnits {
    /// Processor cores only: for comparisons.
    Cpu,
    /// No Neural Engine, which is slower on large diffusion models and takes
    /// minutes to prepare them (Ochiai 2026, arXiv 2605.16259; the README of
    /// apple/ml-stable-diffusion).
    #[default]
    CpuAndGpu,
    /// No GPU, which is then free for the window: the least energy.
    CpuAndNeuralEngine,
    /// Whatever Core ML chooses.
    All,
}

impl ComputeUnits {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::CpuAndGpu, Self::CpuAndNeuralEngine, Self::All];

    /// The name on the command line, in messages and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAndGpu => "cpu-gpu",
            Self::CpuAndNeuralEngine => "cpu-ne",
            Self::All => "all",
        }
    }

    /// The choice of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|units| units.name() == name)
    }
}

impl fmt::Display for ComputeUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The devices.
    pub units: ComputeUnits,
    /// The function of a package with several (macOS 15); its default one if none.
    pub function: Option<String>,
}

/// How far loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The graph becomes a package.
    Writing,
    /// The package becomes a compiled model: seconds, once for each package and system.
    Compiling,
    /// A child process loads it first, which a crash ends instead of this one. The
    /// devices are prepared meanwhile: seconds to minutes, once.
    Trying,
    /// This process loads it.
    Loading,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_their_names() {
        for units in ComputeUnits::ALL {
            assert_eq!(ComputeUnits::named(&units.to_string()), Some(units));
        }
        assert_eq!(ComputeUnits::named("gpu"), None);
        assert_eq!(ComputeUnits::default().name(), "cpu-gpu");
    }

    #[test]
    fn features_are_read_as_they_are_written() {
        for element in Element::ALL {
            let feature = Feature { name: "x_1".into(), shape: vec![1, 3, 8, 16], element };
            assert_eq!(feature.to_string().parse(), Ok(feature));
        }
        let huge = format!("x=f16:{0}x{0}", usize::MAX);
        for bad in ["", "x", "x=f16", "x=f64:1", "x=f16:", "x=f16:0", "x=f16:1x-1", &huge] {
            assert!(bad.parse::<Feature>().is_err(), "{bad}");
        }
    }
}
