//! AutoencoderTiny (TAESD, O. Boer Bohan): a few plain convolutions between
//! pictures and latents.

use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{BuildError, Builder, ValueId};

use crate::config::{ConfigError, Fields, Fixed};
use crate::layers::conv_without_bias;

/// An AutoencoderTiny, as diffusers writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoencoderTinyConfig {
    /// Channels of the picture that is encoded.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels inside the encoder.
    pub encoder_channels: usize,
    /// Channels inside the decoder.
    pub decoder_channels: usize,
    /// Blocks of each level of the encoder, from the finest; each level but
    /// the first starts by halving.
    pub encoder_blocks: Vec<usize>,
    /// Blocks of each level of the decoder, from the coarsest; each level but
    /// the last ends by enlarging.
    pub decoder_blocks: Vec<usize>,
    /// Enlargement between two levels of the decoder.
    pub upsampling: usize,
    /// Activation inside a block.
    pub activation: Activation,
    /// Latents are multiplied by this before diffusion.
    pub scaling_factor: f32,
    /// Subtracted from latents before they are multiplied.
    pub shift_factor: f32,
}

/// Fields of which one value alone is implemented.
const FIXED: &[(&str, Fixed)] = &[("upsample_fn", Fixed::Text("nearest"))];

const PREVIEW: &str = "maps latents to bytes for storage, not for decoding";

/// Fields that cannot change the result, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("block_out_channels", "diffusers overwrites it with the decoder's channels"),
    ("force_upcast", "everything is computed in f32 anyway"),
    ("latent_magnitude", PREVIEW),
    ("latent_shift", PREVIEW),
];

/// Blocks of a level; published networks have 3.
const MAX_BLOCKS: usize = 64;

/// Latents are squashed into plus and minus this before decoding.
const LATENT_LIMIT: f32 = 3.0;

impl AutoencoderTinyConfig {
    /// Reads a config.json; `file` is named in errors. Absent fields have
    /// diffusers' defaults.
    ///
    /// # Errors
    /// If a field is unknown, malformed, or has a value that is not implemented.
    pub fn parse(file: &str, json: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, json)?;
        f.fixed(FIXED)?;
        f.ignore(IGNORED);
        let encoder_blocks = f.wholes("num_encoder_blocks", &[1, 3, 3, 3], MAX_BLOCKS)?;
        let decoder_blocks = f.wholes("num_decoder_blocks", &[3, 3, 3, 1], MAX_BLOCKS)?;
        let config = Self {
            in_channels: f.extent("in_channels", 3)?,
            out_channels: f.extent("out_channels", 3)?,
            latent_channels: f.extent("latent_channels", 4)?,
            encoder_channels: channels(&mut f, "encoder_block_out_channels", &encoder_blocks)?,
            decoder_channels: channels(&mut f, "decoder_block_out_channels", &decoder_blocks)?,
            encoder_blocks,
            decoder_blocks,
            upsampling: f.whole("upsampling_scaling_factor", 2, 8)?.max(1),
            activation: f.activation("act_fn", Activation::Relu)?,
            scaling_factor: f.positive("scaling_factor", 1.0)?,
            shift_factor: f.optional_number("shift_factor")?.unwrap_or(0.0),
        };
        f.finish()?;
        Ok(config)
    }

    /// Pixels of the picture along a pixel of the latent, encoding.
    pub fn encoder_factor(&self) -> usize {
        1 << (self.encoder_blocks.len() - 1)
    }

    /// Pixels of the picture along a pixel of the latent, decoding.
    pub fn decoder_factor(&self) -> usize {
        self.upsampling.saturating_pow(self.decoder_blocks.len() as u32 - 1)
    }
}

/// The channels of a coder: one number a level, all equal, because no layer
/// of these networks changes the number of channels inside.
fn channels(f: &mut Fields, field: &str, blocks: &[usize]) -> Result<usize, ConfigError> {
    let channels = f.extents(field, &[64; 4])?;
    if channels.len() != blocks.len() {
        let expected = format!("a list of {}, as its blocks are", blocks.len());
        return Err(f.wrong(field, &channels.into(), &expected));
    }
    if channels.iter().any(|&c| c != channels[0]) {
        return Err(f.unsupported(field, &channels.into(), "equal channels in all levels"));
    }
    Ok(channels[0])
}

type Built = Result<ValueId, BuildError>;

