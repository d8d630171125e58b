//! `laterna export`: a model as packages for another engine.

mod parts;
mod report;

use std::fs;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use laterna_coreml::emit::{
    self, Attention, EmitError, Entry, GroupNorm, MIN_ELEMENTS, Options, Outputs, Package, Target,
    WeightFormat,
};
use laterna_diffusion::session::Size;

use crate::console::Console;
use crate::error::{Cause, During, Exit, Failure};
use crate::model::{LoraArg, ModelArgs};
use crate::size;
use parts::Part;
use report::Written;

/// Write a model as Core ML packages, on any system.
///
/// The packages are checked with coremltools' loader and by executing them, but no Mac has loaded
/// one yet. Everything is computed in half precision.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  laterna export --output packages
  laterna export --model ./my-model --size 512 --macos 15 --output packages
  laterna export --parts frame --images --strength 0.5 --output packages
  laterna export --macos 15 --size 512,384x256 --weights pal6 --output packages")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Merge a LoRA into the weights, multiplied by SCALE [default: 1]; may be given more than
    /// once.
    #[arg(long, value_name = "FILE[:SCALE]")]
    lora: Vec<LoraArg>,
    /// The format of the packages.
    #[arg(long, value_enum, default_value_t = Format::Coreml)]
    format: Format,
    /// Width and height of the picture [default: the model's own]; several, with commas, make one
    /// package of several functions that share their weights (macOS 15).
    #[arg(long, value_name = "WxH", value_parser = size::parse, value_delimiter = ',')]
    size: Vec<Size>,
    /// One package a network, or a whole frame as one: encoder, noise, UNet at a fixed timestep,
    /// decoder.
    #[arg(long, value_enum, default_value_t = Parts::Separate)]
    parts: Parts,
    /// How far a frame goes from the picture, above 0 and up to 1; fixes the timestep.
    #[arg(long, value_name = "0..1", default_value_t = 0.5)]
    strength: f32,
    /// Pictures go in and out as BGRA pixel buffers, not as arrays.
    #[arg(long)]
    images: bool,
    /// How the weights of convolutions and linear layers are stored; palN is a palette of N bits.
    #[arg(long, value_enum, default_value_t = Weights::Fp16)]
    weights: Weights,
    /// One palette for so many output channels (macOS 15).
    #[arg(long, value_name = "CHANNELS")]
    group: Option<usize>,
    /// The part of the weights that `--weights sparse` keeps.
    #[arg(long, value_name = "0..1", default_value_t = 0.5)]
    density: f32,
    /// How attention is written [default: sdpa on macOS 15, else matmul].
    #[arg(long, value_enum)]
    attention: Option<AttentionForm>,
    /// How group normalisation is written; steps keeps large activations in range.
    #[arg(long, value_enum, default_value_t = NormForm::Layer)]
    group_norm: NormForm,
    /// The oldest macOS that loads the packages.
    #[arg(long, value_enum, default_value_t = MacOs::V14)]
    macos: MacOs,
    /// The folder that the packages are written into; packages there are replaced.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Coreml,
}

