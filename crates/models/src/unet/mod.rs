//! UNet2DConditionModel: the network that predicts noise in a latent picture,
//! conditioned on a timestep and a text.

mod attention;
mod blocks;
mod config;
mod embeddings;

use laterna_graph::op::Conv2d;
use laterna_graph::{Builder, Graph, Rate, TensorType, ValueId};

pub use config::{Level, Mid, TextTime, TimeEmbedding, Transformer, UnetConfig};

use crate::error::ModelError;
use crate::size::check_side;
use blocks::Blocks;

/// What the network reads.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// `[batch, in_channels, h, w]`.
    pub sample: ValueId,
    /// `[batch]`, f32.
    pub timestep: ValueId,
    /// The text's tokens, `[batch, tokens, text_width]`.
    pub encoder_hidden_states: ValueId,
    /// SDXL's pooled text and sizes.
    pub added: Option<Added>,
    /// Guidance embedding of latent consistency models, `[batch, condition_dim]`.
    pub timestep_cond: Option<ValueId>,
}

/// SDXL's pooled text and sizes.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// `[batch, pooled_width]`.
    pub text_embeds: ValueId,
    /// Original size, crop and target size, `[batch, 6]`, f32.
    pub time_ids: ValueId,
}

/// How much the network is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Pictures.
    pub batch: usize,
    /// Height in latent pixels.
    pub height: usize,
    /// Width in latent pixels.
    pub width: usize,
    /// Text tokens.
    pub tokens: usize,
}

/// Sizes that SDXL's base models are told; its refiner is told five.
pub const TIME_IDS: usize = 6;

/// Adds the network to a graph; gives the prediction `[batch, out_channels, h, w]`.
/// Nodes and weights are named `<prefix>.<diffusers' key>`.
///
/// # Errors
/// If an input is missing or does not fit the configuration.
pub fn build(
    b: &mut Builder,
    prefix: &str,
    config: &UnetConfig,
    inputs: Inputs,
) -> Result<ValueId, ModelError> {
    check_inputs(b, prefix, config, &inputs)?;
    let time = embeddings::build(b, prefix, config, &inputs)?;
    let mut x = inputs.sample;
    if config.center_input_sample {
        x = b.affine(&format!("{prefix}.center"), x, 2.0, -1.0)?;
    }
    let first = config.levels[0].channels;
    let conv_in = Conv2d::same((config.conv_in_kernel - 1) / 2);
    x = b.conv2d(&format!("{prefix}.conv_in"), x, first, config.conv_in_kernel, conv_in)?;

    let mut skips = vec![x];
    let text = inputs.encoder_hidden_states;
    let mut blocks = Blocks { b, prefix, config, time, text };
    for index in 0..config.levels.len() {
        x = blocks.down(index, x, &mut skips)?;
    }
    if let Some(mid) = &config.mid {
        x = blocks.mid(mid, x)?;
    }
    for index in (0..config.levels.len()).rev() {
        x = blocks.up(index, x, &mut skips)?;
    }
    let norm = format!("{prefix}.conv_norm_out");
    x = b.group_norm(&norm, x, config.norm_groups, config.norm_eps)?;
    x = b.activation(&format!("{prefix}.conv_act"), x, config.activation)?;
    let conv_out = Conv2d::same((config.conv_out_kernel - 1) / 2);
    let path = format!("{prefix}.conv_out");
    Ok(b.conv2d(&path, x, config.out_channels, config.conv_out_kernel, conv_out)?)
}

/// The network alone, its inputs and output named as diffusers names them.
///
/// # Errors
/// If the network has no form for these extents.
pub fn graph(config: &UnetConfig, extents: Extents) -> Result<Graph, ModelError> {
    let Extents { batch, height, width, tokens } = extents;
    check_side("unet", height, width, 1)?;
    let mut b = Builder::new("unet");
    let latent = TensorType::f32([batch, config.in_channels, height, width]);
    let text = TensorType::f32([batch, tokens, config.text_width]);
    let inputs = Inputs {
        sample: b.input("sample", Rate::Frame, latent),
        timestep: b.input("timestep", Rate::Frame, TensorType::f32([batch])),
        encoder_hidden_states: b.input("encoder_hidden_states", Rate::Prompt, text),
        added: added_inputs(&mut b, config, batch)?,
        timestep_cond: timestep_cond_input(&mut b, config, batch),
    };
    let out = build(&mut b, "unet", config, inputs)?;
    Ok(b.finish(&[("out_sample", out)]))
}

/// SDXL's inputs `text_embeds` and `time_ids`, if the network reads them.
///
/// # Errors
/// If the configuration leaves no room for them.
pub fn added_inputs(
    b: &mut Builder,
    config: &UnetConfig,
    batch: usize,
) -> Result<Option<Added>, ModelError> {
    let Some(text_time) = config.text_time else { return Ok(None) };
    let TextTime { time_dim, input_dim } = text_time;
    let pooled = text_time.pooled_width().ok_or_else(|| {
        ModelError::Mismatch(format!(
            "projection_class_embeddings_input_dim {input_dim} has no room for {TIME_IDS} sizes \
             of {time_dim} channels and a pooled text"
        ))
    })?;
    Ok(Some(Added {
        text_embeds: b.input("text_embeds", Rate::Prompt, TensorType::f32([batch, pooled])),
        time_ids: b.input("time_ids", Rate::Prompt, TensorType::f32([batch, TIME_IDS])),
    }))
}

/// The input `timestep_cond`, if the network reads it.
pub fn timestep_cond_input(b: &mut Builder, config: &UnetConfig, batch: usize) -> Option<ValueId> {
    let dim = config.time.condition_dim?;
    Some(b.input("timestep_cond", Rate::Prompt, TensorType::f32([batch, dim])))
}

fn check_inputs(
    b: &Builder,
    prefix: &str,
    config: &UnetConfig,
    inputs: &Inputs,
) -> Result<(), ModelError> {
    let wrong = |input, id, expected: String| {
        let found = b.shape(id);
        Err(ModelError::Input { network: prefix.to_owned(), input, found, expected })
    };
    let missing = |input| Err(ModelError::MissingInput { network: prefix.to_owned(), input });
    let sample = b.shape(inputs.sample);
    if sample.rank() != 4 || sample[1] != config.in_channels {
        let expected = format!("[batch, {}, height, width]", config.in_channels);
        return wrong("sample", inputs.sample, expected);
    }
    let batch = sample[0];
    if *b.shape(inputs.timestep) != [batch] {
        return wrong("timestep", inputs.timestep, format!("[{batch}]"));
    }
    let text = b.shape(inputs.encoder_hidden_states);
    if text.rank() != 3 || text[0] != batch || text[2] != config.text_width {
        let expected = format!("[{batch}, tokens, {}]", config.text_width);
        return wrong("encoder_hidden_states", inputs.encoder_hidden_states, expected);
    }
    match (config.text_time, inputs.added) {
        (Some(_), None) => return missing("text_embeds and time_ids"),
        (None, Some(added)) => return wrong("text_embeds", added.text_embeds, "read".into()),
        _ => {}
    }
    match (config.time.condition_dim, inputs.timestep_cond) {
        (Some(_), None) => missing("timestep_cond"),
        (None, Some(id)) => wrong("timestep_cond", id, "read".into()),
        _ => Ok(()),
    }
}
