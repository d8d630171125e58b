//! CLIPTextModel: a causal transformer over the tokens of a text.

use laterna_graph::op::Activation;
use laterna_graph::{BuildError, Builder, Graph, Rate, TensorType, ValueId};

use super::ClipTextConfig;
use crate::error::ModelError;

/// What the network can give, under transformers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `last_hidden_state`: every token behind the last normalisation,
    /// `[batch, tokens, hidden_size]`. SD 1 and 2 read this.
    LastHiddenState,
    /// `penultimate_hidden_state`: every token in front of the last layer, not
    /// normalised. SDXL reads this.
    PenultimateHiddenState,
    /// `pooler_output`: the end token of `last_hidden_state`,
    /// `[batch, hidden_size]`.
    PoolerOutput,
    /// `text_embeds`: the projected `pooler_output`, `[batch, projection_dim]`.
    /// CLIPTextModelWithProjection alone has it.
    TextEmbeds,
}

impl Output {
    /// transformers' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastHiddenState => "last_hidden_state",
            Self::PenultimateHiddenState => "penultimate_hidden_state",
            Self::PoolerOutput => "pooler_output",
            Self::TextEmbeds => "text_embeds",
        }
    }

    fn is_pooled(self) -> bool {
        matches!(self, Self::PoolerOutput | Self::TextEmbeds)
    }
}

/// Adds the network to a graph; gives the outputs asked for, in that order.
/// `input_ids` is i64 `[batch, tokens]`; `eos_index`, i64 `[batch]`, is read
/// by pooled outputs ([`ClipTextConfig::eos_positions`] computes it).
///
/// # Errors
/// If there are more tokens than the network has positions for, or a pooled
/// output is asked for without `eos_index`.
pub fn build(
    b: &mut Builder,
    prefix: &str,
    config: &ClipTextConfig,
    input_ids: ValueId,
    eos_index: Option<ValueId>,
    outputs: &[Output],
) -> Result<Vec<ValueId>, ModelError> {
    let path = format!("{prefix}.text_model");
    let mut x = embed(b, &path, config, input_ids)?;
    let mut penultimate = x;
    for layer in 0..config.layers {
        penultimate = x;
        x = self::layer(b, &format!("{path}.encoder.layers.{layer}"), config, x)?;
    }
    let last = b.layer_norm(&format!("{path}.final_layer_norm"), x, config.norm_eps)?;
    let mut pooled = None;
    let mut results = Vec::with_capacity(outputs.len());
    for output in outputs {
        if output.is_pooled() && pooled.is_none() {
            pooled = Some(pool(b, prefix, last, eos_index)?);
        }
        results.push(match (output, pooled) {
            (Output::LastHiddenState, _) => last,
            (Output::PenultimateHiddenState, _) => penultimate,
            (Output::PoolerOutput, Some(pooled)) => pooled,
            (Output::TextEmbeds, Some(pooled)) => {
                let path = format!("{prefix}.text_projection");
                b.linear(&path, pooled, config.projection_dim, false)?
            }
            (Output::PoolerOutput | Output::TextEmbeds, None) => unreachable!("pooled above"),
        });
    }
    Ok(results)
}

/// The network alone: `input_ids`, and `eos_index` if an output is pooled.
///
/// # Errors
/// As [`build`].
pub fn graph(
    prefix: &str,
    config: &ClipTextConfig,
    batch: usize,
    tokens: usize,
    outputs: &[Output],
) -> Result<Graph, ModelError> {
    let mut b = Builder::new(prefix);
    let ids = b.input("input_ids", Rate::Prompt, TensorType::i64([batch, tokens]));
    let pooled = outputs.iter().any(|output| output.is_pooled());
    let eos = pooled.then(|| b.input("eos_index", Rate::Prompt, TensorType::i64([batch])));
    let values = build(&mut b, prefix, config, ids, eos, outputs)?;
    let named: Vec<_> = outputs.iter().map(|output| output.name()).zip(values).collect();
    Ok(b.finish(&named))
}

fn embed(
    b: &mut Builder,
    path: &str,
    config: &ClipTextConfig,
    ids: ValueId,
) -> Result<ValueId, ModelError> {
    let path = format!("{path}.embeddings");
    let shape = b.shape(ids);
    let tokens = match *shape {
        [_, tokens] if (1..=config.max_tokens).contains(&tokens) => tokens,
        _ => {
            return Err(ModelError::Input {
                network: path,
                input: "input_ids",
                found: shape,
                expected: format!("[batch, up to {} tokens]", config.max_tokens),
            });
        }
    };
    let table = [config.vocab_size, config.hidden_size];
    let table = b.weight(&format!("{path}.token_embedding.weight"), table)?;
    let x = b.node(&path, laterna_graph::Op::Embedding, &[ids, table])?;
    let positions = [config.max_tokens, config.hidden_size];
    let mut positions = b.weight(&format!("{path}.position_embedding.weight"), positions)?;
    if tokens < config.max_tokens {
        positions = b.slice(&format!("{path}.position_embedding"), positions, 0, 0, tokens)?;
    }
    Ok(b.add(&path, x, positions)?)
}

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.
fn layer(
    b: &mut Builder,
    path: &str,
    config: &ClipTextConfig,
    x: ValueId,
) -> Result<ValueId, BuildError> {
    let y = b.layer_norm(&format!("{path}.layer_norm1"), x, config.norm_eps)?;
    let y = attend(b, &format!("{path}.self_attn"), config.heads, y)?;
    let x = b.add(&format!("{path}.self_attn.residual"), y, x)?;
    let y = b.layer_norm(&format!("{path}.layer_norm2"), x, config.norm_eps)?;
    let width = config.intermediate_size;
    let y = feed_forward(b, &format!("{path}.mlp"), width, config.activation, y)?;
    b.add(&format!("{path}.mlp.residual"), y, x)
}

fn attend(b: &mut Builder, path: &str, heads: usize, x: ValueId) -> Result<ValueId, BuildError> {
    let channels = b.shape(x)[2];
    let q = b.linear(&format!("{path}.q_proj"), x, channels, true)?;
    let k = b.linear(&format!("{path}.k_proj"), x, channels, true)?;
    let v = b.linear(&format!("{path}.v_proj"), x, channels, true)?;
    let y = b.attention(path, [q, k, v], heads, true)?;
    b.linear(&format!("{path}.out_proj"), y, channels, true)
}

fn feed_forward(
    b: &mut Builder,
    path: &str,
    width: usize,
    activation: Activation,
    x: ValueId,
) -> Result<ValueId, BuildError> {
    let channels = b.shape(x)[2];
    let y = b.linear(&format!("{path}.fc1"), x, width, true)?;
    let y = b.activation(&format!("{path}.act"), y, activation)?;
    b.linear(&format!("{path}.fc2"), y, channels, true)
}

fn pool(
    b: &mut Builder,
    prefix: &str,
    last: ValueId,
    eos_index: Option<ValueId>,
) -> Result<ValueId, ModelError> {
    let missing = ModelError::MissingInput { network: prefix.to_owned(), input: "eos_index" };
    let index = eos_index.ok_or(missing)?;
    Ok(b.node(&format!("{prefix}.pooler"), laterna_graph::Op::SelectToken, &[last, index])?)
}