/// How a model is cut into packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Parts {
    Separate,
    Frame,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Weights {
    Fp16,
    /// Symmetric, with a scale for each output channel.
    Int8,
    /// With an offset for each output channel too.
    Int8Offset,
    Pal8,
    Pal6,
    Pal4,
    /// macOS 15.
    Pal3,
    Pal2,
    Pal1,
    /// With a scale for each 32 input channels; macOS 15.
    Int4,
    Sparse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AttentionForm {
    /// One operation; macOS 15.
    Sdpa,
    Matmul,
    /// In the Neural Engine's layout.
    SplitEinsum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NormForm {
    Layer,
    Steps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MacOs {
    #[value(name = "14")]
    V14,
    #[value(name = "15")]
    V15,
}

/// Input channels that share a scale, as Apple recommends for the GPU.
const INT4_BLOCK: usize = 32;

impl Args {
    fn options(&self) -> Result<Options, Failure> {
        let target = match self.macos {
            MacOs::V14 => Target::MacOs14,
            MacOs::V15 => Target::MacOs15,
        };
        let usual = Options::new(target);
        let attention = self.attention.map_or(usual.attention, |form| match form {
            AttentionForm::Sdpa => Attention::Sdpa,
            AttentionForm::Matmul => Attention::MatMul,
            AttentionForm::SplitEinsum => Attention::SplitEinsum,
        });
        let group_norm = match self.group_norm {
            NormForm::Layer => GroupNorm::LayerNorm,
            NormForm::Steps => GroupNorm::Steps,
        };
        let weights = self.weight_format()?;
        Ok(Options { target, attention, group_norm, weights, min_elements: MIN_ELEMENTS })
    }

    fn weight_format(&self) -> Result<WeightFormat, Failure> {
        let palette = |bits| WeightFormat::Palette { bits, group: self.group };
        let format = match self.weights {
            Weights::Fp16 => WeightFormat::Fp16,
            Weights::Int8 => WeightFormat::Int8 { symmetric: true },
            Weights::Int8Offset => WeightFormat::Int8 { symmetric: false },
            Weights::Pal8 => palette(8),
            Weights::Pal6 => palette(6),
            Weights::Pal4 => palette(4),
            Weights::Pal3 => palette(3),
            Weights::Pal2 => palette(2),
            Weights::Pal1 => palette(1),
            Weights::Int4 => WeightFormat::Int4 { block: INT4_BLOCK },
            Weights::Sparse => WeightFormat::Sparse { density: self.density },
        };
        if self.group.is_some() && !matches!(format, WeightFormat::Palette { .. }) {
            return Err(Failure::input("cannot use --group", "only palettes have groups"));
        }
        Ok(format)
    }
}

/// Runs the command.
///
/// # Errors
/// If the model, the sizes or the choices do not fit, or a package cannot be
/// written.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let Format::Coreml = args.format;
    let options = args.options()?;
    let model = args.model.open(console)?;
    let parts = parts::of(&model, args)?;
    let components = parts::components(&parts);
    let mut weights = model.weights(&components, console)?;
    model.merge(&mut weights, &args.lora, console)?;
    fs::create_dir_all(&args.output)
        .during(format_args!("cannot make {}", args.output.display()))?;
    let mut written = Vec::new();
    for part in &parts {
        written.push(export(part, args, &weights, &options, console)?);
    }
    if args.json { report::json(&written) } else { report::table(&written) }
}

fn export(
    part: &Part,
    args: &Args,
    weights: &laterna_models::Weights,
    options: &Options,
    console: &Console,
) -> Result<Written, Failure> {
    let path = args.output.join(format!("{}.mlpackage", part.name));
    let entries: Vec<_> = part
        .functions
        .iter()
        .map(|(name, graph)| Entry {
            images: if args.images { part.images } else { &[] },
            outputs: Outputs::ButInputs,
            ..Entry::new(name, graph)
        })
        .collect();
    let description = format!("{} of {}, written by laterna", part.what, args.model.model);
    let package = Package { description: &description, entries: &entries };
    let bar = console.steps(0, part.name);
    let summary =
        emit::write(&path, &package, weights, options, &mut |p| bar.reach(p.done, p.total))
            .during(format_args!("cannot write {}", path.display()))?;
    for function in &summary.functions {
        let unread = function.unread.iter().filter(|input| !parts::is_frames_alone(input));
        for input in unread {
            console.note(format_args!("{}: nothing reads {input}: left out", part.name));
        }
    }
    Ok(Written { path, summary })
}

impl Cause for EmitError {
    fn exit(&self) -> Exit {
        match self {
            Self::Pass(_) => Exit::System,
            _ => Exit::Input,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Io { reason, .. } | Self::WeightFile(reason) => reason.advice(),
            _ => self.hint().map(str::to_owned),
        }
    }
}
