//! The autoencoders behind one face: pictures to latents and back.

use laterna_graph::{Builder, Graph, Rate, TensorType, ValueId};

use crate::autoencoder_kl::{self, AutoencoderKlConfig};
use crate::autoencoder_tiny::{self, AutoencoderTinyConfig};
use crate::error::ModelError;
use crate::size::check_side;

/// An autoencoder of one of the known classes.
#[derive(Clone, Debug, PartialEq)]
pub enum VaeConfig {
    /// `AutoencoderTiny`
    Tiny(AutoencoderTinyConfig),
    /// `AutoencoderKL`
    Kl(AutoencoderKlConfig),
}

impl VaeConfig {
    /// Channels of the latent.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Tiny(c) => c.latent_channels,
            Self::Kl(c) => c.latent_channels,
        }
    }

    /// Pixels of the picture along a pixel of the latent, encoding.
    pub fn encoder_factor(&self) -> usize {
        match self {
            Self::Tiny(c) => c.encoder_factor(),
            Self::Kl(c) => c.factor(),
        }
    }

    /// Pixels of the picture along a pixel of the latent, decoding.
    pub fn decoder_factor(&self) -> usize {
        match self {
            Self::Tiny(c) => c.decoder_factor(),
            Self::Kl(c) => c.factor(),
        }
    }

    /// Diffusion works on `(latent - shift_factor) * scaling_factor`.
    pub fn scaling_factor(&self) -> f32 {
        match self {
            Self::Tiny(c) => c.scaling_factor,
            Self::Kl(c) => c.scaling_factor,
        }
    }

    /// Diffusion works on `(latent - shift_factor) * scaling_factor`.
    pub fn shift_factor(&self) -> f32 {
        match self {
            Self::Tiny(c) => c.shift_factor,
            Self::Kl(c) => c.shift_factor,
        }
    }

    fn in_channels(&self) -> usize {
        match self {
            Self::Tiny(c) => c.in_channels,
            Self::Kl(c) => c.in_channels,
        }
    }
}

/// Adds the encoder to a graph: image `[batch, 3, height, width]` in -1..=1 to
/// latent `[batch, latent_channels, h, w]`, of an AutoencoderKL the posterior's
/// mean. The latent is not scaled.
///
/// # Errors
/// If the image does not fit the network.
pub fn encode(
    b: &mut Builder,
    prefix: &str,
    config: &VaeConfig,
    image: ValueId,
) -> Result<ValueId, ModelError> {
    check(b, prefix, "image", image, config.in_channels())?;
    let &[_, _, height, width] = &*b.shape(image) else { unreachable!("checked above") };
    check_side(prefix, height, width, config.encoder_factor())?;
    match config {
        VaeConfig::Tiny(c) => Ok(autoencoder_tiny::encode(b, prefix, c, image)?),
        VaeConfig::Kl(c) => Ok(autoencoder_kl::encode(b, prefix, c, image)?),
    }
}

/// Adds the decoder to a graph: latent `[batch, latent_channels, h, w]`, not
/// scaled, to image `[batch, 3, height, width]`, about -1..=1.
///
/// # Errors
/// If the latent does not fit the network.
pub fn decode(
    b: &mut Builder,
    prefix: &str,
    config: &VaeConfig,
    latent: ValueId,
) -> Result<ValueId, ModelError> {
    check(b, prefix, "latent", latent, config.latent_channels())?;
    match config {
        VaeConfig::Tiny(c) => Ok(autoencoder_tiny::decode(b, prefix, c, latent)?),
        VaeConfig::Kl(c) => Ok(autoencoder_kl::decode(b, prefix, c, latent)?),
    }
}

/// The encoder alone: `image` -> `latent`. Sizes are the picture's.
///
/// # Errors
/// If the network has no form for this size.
pub fn encode_graph(
    config: &VaeConfig,
    batch: usize,
    height: usize,
    width: usize,
) -> Result<Graph, ModelError> {
    check_side("vae", height, width, config.encoder_factor())?;
    let mut b = Builder::new("vae.encode");
    let ty = TensorType::f32([batch, config.in_channels(), height, width]);
    let image = b.input("image", Rate::Frame, ty);
    let latent = encode(&mut b, "vae", config, image)?;
    Ok(b.finish(&[("latent", latent)]))
}

/// The encoder of an AutoencoderKL up to its posterior: `image` -> `moments`
/// `[batch, 2 * latent_channels, h, w]`, the mean and then the log variance.
///
/// # Errors
/// If the network has no form for this size.
pub fn moments_graph(
    config: &AutoencoderKlConfig,
    batch: usize,
    height: usize,
    width: usize,
) -> Result<Graph, ModelError> {
    check_side("vae", height, width, config.factor())?;
    let mut b = Builder::new("vae.moments");
    let ty = TensorType::f32([batch, config.in_channels, height, width]);
    let image = b.input("image", Rate::Frame, ty);
    let moments = autoencoder_kl::moments(&mut b, "vae", config, image)?;
    Ok(b.finish(&[("moments", moments)]))
}

/// The decoder alone: `latent` -> `image`. Sizes are the latent's.
///
/// # Errors
/// If the network has no form for this size.
pub fn decode_graph(
    config: &VaeConfig,
    batch: usize,
    height: usize,
    width: usize,
) -> Result<Graph, ModelError> {
    check_side("vae", height, width, 1)?;
    let mut b = Builder::new("vae.decode");
    let ty = TensorType::f32([batch, config.latent_channels(), height, width]);
    let latent = b.input("latent", Rate::Frame, ty);
    let image = decode(&mut b, "vae", config, latent)?;
    Ok(b.finish(&[("image", image)]))
}

fn check(
    b: &Builder,
    prefix: &str,
    input: &'static str,
    id: ValueId,
    channels: usize,
) -> Result<(), ModelError> {
    let found = b.shape(id);
    if found.rank() == 4 && found[1] == channels {
        return Ok(());
    }
    let expected = format!("[batch, {channels}, height, width]");
    Err(ModelError::Input { network: prefix.to_owned(), input, found, expected })
}
