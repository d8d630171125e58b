//! AutoencoderKL: the autoencoder of Stable Diffusion (Rombach et al. 2022,
//! arXiv 2112.10752).

use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{BuildError, Builder, ValueId};

use crate::config::{ConfigError, Fields, Fixed, whole};
use crate::layers::{Resnet, downsample};

/// An AutoencoderKL, as diffusers writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoencoderKlConfig {
    /// Channels of the picture that is encoded.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of each level, from the finest.
    pub channels: Vec<usize>,
    /// Residual blocks of an encoder level; the decoder has one more.
    pub layers: usize,
    /// Activation of the residual blocks.
    pub activation: Activation,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Whether the coarsest level attends.
    pub mid_attention: bool,
    /// Whether the moments pass a 1x1 convolution.
    pub quant_conv: bool,
    /// Whether the latent passes a 1x1 convolution before decoding.
    pub post_quant_conv: bool,
    /// Latents are multiplied by this before diffusion.
    pub scaling_factor: f32,
    /// Subtracted from latents before they are multiplied.
    pub shift_factor: f32,
}

/// Added to the variance of every normalisation (diffusers).
const NORM_EPS: f32 = 1e-6;

/// Fields of which one value alone is implemented.
const FIXED: &[(&str, Fixed)] = &[("latents_mean", Fixed::Null), ("latents_std", Fixed::Null)];

/// Fields that cannot change the result, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("force_upcast", "everything is computed in f32 anyway"),
    ("sample_size", "read by tiling alone, which is off by default"),
];

/// Residual blocks of a level; published networks have 2.
const MAX_LAYERS: usize = 64;

impl AutoencoderKlConfig {
    /// Reads a config.json; `file` is named in errors. Absent fields have
    /// diffusers' defaults.
    ///
    /// # Errors
    /// If a field is unknown, malformed, or has a value that is not implemented.
    pub fn parse(file: &str, json: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, json)?;
        f.fixed(FIXED)?;
        f.ignore(IGNORED);
        let channels = f.extents("block_out_channels", &[64])?;
        block_types(&mut f, "down_block_types", "DownEncoderBlock2D", channels.len())?;
        block_types(&mut f, "up_block_types", "UpDecoderBlock2D", channels.len())?;
        let layers = |value: &serde_json::Value| whole(value, MAX_LAYERS).filter(|&n| n > 0);
        let config = Self {
            in_channels: f.extent("in_channels", 3)?,
            out_channels: f.extent("out_channels", 3)?,
            latent_channels: f.extent("latent_channels", 4)?,
            channels,
            layers: f.read("layers_per_block", 1, layers, "a whole number from 1 to 64")?,
            activation: f.activation("act_fn", Activation::Silu)?,
            norm_groups: f.extent("norm_num_groups", 32)?,
            mid_attention: f.flag("mid_block_add_attention", true)?,
            quant_conv: f.flag("use_quant_conv", true)?,
            post_quant_conv: f.flag("use_post_quant_conv", true)?,
            scaling_factor: f.positive("scaling_factor", 0.18215)?,
            shift_factor: f.optional_number("shift_factor")?.unwrap_or(0.0),
        };
        f.finish()?;
        Ok(config)
    }

    /// Pixels of the picture along a pixel of the latent.
    pub fn factor(&self) -> usize {
        1 << (self.channels.len() - 1)
    }

    fn resnet(&self) -> Resnet {
        let (groups, activation) = (self.norm_groups, self.activation);
        Resnet { groups, eps: NORM_EPS, activation, scale: 1.0 }
    }
}

fn block_types(f: &mut Fields, field: &str, class: &str, count: usize) -> Result<(), ConfigError> {
    let names = f.texts(field, &[class])?;
    if names.len() != count {
        let expected = format!("a list of {count}, as block_out_channels is");
        return Err(f.wrong(field, &names.into(), &expected));
    }
    let other = names.into_iter().find(|name| name != class);
    other.map_or(Ok(()), |name| Err(f.unsupported(field, &name.into(), class)))
}

type Built = Result<ValueId, BuildError>;

/// Encodes pictures `[batch, in_channels, height, width]` in -1..=1 to the
/// posterior's mean, `[batch, latent_channels, height / factor, width / factor]`,
/// not scaled.
pub(crate) fn encode(
    b: &mut Builder,
    prefix: &str,
    config: &AutoencoderKlConfig,
    image: ValueId,
) -> Built {
    let moments = moments(b, prefix, config, image)?;
    b.slice(&format!("{prefix}.encoder.mean"), moments, 1, 0, config.latent_channels)
}