/// Encodes pictures `[batch, in_channels, height, width]` in -1..=1 to latents
/// `[batch, latent_channels, height / factor, width / factor]`, not scaled.
pub(crate) fn encode(
    b: &mut Builder,
    prefix: &str,
    config: &AutoencoderTinyConfig,
    image: ValueId,
) -> Built {
    let path = format!("{prefix}.encoder");
    let x = b.affine(&format!("{path}.normalize"), image, 0.5, 0.5)?;
    let mut layers = Layers { b, path: format!("{path}.layers"), next: 0, x };
    for (level, &blocks) in config.encoder_blocks.iter().enumerate() {
        let conv = if level == 0 { Conv2d::same(1) } else { conv_without_bias(2) };
        layers.conv(config.encoder_channels, conv)?;
        layers.blocks(blocks, config.activation)?;
    }
    layers.conv(config.latent_channels, Conv2d::same(1))?;
    Ok(layers.x)
}

/// Decodes latents `[batch, latent_channels, h, w]` to pictures
/// `[batch, out_channels, h * factor, w * factor]`, about -1..=1.
pub(crate) fn decode(
    b: &mut Builder,
    prefix: &str,
    config: &AutoencoderTinyConfig,
    latent: ValueId,
) -> Built {
    let path = format!("{prefix}.decoder");
    let x = squash(b, &path, latent)?;
    let mut layers = Layers { b, path: format!("{path}.layers"), next: 0, x };
    layers.conv(config.decoder_channels, Conv2d::same(1))?;
    layers.activation(config.activation)?;
    for (level, &blocks) in config.decoder_blocks.iter().enumerate() {
        layers.blocks(blocks, config.activation)?;
        if level + 1 < config.decoder_blocks.len() {
            layers.upsample(config.upsampling)?;
            layers.conv(config.decoder_channels, conv_without_bias(1))?;
        } else {
            layers.conv(config.out_channels, Conv2d::same(1))?;
        }
    }
    let picture = layers.x;
    b.affine(&format!("{path}.denormalize"), picture, 2.0, -1.0)
}

/// `3 tanh(x / 3)`
fn squash(b: &mut Builder, path: &str, x: ValueId) -> Built {
    let path = format!("{path}.squash");
    let x = b.affine(&path, x, 1.0 / LATENT_LIMIT, 0.0)?;
    let x = b.activation(&path, x, Activation::Tanh)?;
    b.affine(&path, x, LATENT_LIMIT, 0.0)
}

/// The numbered layers of a coder, each fed by the one before.
struct Layers<'a> {
    b: &'a mut Builder,
    path: String,
    next: usize,
    x: ValueId,
}

impl Layers<'_> {
    fn conv(&mut self, out: usize, conv: Conv2d) -> Result<(), BuildError> {
        let path = self.next_path();
        self.x = self.b.conv2d(&path, self.x, out, 3, conv)?;
        Ok(())
    }

    fn activation(&mut self, activation: Activation) -> Result<(), BuildError> {
        let path = self.next_path();
        self.x = self.b.activation(&path, self.x, activation)?;
        Ok(())
    }

    fn upsample(&mut self, factor: usize) -> Result<(), BuildError> {
        let path = self.next_path();
        self.x = self.b.upsample_nearest(&path, self.x, factor)?;
        Ok(())
    }

    fn blocks(&mut self, count: usize, activation: Activation) -> Result<(), BuildError> {
        for _ in 0..count {
            let path = self.next_path();
            self.x = block(self.b, &path, self.x, activation)?;
        }
        Ok(())
    }

    fn next_path(&mut self) -> String {
        self.next += 1;
        format!("{}.{}", self.path, self.next - 1)
    }
}

/// `relu(conv(act(conv(act(conv(x))))) + x)`
fn block(b: &mut Builder, path: &str, x: ValueId, activation: Activation) -> Built {
    let channels = b.shape(x)[1];
    let mut y = x;
    for index in [0, 2] {
        let conv = format!("{path}.conv.{index}");
        y = b.conv2d(&conv, y, channels, 3, Conv2d::same(1))?;
        y = b.activation(&format!("{conv}.act"), y, activation)?;
    }
    let y = b.conv2d(&format!("{path}.conv.4"), y, channels, 3, Conv2d::same(1))?;
    let sum = b.add(&format!("{path}.residual"), y, x)?;
    b.activation(&format!("{path}.fuse"), sum, Activation::Relu)
}
