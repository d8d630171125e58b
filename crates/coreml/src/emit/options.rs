//! What a caller may choose: the oldest system that must load the package, how
//! operations with several forms are written, and how weights are stored.

/// The oldest macOS that loads the package, which decides the operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// macOS 14 and iOS 17.
    MacOs14,
    /// macOS 15 and iOS 18: an attention operation, weights below 8 bits by
    /// block and by group, several functions in one package.
    MacOs15,
}

impl Target {
    /// `specificationVersion` of the model file.
    pub fn specification(self) -> u64 {
        match self {
            Self::MacOs14 => 8,
            Self::MacOs15 => 9,
        }
    }

    /// The name of its set of operations.
    pub fn opset(self) -> &'static str {
        match self {
            Self::MacOs14 => "CoreML7",
            Self::MacOs15 => "CoreML8",
        }
    }

    /// The system, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::MacOs14 => "macOS 14",
            Self::MacOs15 => "macOS 15",
        }
    }
}

/// How attention is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// One `scaled_dot_product_attention`; macOS 15.
    Sdpa,
    /// Products and a softmax over all heads at once.
    MatMul,
    /// One head at a time on `[batch, channels, 1, tokens]`, the layout of the
    /// Neural Engine (Apple 2022, "Deploying Transformers on the Apple Neural
    /// Engine"), at most [`QUERY_CHUNK`] queries at a time. Linear layers become
    /// convolutions of one pixel.
    SplitEinsum,
}

/// Queries that split attention takes at once, as Apple's converter of Stable
/// Diffusion has it: more do not fit the Neural Engine's own memory.
pub const QUERY_CHUNK: usize = 512;

/// How group normalisation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupNorm {
    /// One `layer_norm` over each group.
    LayerNorm,
    /// Means and squares one by one, of numbers scaled so that no square leaves
    /// fp16's range.
    Steps,
}

/// How the weights of convolutions and linear layers are stored. All else
/// (biases, normalisations, embeddings) is fp16.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightFormat {
    /// Half precision.
    Fp16,
    /// 8-bit integers with a scale for each output channel.
    Int8 {
        /// Around zero; otherwise with an offset for each output channel.
        symmetric: bool,
    },
    /// Indices of so many bits into a palette that k-means finds.
    Palette {
        /// 1, 2, 3, 4, 6 or 8; 3 needs macOS 15.
        bits: u8,
        /// One palette for so many output channels (macOS 15), else one for all.
        group: Option<usize>,
    },
    /// 4-bit integers with a scale for each block of input channels; macOS 15.
    Int4 {
        /// Input channels of a block.
        block: usize,
    },
    /// Only the weights of largest magnitude, in half precision.
    Sparse {
        /// The part that is kept, 0 to 1.
        density: f32,
    },
}

/// Fewer weights than this are stored as fp16, whatever the format: they take
/// no room, and every one of them counts. coremltools' own threshold.
pub const MIN_ELEMENTS: usize = 2048;

/// All choices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The oldest system.
    pub target: Target,
    /// How attention is written.
    pub attention: Attention,
    /// How group normalisation is written.
    pub group_norm: GroupNorm,
    /// How weights are stored.
    pub weights: WeightFormat,
    /// Fewer weights than this are stored as fp16; usually [`MIN_ELEMENTS`].
    pub min_elements: usize,
}

impl Options {
    /// For a system: fp16, the attention that it has, layer norms.
    pub fn new(target: Target) -> Self {
        let attention = match target {
            Target::MacOs14 => Attention::MatMul,
            Target::MacOs15 => Attention::Sdpa,
        };
        Self {
            target,
            attention,
            group_norm: GroupNorm::LayerNorm,
            weights: WeightFormat::Fp16,
            min_elements: MIN_ELEMENTS,
        }
    }
}
