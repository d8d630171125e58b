//! `laterna bench`: measures the one-step frame, picture in, picture out.

pub mod frame;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use laterna_diffusion::session::Size;
use laterna_weights::write_safetensors;

use crate::backends::BackendArgs;
use crate::console::{Console, print};
use crate::error::{During, Failure};
use crate::interrupt::uninterrupted;
use crate::machine;
use crate::model::ModelArgs;
use crate::picture::check_folder;
use crate::size;
use frame::Bench;
use report::Report;

/// Measure the one-step frame: encode, add fixed noise, UNet, decode.
///
/// The picture, the noise and the prompt's embedding are synthetic and always
/// the same, so that the hash of the output tells whether a change of speed
/// was a change of meaning. The embedding is not a text's, and encoding a text
/// is not part of a frame.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna bench
  laterna bench --model sdxs-512-0.9 --strength 0.5
  laterna bench --model ./my-model --size 512 --frames 20 --threads 4 --json
  laterna bench --model ./my-model --per-layer")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Width and height of the picture, such as 640x512 or 512 [default: the model's own].
    #[arg(long, value_name = "WxH", value_parser = size::parse)]
    size: Option<Size>,
    /// The noise level of the step, from 0 to 1, as `laterna image` takes it.
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_negative_numbers = true)]
    strength: f32,
    /// Frames that are measured.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Frames that run first and are not measured.
    #[arg(long, value_name = "N", default_value_t = 2)]
    warm_up: u32,
    /// Write the last picture, [1, 3, height, width] in -1..1, to this safetensors file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show every layer's time too.
    #[arg(long)]
    per_layer: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs the command.
///
/// # Errors
/// If the model cannot be loaded or run.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    args.output.iter().try_for_each(|file| check_folder(file))?;
    let model = args.model.open(console)?;
    let size = args.size.unwrap_or(model.default_size()?);
    size::check(size, model.vae()?.encoder_factor())?;
    let backend = args.backend.settled(&model, console)?;
    let ceiling_gflops = backend.measure_ceiling()?;
    let spinner = console.spinner("loading the model");
    let start = Instant::now();
    let mut bench = Bench::load(&model, size, args.strength, &*backend.open(console)?, console)?;
    let load_s = start.elapsed().as_secs_f64();
    drop(spinner);

    let total = (args.warm_up + args.frames) as usize;
    let bar = console.steps(total, "frames");
    for _ in 0..args.warm_up {
        bench.run()?;
        bar.advance(total);
    }
    bench.forget_times();
    for _ in 0..args.frames {
        bench.run()?;
        bar.advance(total);
    }
    drop(bar);
    if let Some(file) = &args.output {
        let picture = [("image", bench.output().view())];
        uninterrupted(|| write_safetensors(file, &picture)).during("cannot write the picture")?;
    }
    let report = Report {
        model: &args.model.model,
        backend: &args.backend.backend,
        size,
        load_s,
        ceiling_gflops,
        peak_bytes: machine::peak_bytes(),
        bench: &bench,
    };
    if args.json {
        return print(format_args!("{:#}", report.json(args.per_layer)));
    }
    print(report.text())?;
    if args.per_layer { print(format_args!("\n{}", report.layers())) } else { Ok(()) }
}
