//! What a caller says about a model: its inputs and outputs, its devices.

use std::fmt;

/// Element types of arrays that go in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the type of that name")]
pub enum Element {
    F16,
    F32,
    I32,
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

/// A function's inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interface {
    /// Inputs, in the order that [`super::Rows`] of them are given.
    pub inputs: Vec<Feature>,
    /// Outputs.
    pub outputs: Vec<Feature>,
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

    /// The name in messages and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAndGpu => "cpu-and-gpu",
            Self::CpuAndNeuralEngine => "cpu-and-neural-engine",
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
    /// Sums in fp16 on the GPU: faster, less exact.
    pub low_precision_accumulation: bool,
    /// Spends more time in loading for less in running, where the system knows how
    /// (macOS 15).
    pub fast_prediction: bool,
}

/// How far loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
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
        assert_eq!(ComputeUnits::default().name(), "cpu-and-gpu");
    }
}
