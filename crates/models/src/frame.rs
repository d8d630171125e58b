//! A one-step picture-to-picture frame as one graph: encode, add noise, predict,
//! recover the clean latent, decode. Passes then work across the seams, and
//! whatever hangs on the fixed timestep folds away.

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
    pub step: Step,
}

/// The frame's graph. Inputs: `image` `[1, 3, height, width]` in -1..=1 and
/// `noise` `[1, latent_channels, h, w]` with every frame,
/// `encoder_hidden_states` `[1, tokens, text_width]` (and what else the UNet
/// reads of the text) with the prompt. Output: `image`, about -1..=1. Nodes
/// are named `vae.encoder...`, `unet...` and `vae.decoder...` by stage.
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
    let mut timestep = Tensor::zeros([1]);
    timestep.as_f32_mut().into_iter().flatten().for_each(|t| *t = step.timestep);
    let timestep = b.constant("timestep", timestep);

    let raw = vae::encode(&mut b, "vae", vae, image)?;
    let clean = scale(&mut b, vae, raw)?;
    let noisy = mix(&mut b, "vae.encoder.noisy", [clean, noise], [step.signal, step.noise])?;
    let sample = unet_input(&mut b, frame, raw, noisy)?;
    let inputs = Inputs { sample, timestep, encoder_hidden_states: text, added, timestep_cond };
    let output = unet::build(&mut b, "unet", unet, inputs)?;
    let result = mix(&mut b, "unet.step", [noisy, output], [step.sample, step.output])?;
    let result = unscale(&mut b, vae, result)?;
    let picture = vae::decode(&mut b, "vae", vae, result)?;
    Ok(b.finish(&[("image", picture)]))
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

/// The noisy latent as the UNet reads it, for edit models with the clean one
/// behind it.
fn unet_input(
    b: &mut Builder,
    frame: &Frame<'_>,
    raw: ValueId,
    noisy: ValueId,
) -> Result<ValueId, ModelError> {
    let divisor = frame.step.input_divisor;
    let sample = affine(b, "unet.input", noisy, 1.0 / divisor, 0.0)?;
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
    factors: [f32; 2],
) -> Result<ValueId, ModelError> {
    let x = affine(b, path, x, factors[0], 0.0)?;
    let y = affine(b, path, y, factors[1], 0.0)?;
    Ok(b.add(path, x, y)?)
}
