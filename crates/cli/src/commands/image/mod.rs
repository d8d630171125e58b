//! `laterna image`: one picture from a text, or from a text and a picture.

mod given;

use std::path::PathBuf;
use std::time::Instant;

use laterna_diffusion::session::{Progress, Prompt, Request, Session, Size};
use laterna_tensor::{Picture, Tensor};

use crate::backends::BackendArgs;
use crate::console::Console;
use crate::error::{During, Failure};
use crate::model::{LoraArg, Model, ModelArgs};
use crate::picture::{self, Output};
use crate::size;
use given::{Embeddings, Noises};

/// Make a picture from a text, or change a picture as a text says.
///
/// With --input the picture is centre-cropped to the aspect of the output,
/// resized, noised as far as --strength says and denoised towards the prompt;
/// without, the output starts from noise alone. Models that edit by
/// instruction (InstructPix2Pix) need --input.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna image --input photo.jpg --prompt 'oil painting' --output a.png
  laterna image --model sdxs-512-0.9 --prompt 'a lighthouse, oil on canvas' --output b.png
  laterna image --model sd-turbo --input photo.jpg --strength 0.5 --steps 2 \\
      --prompt 'a watercolour' --output c.webp
  laterna image --model ./my-model --lora style.safetensors:0.8 --scheduler dpm++2m \\
      --steps 20 --guidance 7.5 --negative blurry --prompt 'a fox' --output d.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What the picture should show.
    #[arg(long, value_name = "TEXT", required_unless_present = "prompt_embeds")]
    prompt: Option<String>,
    /// What it should not show; used with --guidance above 1.
    #[arg(long, value_name = "TEXT")]
    negative: Option<String>,
    /// The prompt already encoded, for models without a text encoder: a safetensors file
    /// with `prompt_embeds [1,77,w]` and, as needed, negative_prompt_embeds,
    /// pooled_prompt_embeds and negative_pooled_prompt_embeds.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "negative"])]
    prompt_embeds: Option<PathBuf>,
    /// The picture to start from: PNG, JPEG or WebP; transparency is shown over white.
    #[arg(long, value_name = "PICTURE")]
    input: Option<PathBuf>,
    /// How far to go from the input, 0 to 1; 0 is the input itself [default: the preset's, else
    /// 0.8, or 1 with a single step and for models that edit by instruction].
    #[arg(long, value_name = "S", requires = "input", allow_negative_numbers = true)]
    strength: Option<f32>,
    /// Steps of the schedule [default: the preset's, else 50].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    steps: Option<u16>,
    /// Classifier-free guidance; 1 or less for none [default: the preset's, else 7.5].
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    guidance: Option<f32>,
    /// Guidance towards the input, for models that edit by instruction.
    #[arg(long, value_name = "G", default_value_t = 1.5)]
    image_guidance: f32,
    /// Decides the noise; the same seed gives the same picture on every machine
    /// up to rounding.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Width and height of the output, such as 640x512 [default: the model's own].
    #[arg(long, value_name = "WxH", value_parser = size::parse)]
    size: Option<Size>,
    /// euler, euler-a, ddim, lcm, dpm++2m or pndm [default: the checkpoint's own].
    #[arg(long, value_name = "NAME")]
    scheduler: Option<String>,
    /// A LoRA to merge, with its scale [default scale: 1]; may be given repeatedly.
    #[arg(long, value_name = "FILE[:SCALE]")]
    lora: Vec<LoraArg>,
    /// Noise to use instead of the seed's: a safetensors file with `noise [1,c,h,w]` and, as
    /// needed, `step_noise [steps,1,c,h,w]` and `vae_noise [1,c,h,w]`.
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
    /// The picture to write; its name ends in .png, .jpg or .webp.
    #[arg(long, value_name = "PICTURE")]
    output: PathBuf,
}

/// How far from the input, as diffusers' pipelines have it.
const DEFAULT_STRENGTH: f32 = 0.8;

