//! A one-step picture-to-picture frame as one graph: encode, add noise, predict,
//! recover the clean latent, decode. Passes then work across the seams, and
//! whatever hangs on a fixed timestep folds away; what hangs on one that may
//! change between frames is computed when it changes.

use laterna_graph::{Builder, Graph, Rate, TensorType, ValueId};
use laterna_tensor::Tensor;

use crate::error::ModelError;
use crate::size::check_side;
use crate::unet::{self, Inputs, UnetConfig};
use crate::vae::{self, VaeConfig};

/// One step of a scheduler, as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The timestep that the UNet is told.
    pub timestep: f32,
    /// Factor of the clean latent in the noisy one.
    pub signal: f32,
    /// Factor of the noise in the noisy latent.
    pub noise: f32,
    /// The noisy latent is divided by this before the UNet reads it.
    pub input_divisor: f32,
    /// Factor of the noisy latent in the result.
    pub sample: f32,
    /// Factor of the UNet's output in the result.
    pub output: f32,
}

/// The networks of a frame and how much each is given.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The UNet; one with twice the latent's channels also reads the clean
    /// latent, unscaled (InstructPix2Pix).
    pub unet: &'a UnetConfig,
    /// The autoencoder.
    pub vae: &'a VaeConfig,
    /// Height of the picture in pixels.
    pub height: usize,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Text tokens.
    pub tokens: usize,
    /// The step.
    pub step: StepSource,
}

/// Where a frame's step comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSource {
    /// Compiled in.
    Fixed(Step),
    /// Compiled in, but for the first two numbers of [`LIVE_INPUTS`] and the
    /// latent of the frame before, which are as in a live frame.
    Recurrent(Step),
    /// Inputs that change like the prompt: `timestep` `[1]`, and each number of
    /// [`LIVE_INPUTS`] as `[1, 1, 1, 1]`. The graph then also takes the latent
    /// of the frame before with every frame, as `previous`, and returns the
    /// frame's own as `latent`, scaled.
    Live,
}

/// The numbers that a live frame takes beside the timestep, in order.
///
/// `keep * clean + feedback * previous` is what noise is added to; `scale` is
/// the reciprocal of [`Step::input_divisor`], the others are the step's.
pub const LIVE_INPUTS: [&str; 7] =
    ["keep", "feedback", "signal", "noise_level", "scale", "sample_factor", "output_factor"];

impl Step {
    /// The values of [`LIVE_INPUTS`] for a step with so much feedback, 0 to 1.
    pub fn live_values(&self, feedback: f32) -> [f32; LIVE_INPUTS.len()] {
        let scale = 1.0 / self.input_divisor;
        let Step { signal, noise, sample, output, .. } = *self;
        [1.0 - feedback, feedback, signal, noise, scale, sample, output]
    }
}

/// The frame's graph. Inputs: `image` `[1, 3, height, width]` in -1..=1 and
/// `noise` `[1, latent_channels, h, w]` with every frame,
/// `encoder_hidden_states` `[1, tokens, text_width]` (and what else the UNet
/// reads of the text) with the prompt. Output: `image`, about -1..=1. Nodes
/// are named `vae.encoder...`, `unet...` and `vae.decoder...` by stage.
/// [`StepSource::Live`] says what a live frame has more.
///
/// # Errors
/// If the size or the networks do not fit each other.
pub fn graph(frame: &Frame<'_>) -> Result<Graph, ModelError> {
    let &Frame { unet, vae, height, width, tokens, step } = frame;
    let factor = latent_factor(vae)?;
    check_side("frame", height, width, factor)?;
    let latent = [1, vae.latent_channels(), height / factor, width / factor];

    let mut b = Builder::new("frame");
    let image = b.input("image", Rate::Frame, TensorType::f32([1, 3, height, width]));
    let noise = b.input("noise", Rate::Frame, TensorType::f32(latent));
    let text = TensorType::f32([1, tokens, unet.text_width]);
    let text = b.input("encoder_hidden_states", Rate::Prompt, text);
    let added = unet::added_inputs(&mut b, unet, 1)?;
    let timestep_cond = unet::timestep_cond_input(&mut b, unet, 1);
    let (timestep, step) = Numbers::new(&mut b, step, latent);

    let raw = vae::encode(&mut b, "vae", vae, image)?;
    let clean = scale(&mut b, vae, raw)?;
    let clean = step.with_feedback(&mut b, clean)?;
    let noisy = mix(&mut b, "vae.encoder.noisy", [clean, noise], [step.signal, step.noise])?;
    let sample = times(&mut b, "unet.input", noisy, step.scale)?;
    let sample = beside_clean(&mut b, frame, raw, sample)?;
    let inputs = Inputs { sample, timestep, encoder_hidden_states: text, added, timestep_cond };
    let output = unet::build(&mut b, "unet", unet, inputs)?;
    let result = mix(&mut b, "unet.step", [noisy, output], [step.sample, step.output])?;
    let latent = unscale(&mut b, vae, result)?;
    let picture = vae::decode(&mut b, "vae", vae, latent)?;
    Ok(match step.memory {
        None => b.finish(&[("image", picture)]),
        Some(_) => b.finish(&[("image", picture), ("latent", result)]),
    })
}

