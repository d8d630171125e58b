//! The components that can be run alone: their tensors' names, and the graph
//! for the sizes that the inputs have.

use laterna_graph::Graph;
use laterna_models::clip::text::{self, Output};
use laterna_models::{TextEncoder, unet, vae};
use laterna_tensor::{Shape, Tensor};

use crate::error::{During, Failure};
use crate::model::Model;
use crate::tensors::Tensors;

/// A component that can be run alone.
pub struct Component {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its folder in the model.
    pub folder: &'static str,
    /// The tensors that it reads.
    pub inputs: &'static [&'static str],
    /// The graph and its inputs for the tensors given.
    pub call: fn(&Model, &Tensors) -> Result<Call, Failure>,
}

/// What to run.
pub struct Call {
    /// The graph.
    pub graph: Graph,
    /// Its inputs, in order.
    pub inputs: Vec<Tensor>,
}

const UNET_INPUTS: &[&str] =
    &["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids", "timestep_cond"];

/// Every component.
const COMPONENTS: &[Component] = &[
    Component { name: "unet", folder: "unet", inputs: UNET_INPUTS, call: call_unet },
    Component { name: "vae.encode", folder: "vae", inputs: &["image"], call: call_encoder },
    Component { name: "vae.decode", folder: "vae", inputs: &["latent"], call: call_decoder },
    Component {
        name: "text_encoder",
        folder: "text_encoder",
        inputs: &["input_ids"],
        call: |model, inputs| call_text("text_encoder", model, inputs),
    },
    Component {
        name: "text_encoder_2",
        folder: "text_encoder_2",
        inputs: &["input_ids"],
        call: |model, inputs| call_text("text_encoder_2", model, inputs),
    },
];

/// The components' names.
pub fn names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|component| component.name).collect()
}

/// The component of this name.
///
/// # Panics
/// If there is none: arguments are checked against [`names`].
pub fn find(name: &str) -> &'static Component {
    let found = COMPONENTS.iter().find(|component| component.name == name);
    found.expect("arguments are checked against the names")
}

fn call_unet(model: &Model, tensors: &Tensors) -> Result<Call, Failure> {
    let config = model.unet()?;
    let sample = tensors.f32("sample")?;
    let &[batch, _, height, width] = &*sample.shape() else {
        return Err(rank(tensors, "sample", "[batch, channels, height, width]", sample.shape()));
    };
    let text = tensors.f32("encoder_hidden_states")?;
    let &[_, tokens, _] = &*text.shape() else {
        return Err(rank(tensors, "encoder_hidden_states", "[batch, tokens, width]", text.shape()));
    };
    let extents = unet::Extents { batch, height, width, tokens };
    let graph = unet::graph(&config, extents).during("cannot build unet")?;
    let inputs = in_order(&graph, tensors, |name| match name {
        "timestep" => timestep(tensors, batch),
        name => tensors.f32(name).cloned(),
    })?;
    Ok(Call { graph, inputs })
}

/// One timestep for all, or one each, as diffusers takes it.
fn timestep(tensors: &Tensors, batch: usize) -> Result<Tensor, Failure> {
    let values = tensors.numbers("timestep")?;
    let values = match *values {
        [value] => vec![value; batch],
        _ => values,
    };
    Tensor::from_f32([batch], values).map_err(|error| tensors.wrong("timestep", error))
}

fn call_encoder(model: &Model, tensors: &Tensors) -> Result<Call, Failure> {
    let config = model.vae()?;
    let image = tensors.f32("image")?;
    let &[batch, _, height, width] = &*image.shape() else {
        return Err(rank(tensors, "image", "[batch, 3, height, width]", image.shape()));
    };
    let graph =
        vae::encode_graph(&config, batch, height, width).during("cannot build vae.encode")?;
    let inputs = in_order(&graph, tensors, |name| tensors.f32(name).cloned())?;
    Ok(Call { graph, inputs })
}

fn call_decoder(model: &Model, tensors: &Tensors) -> Result<Call, Failure> {
    let config = model.vae()?;
    let latent = tensors.f32("latent")?;
    let &[batch, _, height, width] = &*latent.shape() else {
        return Err(rank(tensors, "latent", "[batch, channels, height, width]", latent.shape()));
    };
    let graph =
        vae::decode_graph(&config, batch, height, width).during("cannot build vae.decode")?;
    let inputs = in_order(&graph, tensors, |name| tensors.f32(name).cloned())?;
    Ok(Call { graph, inputs })
}

fn call_text(folder: &'static str, model: &Model, tensors: &Tensors) -> Result<Call, Failure> {
    let TextEncoder { config, projection } = model.text_encoder(folder)?;
    let ids = tensors.i64("input_ids")?;
    let &[batch, tokens] = &*ids.shape() else {
        return Err(rank(tensors, "input_ids", "[batch, tokens]", ids.shape()));
    };
    let pooled = if projection { Output::TextEmbeds } else { Output::PoolerOutput };
    let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
    let graph = text::graph(folder, &config, batch, tokens, &outputs)
        .during(format_args!("cannot build {folder}"))?;
    let numbers = ids.as_i64().during("cannot read input_ids")?;
    let positions = Tensor::from_i64([batch], config.eos_positions(numbers, tokens));
    let positions = positions.during("cannot find the end tokens")?;
    let inputs = in_order(&graph, tensors, |name| match name {
        "eos_index" => Ok(positions.clone()),
        name => tensors.i64(name).cloned(),
    })?;
    Ok(Call { graph, inputs })
}

/// A tensor for each of the graph's inputs, checked against its type.
fn in_order(
    graph: &Graph,
    tensors: &Tensors,
    find: impl Fn(&str) -> Result<Tensor, Failure>,
) -> Result<Vec<Tensor>, Failure> {
    let one = |value: &laterna_graph::Value| {
        let tensor = find(&value.name)?;
        if tensor.shape() == value.ty.shape {
            return Ok(tensor);
        }
        let why =
            format!("shape {} where {} needs {}", tensor.shape(), graph.name(), value.ty.shape);
        Err(tensors.wrong(&value.name, why))
    };
    graph.inputs().iter().map(|&id| one(graph.value(id))).collect()
}

fn rank(tensors: &Tensors, name: &str, expected: &str, found: Shape) -> Failure {
    tensors.wrong(name, format_args!("shape {found} is not {expected}"))
}
