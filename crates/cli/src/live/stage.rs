//! From a model's name to a stage that paints with it.

use laterna_control::{ModelChoice, Size};
use laterna_diffusion::live::Live;
use laterna_diffusion::session;
use laterna_live::{Painter, Tell};

use super::loading::{Downloading, Reading};
use crate::backends::BackendArgs;
use crate::console::Console;
use crate::error::{During, Failure};
use crate::model::{LoraArg, Model, ModelArgs};
use crate::size;

/// Loads a model for pictures of one size; `tell` hears how far that is.
///
/// # Errors
/// If there is no such model, or it cannot paint pictures of this size.
pub fn painter(
    choice: &ModelChoice,
    size: Size,
    backend: &BackendArgs,
    console: &Console,
    tell: &Tell<'_>,
) -> Result<Painter, Failure> {
    let mut download = Downloading::new(&choice.name, console.download(), tell);
    let model = ModelArgs { model: choice.name.clone() }.open_telling(&mut download)?;
    let size = session::Size { width: size.width, height: size.height };
    size::check(size, model.vae()?.encoder_factor())?;
    let texts = model.texts(&[], console)?;
    let mut components = vec!["vae", "unet"];
    components.extend(texts.iter().map(|text| text.prefix.as_str()));
    let mut weights = model.weights(&components, console)?;
    merge(&model, &mut weights, choice, console)?;
    let weights = Reading::new(&choice.name, &weights, tell);
    let parts = model.parts(texts, &weights)?;
    let backend = backend.settled(&model, console)?.open(console)?;
    let live = Live::new(parts, &*backend, size).during("cannot load the model")?;
    Ok(Painter::new(live))
}

fn merge(
    model: &Model,
    weights: &mut laterna_models::Weights,
    choice: &ModelChoice,
    console: &Console,
) -> Result<(), Failure> {
    let loras = choice.loras.iter();
    let loras: Vec<_> =
        loras.map(|lora| LoraArg { path: lora.path.clone().into(), scale: lora.scale }).collect();
    model.merge(weights, &loras, console)
}
