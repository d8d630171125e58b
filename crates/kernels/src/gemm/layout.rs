//! Where the micro-kernel expects each weight: panels of outputs, and a view of them.
//!
//! A panel holds the outputs of one tile as `[taps, inputs, panel width]`, where the width is a whole
//! number of vectors; outputs past the last are zero. The last panel has only the vectors it needs.

use crate::isa::Isa;
use std::fmt;
use std::str::FromStr;

/// The extents of a weight tensor: `[outputs, inputs, taps]`, that is OIHW with the kernel's
/// positions flattened, or `[outputs, inputs]` of a linear layer with one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightShape {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// Kernel positions, row by row: 9 for 3x3, 1 for linear.
    pub taps: usize,
}

impl WeightShape {
    /// `[outputs, inputs]` of a linear layer or 1x1 convolution.
    pub fn linear(outputs: usize, inputs: usize) -> Self {
        Self { outputs, inputs, taps: 1 }
    }

    /// The number of weights.
    pub fn len(&self) -> usize {
        self.outputs * self.inputs * self.taps
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How the operands of a product are rounded; its sums are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To bfloat16, to nearest, ties to even: 8 bits of significand.
    Bf16,
    /// To integers from -127 to 127 times a scale: one for each row of the input, the largest
    /// magnitude there by 127, and one for each output of the weights.
    Int8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Channels in a word of 32 bits.
    pub(crate) fn channels_per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Whether this CPU has an instruction for products of such operands.
    pub fn has_products(self, isa: Isa) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => isa.has_bf16_products(),
            Self::Int8 => isa.has_int8_products(),
        }
    }

    /// What a kernel without integer products rounds to where int8 is asked for: bf16 if the CPU
    /// multiplies it.
    pub fn without_int8(self, isa: Isa) -> Self {
        match self {
            Self::Int8 if isa.has_bf16_products() => Self::Bf16,
            Self::Int8 => Self::F32,
            other => other,
        }
    }

    /// The name used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No such precision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`: known are f32, bf16, int8")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == name);
        known.ok_or_else(|| UnknownPrecision(name.to_owned()))
    }
}

/// The arrangement of the weights of one product for one instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanelLayout {
    pub isa: Isa,
    /// Lanes of a vector and vectors of a full panel of `isa`.
    pub lanes: usize,
    vectors: usize,
    pub precision: Precision,
    /// The inputs are counted in words.
    pub shape: WeightShape,
    /// The first half of the outputs are values, the second half their gates.
    pub gated: bool,
}

impl PanelLayout {
    pub fn new(isa: Isa, precision: Precision, shape: WeightShape, gated: bool) -> Self {
        assert!(!shape.is_empty(), "weights have no empty extent: {shape:?}");
        assert!(!gated || shape.outputs.is_multiple_of(2), "values and gates come in pairs");
        let inputs = shape.inputs.div_ceil(precision.channels_per_word());
        let shape = WeightShape { inputs, ..shape };
        Self { isa, lanes: isa.lanes(), vectors: isa.tile_vectors(), precision, shape, gated }
    }

    /// Columns of the product: the outputs, or half of them when gated.
    pub fn columns(&self) -> usize {
        if self.gated { self.shape.outputs / 2 } else { self.shape.outputs }
    }

    /// Words of all panels.
    pub fn len(&self) -> usize {
        let last = self.panels() - 1;
        self.panel_start(last) + self.depth() * self.panel_vectors(last) * self.lanes
    }

    /// Words of all that is packed.
    pub fn data_len(&self) -> usize {
        let of_outputs = match self.precision {
            Precision::F32 | Precision::Bf16 => 0,
            Precision::Int8 => 2 * self.panels() * self.panel_width(),
        };
        self.zeros_start() + self.shape.inputs + of_outputs
    }

    /// Where the row of zeros begins: behind the panels.
    pub fn zeros_start(&self) -> usize {
        self.len()
    }

    pub fn panels(&self) -> usize {
        self.columns().div_ceil(self.panel_columns())
    }

    /// Columns of the product that one panel computes.
    pub fn panel_columns(&self) -> usize {
        if self.gated { self.panel_width() / 2 } else { self.panel_width() }
    }

    /// Outputs in a full panel, values and gates.
    pub fn panel_width(&self) -> usize {
        self.vectors * self.lanes
    }

    /// Vectors in a row of the panel: fewer in the last, unless gated.
    pub fn panel_vectors(&self, panel: usize) -> usize {
        let rest = self.columns() - panel * self.panel_columns();
        if self.gated { self.vectors } else { rest.div_ceil(self.lanes).min(self.vectors) }
    }

    pub fn panel_start(&self, panel: usize) -> usize {
        panel * self.depth() * self.panel_width()
    }

    /// Words for one output: inputs of all taps.
    pub fn depth(&self) -> usize {
        self.shape.inputs * self.shape.taps
    }

    /// The output that lane `lane` of `panel` computes, if any.
    pub fn output(&self, panel: usize, lane: usize) -> Option<usize> {
        let columns = self.panel_columns();
        let (half, lane) = (lane / columns, lane % columns);
        let column = panel * columns + lane;
        (column < self.columns()).then(|| half * self.columns() + column)
    }
}

/// Packed weights, wherever they are.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub layout: PanelLayout,
    pub data: &'a [f32],
}

impl<'a> Panels<'a> {
    /// The panel's data from flattened (tap, input) position `k` on.
    pub fn panel(&self, panel: usize, k: usize) -> &'a [f32] {
        let layout = &self.layout;
        let width = layout.panel_vectors(panel) * layout.lanes;
        let start = layout.panel_start(panel);
        &self.data[start + k * width..start + layout.depth() * width]
    }

    /// What the sums of a panel's outputs begin with, as integers, and what they are multiplied by.
    pub fn integers(&self, panel: usize) -> [&'a [f32]; 2] {
        let (layout, width) = (&self.layout, self.layout.panel_width());
        let begins = layout.zeros_start() + layout.shape.inputs;
        let scales = begins + layout.panels() * width;
        [begins, scales].map(|start| &self.data[start + panel * width..][..width])
    }
}
