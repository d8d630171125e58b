//! Writes graphs as Core ML packages.
//!
//! [`write()`] makes a `.mlpackage` that macOS loads; [`text`] shows the program
//! that it would hold. Everything is computed in half precision, timestep
//! embeddings excepted. The same graphs, weights and options give the same
//! bytes.
//!
//! No file made here has met Apple's own compiler: packages are checked with
//! coremltools' loader and by executing them (`reference/coreml`).
#![forbid(unsafe_code)]

mod blob;
mod block;
mod error;
mod function;
mod lower;
mod mil;
mod model;
mod names;
mod ops;
mod options;
mod package;
mod stored;
mod text;
mod weights;
mod wire;

use std::io::{self, Cursor};

use laterna_graph::passes::{self, Pass, PassError, fold, fuse, simplify};
use laterna_graph::{CompileOptions, Constant, Graph, Origin, WeightSource};

pub use error::EmitError;
pub use function::{Interface, interface, is_picture};
pub use lower::{Tally, is_written};
pub use mil::{DataType, NamedType, Parameter, ValueType};
pub use options::{Attention, GroupNorm, MIN_ELEMENTS, Options, QUERY_CHUNK, Target, WeightFormat};
pub use package::{FunctionSummary, Source, Summary, write};
pub use stored::as_stored;

use blob::{Blobs, Sink};
use lower::Stored;
use mil::Program;

/// One function of a package.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// How the caller chooses it among several.
    pub name: &'a str,
    /// What it computes, as a model builds it: without layouts.
    pub graph: &'a Graph,
    /// Inputs and outputs, `[1, 3, height, width]` in -1..=1, that the caller
    /// gives and gets as BGRA pictures (`CVPixelBuffer`).
    pub images: &'a [&'a str],
    /// Which outputs the function has.
    pub outputs: Outputs,
}

/// Which of a graph's outputs a function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outputs {
    /// Every one.
    All,
    /// Not those that are inputs of the graph, unchanged.
    ButInputs,
    /// Neither those nor constants: what takes a device.
    Computed,
}

impl<'a> Entry<'a> {
    /// A function with every input and output as arrays.
    pub fn new(name: &'a str, graph: &'a Graph) -> Self {
        Self { name, graph, images: &[], outputs: Outputs::All }
    }
}

/// A package: one function, or several that share weights (macOS 15).
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// A sentence for people, shown by Apple's tools.
    pub description: &'a str,
    /// The functions; the first is the one that runs unless another is chosen.
    /// The name of an only function is not stored.
    pub entries: &'a [Entry<'a>],
}

/// Numbers stored so far, and in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Numbers stored.
    pub done: u64,
    /// Numbers of all weights; some are folded away and never stored.
    pub total: u64,
}

/// Which packages the code here writes: a package that was kept from an earlier
/// revision may differ from what would be written now. A test pins the bytes.
pub const REVISION: u32 = 1;

/// What makes fewer operations for Core ML. Layouts and epilogues are its own
/// business, so those passes stay out.
const PASSES: &[Pass] = &[
    fold::FOLD,
    fuse::attention::ATTENTION,
    fuse::geglu::GEGLU,
    simplify::SIMPLIFY,
    fuse::affine::AFFINE,
    fuse::batch_bias::BATCH_BIAS,
    fold::FOLD,
];

/// The package's program as text. Numbers of the weight file are shown by their
/// offset in it.
///
/// # Errors
/// As [`write()`], but for files.
pub fn text(
    package: &Package<'_>,
    weights: &dyn WeightSource,
    options: &Options,
) -> Result<String, EmitError> {
    let mut file = Cursor::new(Vec::new());
    let compiled = compile(package, weights, options, &mut file, &mut |_| {})?;
    Ok(compiled.program.to_string())
}

/// What each operation of a package's functions is written for; nothing is stored.
///
/// # Errors
/// As [`write()`], but for files.
pub fn sources(
    package: &Package<'_>,
    weights: &dyn WeightSource,
    options: &Options,
) -> Result<Vec<Source>, EmitError> {
    let compiled = compile(package, weights, options, &mut io::empty(), &mut |_| {})?;
    Ok(compiled.functions.into_iter().flat_map(|function| function.operations).collect())
}

/// A package's program, its weights written.
struct Compiled {
    program: Program,
    functions: Vec<FunctionSummary>,
    weights: blob::Written,
    tally: Tally,
}