/// Runs the command.
///
/// # Errors
/// If something given does not work.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let output = Output::new(&args.output)?;
    let model = args.model.open(console)?;
    let size = args.size.unwrap_or(model.default_size()?);
    size::check(size, model.vae()?.encoder_factor())?;
    let given = Given::read(args, size)?;
    let mut session = load(args, &model, size, console)?;

    let start = Instant::now();
    let whole = session.is_edit_model();
    let tensor = generate(&mut session, &args.request(&model, &given, whole), console)?;
    if tensor.as_f32().is_ok_and(|values| values.iter().any(|v| v.is_nan())) {
        console.warn("the result is not a number in places, which are shown black");
    }
    output.write(&Picture::from_tensor(&tensor).during("cannot make the picture")?)?;
    let seconds = start.elapsed().as_secs_f32();
    let (path, size) = (output.path().display(), size::shown(&size));
    console.note(format_args!("{path}: {size}, seed {}, {seconds:.1} s", args.seed));
    Ok(())
}

/// The files given beside the model.
struct Given {
    picture: Option<Tensor>,
    embeddings: Option<Embeddings>,
    noises: Noises,
}

impl Given {
    fn read(args: &Args, size: Size) -> Result<Self, Failure> {
        let read = |path: &PathBuf| picture::read(path, Some((size.width, size.height)));
        let picture = args.input.as_ref().map(read).transpose()?;
        Ok(Self {
            picture: picture.map(|picture| picture.to_tensor()),
            embeddings: args.prompt_embeds.as_deref().map(Embeddings::read).transpose()?,
            noises: args.noise.as_deref().map(Noises::read).transpose()?.unwrap_or_default(),
        })
    }
}

fn load(args: &Args, model: &Model, size: Size, console: &Console) -> Result<Session, Failure> {
    let texts = match &args.prompt {
        Some(prompt) => model.texts(&[Some(prompt), args.negative.as_ref()], console)?,
        None => Vec::new(),
    };
    let spinner = console.spinner("loading the model");
    let start = Instant::now();
    let backend = args.backend.settled(model, console)?.open(console)?;
    let mut components = vec!["unet", "vae"];
    components.extend(texts.iter().map(|text| text.prefix.as_str()));
    let mut weights = model.weights(&components, console)?;
    model.merge(&mut weights, &args.lora, console)?;
    let parts = model.parts(texts, &weights)?;
    let session = Session::new(parts, &*backend, size).during("cannot load the model")?;
    drop(spinner);
    console.detail(format_args!("loaded in {:.1} s", start.elapsed().as_secs_f32()));
    Ok(session)
}

impl Args {
    /// `whole`: unless told otherwise, run the whole schedule from noise, also
    /// with an input; models that edit by instruction read it at every step.
    fn request<'a>(&'a self, model: &Model, given: &'a Given, whole: bool) -> Request<'a> {
        let defaults = model.defaults();
        let steps = self.steps.map_or(defaults.steps, usize::from);
        let usual = if steps == 1 || whole { 1.0 } else { DEFAULT_STRENGTH };
        let prompt = match (&self.prompt, &given.embeddings) {
            (_, Some(embeddings)) => embeddings.prompt(),
            (prompt, None) => Prompt::Text {
                positive: prompt.as_deref().unwrap_or_default(),
                negative: self.negative.as_deref(),
            },
        };
        Request {
            prompt,
            picture: given.picture.as_ref(),
            strength: self.strength.or(defaults.strength).unwrap_or(usual),
            steps,
            guidance: self.guidance.unwrap_or(defaults.guidance),
            image_guidance: self.image_guidance,
            seed: self.seed,
            scheduler: self.scheduler.as_deref().or(defaults.scheduler),
            noise: given.noises.initial.as_ref(),
            step_noise: given.noises.steps.as_ref(),
            autoencoder_noise: given.noises.autoencoder.as_ref(),
        }
    }
}

fn generate(
    session: &mut Session,
    request: &Request<'_>,
    console: &Console,
) -> Result<Tensor, Failure> {
    let bar = console.steps(request.steps, "steps");
    let mut progress = |progress: Progress| {
        if let Progress::Step { total, .. } = progress {
            bar.advance(total);
        }
    };
    session.generate(request, &mut progress).during("cannot make the picture")
}
