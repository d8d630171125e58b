//! The packages that a model is cut into, as graphs.

use laterna_diffusion::one_step;
use laterna_diffusion::session::Size;
use laterna_graph::{Graph, PatchError, rates};
use laterna_models::frame::{self, Frame, LIVE_INPUTS, StepSource};
use laterna_models::{TextEncoder, VaeConfig};

use super::{Args, Parts};
use crate::error::{Cause, During, Failure};
use crate::model::Model;
use crate::networks::{TOKENS, text_graph, unet_graph, vae_graphs};
use crate::size;

/// A package.
pub struct Part {
    /// Its file's name, without the ending.
    pub name: &'static str,
    /// What it computes, for people.
    pub what: &'static str,
    /// The weights that it reads.
    pub components: &'static [&'static str],
    /// Inputs and outputs that are pictures.
    pub images: &'static [&'static str],
    /// One graph, or one for each size.
    pub functions: Vec<(String, Graph)>,
}

/// The components that some parts read, each once.
pub fn components(parts: &[Part]) -> Vec<&'static str> {
    let mut all: Vec<_> = parts.iter().flat_map(|part| part.components).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The parts that are asked for.
///
/// # Errors
/// If the model lacks a component, or a size does not fit it.
pub fn of(model: &Model, args: &Args) -> Result<Vec<Part>, Failure> {
    let mut sizes = args.size.clone();
    if sizes.is_empty() {
        sizes.push(model.default_size()?);
    }
    let vae = model.vae()?;
    sizes.iter().try_for_each(|&size| size::check(size, vae.encoder_factor()))?;
    let mut parts = match args.parts {
        Parts::Separate => networks(model, &vae, &sizes)?,
        Parts::Frame => frames(model, &vae, &sizes, args.strength)?,
    };
    for (encoder, name) in model.text_encoders()?.iter().zip(["text_encoder", "text_encoder_2"]) {
        parts.push(text(name, encoder)?);
    }
    Ok(parts)
}

const BUILD: &str = "cannot build the networks";

fn networks(model: &Model, vae: &VaeConfig, sizes: &[Size]) -> Result<Vec<Part>, Failure> {
    let config = model.unet()?;
    let factor = vae.encoder_factor();
    let (mut encoders, mut unets, mut decoders) = (Vec::new(), Vec::new(), Vec::new());
    for size in sizes {
        let [encoder, decoder] = vae_graphs(vae, *size).during(BUILD)?;
        let latent = [size.height / factor, size.width / factor];
        encoders.push((function(size), encoder));
        unets.push((function(size), unet_graph(&config, latent).during(BUILD)?));
        decoders.push((function(size), decoder));
    }
    let part = |name, what, components, images, functions| Part {
        name,
        what,
        components,
        images,
        functions,
    };
    Ok(vec![
        part("vae_encoder", "the encoder", &["vae"], &["image"], encoders),
        part("unet", "the UNet", &["unet"], &[], unets),
        part("vae_decoder", "the decoder", &["vae"], &["image"], decoders),
    ])
}

fn text(name: &'static str, encoder: &TextEncoder) -> Result<Part, Failure> {
    let components: &[&str] = match name {
        "text_encoder" => &["text_encoder"],
        _ => &["text_encoder_2"],
    };
    let graph = text_graph(name, encoder).during(BUILD)?;
    let functions = vec![("main".to_owned(), graph)];
    Ok(Part { name, what: "a text encoder", components, images: &[], functions })
}

/// Whole frames, and what they are given of a prompt, which is the same for all
/// sizes.
fn frames(
    model: &Model,
    vae: &VaeConfig,
    sizes: &[Size],
    strength: f32,
) -> Result<Vec<Part>, Failure> {
    let unet = model.unet()?;
    let texts = model.text_encoders()?;
    let tokens = texts.first().map_or(TOKENS, |text| text.config.max_tokens.min(TOKENS));
    let step = one_step(&model.scheduler()?, None, strength).during("cannot use --strength")?;
    let (mut frames, mut prompt) = (Vec::new(), None);
    for size in sizes {
        let Size { width, height } = *size;
        let step = StepSource::Recurrent(step);
        let frame = Frame { unet: &unet, vae, height, width, tokens, step };
        let graph = frame::graph(&frame).during(BUILD)?;
        let halves = rates::split(&graph).during(BUILD)?;
        frames.push((function(size), halves.frame));
        prompt.get_or_insert(halves.prompt);
    }
    let prompt = prompt.map(|graph| ("main".to_owned(), graph)).into_iter().collect();
    Ok(vec![
        Part {
            name: "frame",
            what: "a frame",
            components: &["unet", "vae"],
            images: &["image"],
            functions: frames,
        },
        Part {
            name: "prompt",
            what: "the keys and values of a prompt",
            components: &["unet"],
            images: &[],
            functions: prompt,
        },
    ])
}

/// The name of a size's function.
fn function(size: &Size) -> String {
    format!("size_{}", size::shown(size))
}

/// Whether the frame alone has an input of this name, which the split leaves with
/// the prompt too.
pub fn is_frames_alone(input: &str) -> bool {
    LIVE_INPUTS.contains(&input)
}

impl Cause for PatchError {}
