//! Checkpoints by short name: where they are, how they are meant to be run, and
//! their configurations, so that sizes and costs can be told without
//! downloading anything.
//!
//! A checkpoint's own files always have precedence over what stands here.

mod instruct_pix2pix;
mod lcm_dreamshaper;
mod parts;
mod sd15;
mod sd21;
mod sd_turbo;
mod sdxl_base;
mod sdxl_turbo;
mod sdxs_512;
mod sdxs_512_dreamshaper;
mod small_sd;
mod starter;
mod tiny_sd;

use crate::clip::ClipTextConfig;
use crate::config::ConfigError;
use crate::folder::TextEncoder;
use crate::vae::VaeConfig;
use crate::{AutoencoderKlConfig, AutoencoderTinyConfig, UnetConfig};

/// A published checkpoint, or the built-in one.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Short name.
    pub name: &'static str,
    /// Name on the Hugging Face hub; none for the built-in model.
    pub hub: Option<&'static str>,
    /// Sides of the picture that it was trained for, in pixels.
    pub size: usize,
    /// Steps that it is usually run with.
    pub steps: usize,
    /// Guidance that it is usually run with; 1 means none.
    pub guidance: f32,
    /// Strength that it is usually run with, if not what its class is.
    pub strength: Option<f32>,
    /// Scheduler to prefer over the checkpoint's own.
    pub scheduler: Option<&'static str>,
    /// config.json of `unet`, without fields at diffusers' defaults.
    unet: &'static str,
    /// Class and config.json of `vae`.
    vae: Vae,
    /// Classes and config.json of `text_encoder`, `text_encoder_2`.
    texts: &'static [Text],
}

/// An autoencoder that may replace a checkpoint's own.
#[derive(Clone, Copy, Debug)]
pub struct VaePreset {
    /// Short name.
    pub name: &'static str,
    /// Name on the Hugging Face hub.
    pub hub: &'static str,
    vae: Vae,
}

/// config.json of an autoencoder, by class.
#[derive(Clone, Copy, Debug)]
enum Vae {
    Tiny(&'static str),
    Kl(&'static str),
}

/// config.json of a text encoder, by class.
#[derive(Clone, Copy, Debug)]
enum Text {
    Plain(&'static str),
    Projected(&'static str),
}

/// Every checkpoint.
pub const PRESETS: &[Preset] = &[
    starter::PRESET,
    sdxs_512::PRESET,
    sdxs_512_dreamshaper::PRESET,
    sd_turbo::PRESET,
    tiny_sd::PRESET,
    small_sd::PRESET,
    sd15::PRESET,
    sd21::PRESET,
    lcm_dreamshaper::PRESET,
    instruct_pix2pix::PRESET,
    sdxl_turbo::PRESET,
    sdxl_base::PRESET,
];

/// Every autoencoder that may replace a checkpoint's own.
pub const VAE_PRESETS: &[VaePreset] = &[
    VaePreset { name: "taesd", hub: "madebyollin/taesd", vae: parts::TAESD },
    VaePreset { name: "taesdxl", hub: "madebyollin/taesdxl", vae: parts::TAESD },
];

/// The checkpoint of a short name or of a name on the hub.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name || preset.hub == Some(name))
}

/// The autoencoder of a short name or of a name on the hub.
pub fn find_vae(name: &str) -> Option<&'static VaePreset> {
    VAE_PRESETS.iter().find(|preset| preset.name == name || preset.hub == name)
}

impl Preset {
    /// The UNet's configuration.
    ///
    /// # Errors
    /// Never, for a preset of [`PRESETS`]: a test reads them all.
    pub fn unet(&self) -> Result<UnetConfig, ConfigError> {
        UnetConfig::parse(self.name, self.unet)
    }

    /// The autoencoder's configuration.
    ///
    /// # Errors
    /// As [`Preset::unet`].
    pub fn vae(&self) -> Result<VaeConfig, ConfigError> {
        self.vae.parse(self.name)
    }

    /// The text encoders, in the order in which their tokens are joined.
    ///
    /// # Errors
    /// As [`Preset::unet`].
    pub fn text_encoders(&self) -> Result<Vec<TextEncoder>, ConfigError> {
        self.texts.iter().map(|text| text.parse(self.name)).collect()
    }
}

impl VaePreset {
    /// The autoencoder's configuration.
    ///
    /// # Errors
    /// As [`Preset::unet`].
    pub fn vae(&self) -> Result<VaeConfig, ConfigError> {
        self.vae.parse(self.name)
    }
}

impl Vae {
    fn parse(self, name: &str) -> Result<VaeConfig, ConfigError> {
        match self {
            Self::Tiny(json) => Ok(VaeConfig::Tiny(AutoencoderTinyConfig::parse(name, json)?)),
            Self::Kl(json) => Ok(VaeConfig::Kl(AutoencoderKlConfig::parse(name, json)?)),
        }
    }
}

impl Text {
    fn parse(self, name: &str) -> Result<TextEncoder, ConfigError> {
        let (json, projection) = match self {
            Self::Plain(json) => (json, false),
            Self::Projected(json) => (json, true),
        };
        Ok(TextEncoder { config: ClipTextConfig::parse(name, json)?, projection })
    }
}
