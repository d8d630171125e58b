//! The graphs of a model's components at any size: to check weights, to count
//! parameters and operations, and to show.

use laterna_diffusion::session::Size;
use laterna_graph::Graph;
use laterna_models::clip::text::{self, Output};
use laterna_models::presets::Preset;
use laterna_models::{ModelError, TextEncoder, UnetConfig, VaeConfig, unet, vae};

use crate::error::{During, Failure};
use crate::model::Model;

/// Text tokens of every published model.
pub const TOKENS: usize = 77;

/// All that a component computes, at the smallest size: the graphs that read
/// every weight it has.
///
/// # Errors
/// If the configuration is missing or not supported.
pub fn whole(model: &Model, component: &str) -> Result<Vec<Graph>, Failure> {
    let graphs = match component {
        "unet" => unet_graph(&model.unet()?, [8, 8]).map(|graph| vec![graph]),
        "vae" => {
            let config = model.vae()?;
            let side = config.encoder_factor();
            vae_graphs(&config, Size { width: side, height: side }).map(Vec::from)
        }
        text => text_graph(text, &model.text_encoder(text)?).map(|graph| vec![graph]),
    };
    graphs.during(format_args!("cannot build {component}"))
}

/// One call of the UNet for a latent of `[height, width]`.
///
/// # Errors
/// If the network has no form for this size.
pub fn unet_graph(config: &UnetConfig, [height, width]: [usize; 2]) -> Result<Graph, ModelError> {
    unet::graph(config, unet::Extents { batch: 1, height, width, tokens: TOKENS })
}

/// Encoder and decoder for pictures of `size`.
///
/// # Errors
/// If the network has no form for this size.
pub fn vae_graphs(config: &VaeConfig, size: Size) -> Result<[Graph; 2], ModelError> {
    let factor = config.encoder_factor();
    let encoder = vae::encode_graph(config, 1, size.height, size.width)?;
    let decoder = vae::decode_graph(config, 1, size.height / factor, size.width / factor)?;
    Ok([encoder, decoder])
}

/// A text encoder for a full prompt, with all its outputs.
///
/// # Errors
/// If the configuration does not fit.
pub fn text_graph(component: &str, encoder: &TextEncoder) -> Result<Graph, ModelError> {
    let tokens = encoder.config.max_tokens.min(TOKENS);
    let pooled = if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
    let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
    text::graph(component, &encoder.config, 1, tokens, &outputs)
}

/// The configurations of a model's networks.
pub struct Networks {
    /// The UNet, if the model has one.
    pub unet: Option<UnetConfig>,
    /// The autoencoder, if the model has one.
    pub vae: Option<VaeConfig>,
    /// The text encoders, in the order in which they are read.
    pub texts: Vec<TextEncoder>,
}

/// One network at one size.
pub struct Network {
    /// Its name, as `laterna eval` has it.
    pub name: &'static str,
    /// Its class in diffusers or transformers.
    pub class: &'static str,
    /// Its weights' component.
    pub component: &'static str,
    /// What it computes.
    pub graph: Graph,
}

/// Pixels of a picture along one of a latent, where no autoencoder says it.
const USUAL_FACTOR: usize = 8;

const TEXTS: [&str; 2] = ["text_encoder", "text_encoder_2"];

impl Networks {
    /// The networks of a model on disk.
    ///
    /// # Errors
    /// If one is not supported.
    pub fn of_model(model: &Model) -> Result<Self, Failure> {
        Ok(Self {
            unet: model.has("unet").then(|| model.unet()).transpose()?,
            vae: model.has("vae").then(|| model.vae()).transpose()?,
            texts: model.text_encoders()?,
        })
    }

    /// The networks of a preset, as published.
    ///
    /// # Errors
    /// Never: presets are tested.
    pub fn of_preset(preset: &Preset) -> Result<Self, Failure> {
        let what = format_args!("cannot read the preset {}", preset.name).to_string();
        Ok(Self {
            unet: Some(preset.unet().during(&what)?),
            vae: Some(preset.vae().during(&what)?),
            texts: preset.text_encoders().during(&what)?,
        })
    }

    /// Every network for pictures of `size`.
    ///
    /// # Errors
    /// If one has no form for this size.
    pub fn at(&self, size: Size) -> Result<Vec<Network>, Failure> {
        let factor = self.vae.as_ref().map_or(USUAL_FACTOR, VaeConfig::encoder_factor);
        crate::size::check(size, factor)?;
        self.build(size, factor).during("cannot build the networks")
    }

    fn build(&self, size: Size, factor: usize) -> Result<Vec<Network>, ModelError> {
        let mut all = Vec::new();
        let mut add = |name, class, component, graph| {
            all.push(Network { name, class, component, graph });
        };
        if let Some(config) = &self.vae {
            let class = match config {
                VaeConfig::Tiny(_) => "AutoencoderTiny",
                VaeConfig::Kl(_) => "AutoencoderKL",
            };
            let [encoder, decoder] = vae_graphs(config, size)?;
            add("vae.encode", class, "vae", encoder);
            add("vae.decode", class, "vae", decoder);
        }
        if let Some(config) = &self.unet {
            let graph = unet_graph(config, [size.height / factor, size.width / factor])?;
            add("unet", "UNet2DConditionModel", "unet", graph);
        }
        for (name, encoder) in TEXTS.into_iter().zip(&self.texts) {
            let projected = encoder.projection;
            let class = if projected { "CLIPTextModelWithProjection" } else { "CLIPTextModel" };
            add(name, class, name, text_graph(name, encoder)?);
        }
        Ok(all)
    }
}