fn compile(
    package: &Package<'_>,
    source: &dyn WeightSource,
    options: &Options,
    file: &mut dyn Sink,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, EmitError> {
    check(package, options)?;
    let entries = package.entries.iter();
    let graphs: Vec<_> =
        entries.map(|entry| prepare(entry.graph, source)).collect::<Result<_, _>>()?;
    let total = graphs.iter().map(numbers).sum();
    let mut done = 0;
    let mut count = |numbers: usize| {
        done += numbers as u64;
        progress(Progress { done: done.min(total), total });
    };
    let mut stored = Stored::new(&mut count);
    let mut blobs = Blobs::new(file)?;
    let (mut functions, mut summaries) = (Vec::new(), Vec::new());
    for (entry, graph) in package.entries.iter().zip(&graphs) {
        let name = if package.entries.len() == 1 { model::MAIN } else { entry.name };
        let (function, summary) =
            function::write(name, entry, graph, source, options, &mut blobs, &mut stored)?;
        functions.push(function);
        summaries.push(summary);
    }
    let tally = stored.tally;
    let program = Program { target: options.target, functions };
    Ok(Compiled { program, functions: summaries, weights: blobs.finish()?, tally })
}

fn check(package: &Package<'_>, options: &Options) -> Result<(), EmitError> {
    let old = options.target < Target::MacOs15;
    if options.attention == Attention::Sdpa && old {
        return Err(EmitError::needs_macos_15("attention as one operation"));
    }
    if package.entries.len() > 1 && old {
        return Err(EmitError::needs_macos_15("a package of several functions"));
    }
    let mut names: Vec<_> = package.entries.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != package.entries.len() || names.is_empty() {
        return Err(EmitError::Options("a package has functions of different names".into()));
    }
    if let Some(name) = names.iter().find(|name| names::identifier(name) != **name) {
        return Err(EmitError::Options(format!("{name} is no name for a function")));
    }
    weights::check(options)
}

/// A graph as it is written, operation by operation: constants folded, attention
/// and gates found.
///
/// # Errors
/// If a weight that is folded cannot be read.
pub fn prepare(graph: &Graph, weights: &dyn WeightSource) -> Result<Graph, EmitError> {
    Ok(prepare_observed(graph, weights, &CompileOptions::default())?)
}

/// As [`prepare`]; tells the observer of `options` about each pass.
///
/// # Errors
/// If a weight that is folded cannot be read.
pub fn prepare_observed(
    graph: &Graph,
    weights: &dyn WeightSource,
    options: &CompileOptions<'_>,
) -> Result<Graph, PassError> {
    passes::run(graph, PASSES, weights, options)
}

/// Numbers of a graph's constants.
fn numbers(graph: &Graph) -> u64 {
    let constants = graph.values().iter().filter(|value| match &value.origin {
        Origin::Constant(Constant::Weight(_) | Constant::Data(_)) => true,
        Origin::Input(_) | Origin::Node(_) => false,
    });
    constants.map(|value| value.ty.shape.elements() as u64).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    use laterna_graph::{Builder, MemoryWeights, Rate, TensorType};
    use laterna_tensor::Tensor;
    use sha1::{Digest, Sha1};

    /// What every form and several formats write something of.
    fn graph() -> Graph {
        let mut b = Builder::new("pinned");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 4, 2, 2]));
        let h = b.group_norm("norm", x, 2, 1e-5).unwrap();
        let tokens = b.to_tokens("tokens", h).unwrap();
        let q = b.linear("q", tokens, 4, true).unwrap();
        let y = b.attention("attn", [q, tokens, tokens], 2, false).unwrap();
        let picture = b.from_tokens("picture", y, 2, 2).unwrap();
        let up = b.upsample_nearest("up", picture, 2).unwrap();
        b.finish(&[("y", up)])
    }

    fn weights(graph: &Graph) -> MemoryWeights {
        let mut weights = MemoryWeights::new();
        for (name, ty) in graph.weights() {
            // No function of the platform's: its last digits may differ.
            let number = |i: usize| (i * 7 % 11) as f32 / 8.0 - 0.5;
            let values = (0..ty.shape.elements()).map(number).collect();
            weights.insert(&**name, &Tensor::from_f32(ty.shape, values).unwrap());
        }
        weights
    }

    fn writings() -> [Options; 4] {
        let [old, new] = [Options::new(Target::MacOs14), Options::new(Target::MacOs15)];
        let split = Options { attention: Attention::SplitEinsum, ..old };
        let steps = Options { group_norm: GroupNorm::Steps, ..split };
        let int8 = WeightFormat::Int8 { symmetric: false };
        let int4 = WeightFormat::Int4 { block: 2 };
        [
            new,
            Options { weights: int8, min_elements: 0, ..steps },
            Options { weights: int4, min_elements: 0, ..new },
            old,
        ]
    }

    /// Compiled models are kept by what they were written from: whoever changes what is
    /// written raises the revision, and puts the new digest here.
    #[test]
    fn other_bytes_are_another_revision() {
        let graph = graph();
        let weights = weights(&graph);
        let mut hash = Sha1::new();
        for options in writings() {
            let package = Package { description: "pinned", entries: &[Entry::new("main", &graph)] };
            let mut file = Cursor::new(Vec::new());
            let compiled = compile(&package, &weights, &options, &mut file, &mut |_| ()).unwrap();
            hash.update(model::serialize(&compiled.program, "pinned", "any"));
            hash.update(file.into_inner());
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((REVISION, digest.as_str()), (1, "14711719f1e3c4f9f58ac601e45b19447aa64bc2"));
    }
}
