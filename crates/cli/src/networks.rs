//! The graphs of a model's components at any size: to check weights, to count
//! parameters and operations, and to show.

use laterna_diffusion::session::Size;
use laterna_graph::Graph;
use laterna_models::clip::text::{self, Output};
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