/// A factor that is known, or computed elsewhere, `[1, 1, 1, 1]`.
#[derive(Clone, Copy)]
enum Factor {
    Number(f32),
    Value(ValueId),
}

/// A step's numbers as the graph has them.
struct Numbers {
    signal: Factor,
    noise: Factor,
    scale: Factor,
    sample: Factor,
    output: Factor,
    /// The latent of the frame before, and how much of the clean latent and of
    /// it are mixed.
    memory: Option<(ValueId, [Factor; 2])>,
}

/// The inputs that a frame's memory takes.
fn memory(b: &mut Builder, latent: [usize; 4]) -> (ValueId, [Factor; 2]) {
    let previous = b.input("previous", Rate::Frame, TensorType::f32(latent));
    let [keep, feedback, ..] = LIVE_INPUTS;
    (previous, [keep, feedback].map(|name| number(b, name)))
}

fn number(b: &mut Builder, name: &str) -> Factor {
    Factor::Value(b.input(name, Rate::Prompt, TensorType::f32([1, 1, 1, 1])))
}

impl Numbers {
    /// The timestep `[1]`, and the rest.
    fn new(b: &mut Builder, step: StepSource, latent: [usize; 4]) -> (ValueId, Self) {
        match step {
            StepSource::Fixed(step) => Self::fixed(b, step),
            StepSource::Recurrent(step) => {
                let (timestep, numbers) = Self::fixed(b, step);
                (timestep, Self { memory: Some(memory(b, latent)), ..numbers })
            }
            StepSource::Live => Self::live(b, latent),
        }
    }

    fn fixed(b: &mut Builder, step: Step) -> (ValueId, Self) {
        let mut timestep = Tensor::zeros([1]);
        timestep.as_f32_mut().into_iter().flatten().for_each(|t| *t = step.timestep);
        let [_, _, signal, noise, scale, sample, output] =
            step.live_values(0.0).map(Factor::Number);
        let numbers = Self { signal, noise, scale, sample, output, memory: None };
        (b.constant("timestep", timestep), numbers)
    }

    fn live(b: &mut Builder, latent: [usize; 4]) -> (ValueId, Self) {
        let timestep = b.input("timestep", Rate::Prompt, TensorType::f32([1]));
        let memory = Some(memory(b, latent));
        let [_, _, numbers @ ..] = LIVE_INPUTS;
        let [signal, noise, scale, sample, output] = numbers.map(|name| number(b, name));
        (timestep, Self { signal, noise, scale, sample, output, memory })
    }

    fn with_feedback(&self, b: &mut Builder, clean: ValueId) -> Result<ValueId, ModelError> {
        match self.memory {
            None => Ok(clean),
            Some((previous, parts)) => mix(b, "vae.encoder.feedback", [clean, previous], parts),
        }
    }
}

/// Pixels of the picture along one of the latent, which both ways must share.
fn latent_factor(vae: &VaeConfig) -> Result<usize, ModelError> {
    let (encoder, decoder) = (vae.encoder_factor(), vae.decoder_factor());
    if encoder == decoder {
        return Ok(encoder);
    }
    Err(ModelError::Mismatch(format!(
        "the autoencoder divides a picture's sides by {encoder} and multiplies them by {decoder}"
    )))
}

/// What the UNet reads: for edit models the clean latent behind the noisy one.
fn beside_clean(
    b: &mut Builder,
    frame: &Frame<'_>,
    raw: ValueId,
    sample: ValueId,
) -> Result<ValueId, ModelError> {
    if frame.unet.in_channels == 2 * frame.vae.latent_channels() {
        return Ok(b.concat("unet.input", &[sample, raw], 1)?);
    }
    Ok(sample)
}

/// `(latent - shift_factor) * scaling_factor`
fn scale(b: &mut Builder, vae: &VaeConfig, latent: ValueId) -> Result<ValueId, ModelError> {
    let factor = vae.scaling_factor();
    affine(b, "vae.encoder.scale", latent, factor, -vae.shift_factor() * factor)
}

/// `latent / scaling_factor + shift_factor`
fn unscale(b: &mut Builder, vae: &VaeConfig, latent: ValueId) -> Result<ValueId, ModelError> {
    affine(b, "vae.decoder.unscale", latent, 1.0 / vae.scaling_factor(), vae.shift_factor())
}

/// `x * scale + offset`, or x itself where that changes nothing.
fn affine(
    b: &mut Builder,
    path: &str,
    x: ValueId,
    scale: f32,
    offset: f32,
) -> Result<ValueId, ModelError> {
    if scale == 1.0 && offset == 0.0 {
        return Ok(x);
    }
    Ok(b.affine(path, x, scale, offset)?)
}

/// `factors[0] * x + factors[1] * y`
fn mix(
    b: &mut Builder,
    path: &str,
    [x, y]: [ValueId; 2],
    factors: [Factor; 2],
) -> Result<ValueId, ModelError> {
    let x = times(b, path, x, factors[0])?;
    let y = times(b, path, y, factors[1])?;
    Ok(b.add(path, x, y)?)
}

fn times(b: &mut Builder, path: &str, x: ValueId, factor: Factor) -> Result<ValueId, ModelError> {
    match factor {
        Factor::Number(factor) => affine(b, path, x, factor, 0.0),
        Factor::Value(factor) => Ok(b.mul(path, x, factor)?),
    }
}