/// The posterior's mean and log variance, `[batch, 2 * latent_channels, ..]`.
pub(crate) fn moments(
    b: &mut Builder,
    prefix: &str,
    config: &AutoencoderKlConfig,
    image: ValueId,
) -> Built {
    let path = format!("{prefix}.encoder");
    let resnet = config.resnet();
    let conv_in = format!("{path}.conv_in");
    let mut x = b.conv2d(&conv_in, image, config.channels[0], 3, Conv2d::same(1))?;
    for (level, &channels) in config.channels.iter().enumerate() {
        let path = format!("{path}.down_blocks.{level}");
        for layer in 0..config.layers {
            x = resnet.build(b, &format!("{path}.resnets.{layer}"), x, channels, None)?;
        }
        if level + 1 < config.channels.len() {
            x = downsample(b, &format!("{path}.downsamplers.0"), x, 0)?;
        }
    }
    let x = mid(b, &path, config, x)?;
    let moments = finish(b, &path, config, x, 2 * config.latent_channels)?;
    if !config.quant_conv {
        return Ok(moments);
    }
    b.conv2d(
        &format!("{prefix}.quant_conv"),
        moments,
        2 * config.latent_channels,
        1,
        Conv2d::same(0),
    )
}

/// Decodes latents `[batch, latent_channels, h, w]` to pictures
/// `[batch, out_channels, h * factor, w * factor]`, about -1..=1.
pub(crate) fn decode(
    b: &mut Builder,
    prefix: &str,
    config: &AutoencoderKlConfig,
    latent: ValueId,
) -> Built {
    let path = format!("{prefix}.decoder");
    let mut x = latent;
    if config.post_quant_conv {
        let conv = format!("{prefix}.post_quant_conv");
        x = b.conv2d(&conv, x, config.latent_channels, 1, Conv2d::same(0))?;
    }
    let coarsest = config.channels[config.channels.len() - 1];
    x = b.conv2d(&format!("{path}.conv_in"), x, coarsest, 3, Conv2d::same(1))?;
    x = mid(b, &path, config, x)?;
    for (level, &channels) in config.channels.iter().rev().enumerate() {
        let path = format!("{path}.up_blocks.{level}");
        for layer in 0..=config.layers {
            let path = format!("{path}.resnets.{layer}");
            x = config.resnet().build(b, &path, x, channels, None)?;
        }
        if level + 1 < config.channels.len() {
            let path = format!("{path}.upsamplers.0");
            x = b.upsample_nearest(&path, x, 2)?;
            x = b.conv2d(&format!("{path}.conv"), x, channels, 3, Conv2d::same(1))?;
        }
    }
    finish(b, &path, config, x, config.out_channels)
}

/// The coarsest level: residual block, attention, residual block.
fn mid(b: &mut Builder, path: &str, config: &AutoencoderKlConfig, x: ValueId) -> Built {
    let path = format!("{path}.mid_block");
    let channels = b.shape(x)[1];
    let resnet = config.resnet();
    let mut x = resnet.build(b, &format!("{path}.resnets.0"), x, channels, None)?;
    if config.mid_attention {
        x = attention(b, &format!("{path}.attentions.0"), config, x)?;
    }
    resnet.build(b, &format!("{path}.resnets.1"), x, channels, None)
}

/// Attention of every pixel to every pixel, with one head.
fn attention(b: &mut Builder, path: &str, config: &AutoencoderKlConfig, x: ValueId) -> Built {
    let shape = b.shape(x);
    let (channels, height, width) = (shape[1], shape[2], shape[3]);
    let y = b.group_norm(&format!("{path}.group_norm"), x, config.norm_groups, NORM_EPS)?;
    let tokens = b.to_tokens(&format!("{path}.tokens"), y)?;
    let q = b.linear(&format!("{path}.to_q"), tokens, channels, true)?;
    let k = b.linear(&format!("{path}.to_k"), tokens, channels, true)?;
    let v = b.linear(&format!("{path}.to_v"), tokens, channels, true)?;
    let y = b.attention(path, [q, k, v], 1, false)?;
    let y = b.linear(&format!("{path}.to_out.0"), y, channels, true)?;
    let y = b.from_tokens(&format!("{path}.picture"), y, height, width)?;
    b.add(&format!("{path}.residual"), y, x)
}

/// The last normalisation and convolution; the activation between them is
/// SiLU whatever the configuration says for the rest (diffusers).
fn finish(
    b: &mut Builder,
    path: &str,
    config: &AutoencoderKlConfig,
    x: ValueId,
    out: usize,
) -> Built {
    let x = b.group_norm(&format!("{path}.conv_norm_out"), x, config.norm_groups, NORM_EPS)?;
    let x = b.activation(&format!("{path}.conv_act"), x, Activation::Silu)?;
    b.conv2d(&format!("{path}.conv_out"), x, out, 3, Conv2d::same(1))
}
