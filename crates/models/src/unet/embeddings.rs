//! What conditions every residual block: the timestep, and for SDXL the sizes
//! and the pooled text.

use laterna_graph::op::{Activation, TimestepEmbedding};
use laterna_graph::{Builder, ValueId};

use super::{Added, Inputs, UnetConfig};
use crate::error::ModelError;

/// Longest period of the sinusoids, as in diffusers' `Timesteps`.
const MAX_PERIOD: f32 = 10_000.0;

/// The embedding that residual blocks project, `[batch, dim]`, already
/// activated: every block applies the same function to it first.
pub(super) fn build(
    b: &mut Builder,
    prefix: &str,
    config: &UnetConfig,
    inputs: &Inputs,
) -> Result<ValueId, ModelError> {
    let mut embedding = timestep(b, prefix, config, inputs)?;
    if let Some(added) = inputs.added {
        let sizes = text_time(b, prefix, config, added)?;
        embedding = b.add(&format!("{prefix}.emb"), embedding, sizes)?;
    }
    if let Some(activation) = config.time.activation {
        embedding = b.activation(&format!("{prefix}.time_embed_act"), embedding, activation)?;
    }
    Ok(b.activation(&format!("{prefix}.emb_act"), embedding, config.activation)?)
}

fn timestep(
    b: &mut Builder,
    prefix: &str,
    config: &UnetConfig,
    inputs: &Inputs,
) -> Result<ValueId, ModelError> {
    let channels = config.levels[0].channels;
    let sinusoids = sinusoids(config, channels);
    let mut t = b.timestep_embedding(&format!("{prefix}.time_proj"), inputs.timestep, sinusoids)?;
    let path = format!("{prefix}.time_embedding");
    if let Some(condition) = inputs.timestep_cond {
        let shift = b.linear(&format!("{path}.cond_proj"), condition, channels, false)?;
        t = b.add(&format!("{path}.cond"), t, shift)?;
    }
    let time = &config.time;
    let y = mlp(b, &path, t, time.dim, config.activation)?;
    match time.post_activation {
        Some(activation) => Ok(b.activation(&format!("{path}.post_act"), y, activation)?),
        None => Ok(y),
    }
}

/// SDXL (Podell et al. 2023, arXiv 2307.01952, section 2.2): the sinusoids of
/// every size behind the pooled text.
fn text_time(
    b: &mut Builder,
    prefix: &str,
    config: &UnetConfig,
    added: Added,
) -> Result<ValueId, ModelError> {
    let time_dim = config.text_time.map_or(0, |text_time| text_time.time_dim);
    let &[batch, ids] = &*b.shape(added.time_ids) else {
        return Err(ModelError::MissingInput { network: prefix.into(), input: "time_ids" });
    };
    let flat = b.reshape(&format!("{prefix}.time_ids"), added.time_ids, [batch * ids])?;
    let path = format!("{prefix}.add_time_proj");
    let sizes = b.timestep_embedding(&path, flat, sinusoids(config, time_dim))?;
    let sizes = b.reshape(&path, sizes, [batch, ids * time_dim])?;
    let path = format!("{prefix}.add_embedding");
    let joined = b.concat(&path, &[added.text_embeds, sizes], 1)?;
    mlp(b, &path, joined, config.time.dim, Activation::Silu)
}

fn mlp(
    b: &mut Builder,
    path: &str,
    x: ValueId,
    dim: usize,
    activation: Activation,
) -> Result<ValueId, ModelError> {
    let y = b.linear(&format!("{path}.linear_1"), x, dim, true)?;
    let y = b.activation(&format!("{path}.act"), y, activation)?;
    Ok(b.linear(&format!("{path}.linear_2"), y, dim, true)?)
}

fn sinusoids(config: &UnetConfig, dim: usize) -> TimestepEmbedding {
    TimestepEmbedding {
        dim,
        flip_sin_to_cos: config.time.flip_sin_to_cos,
        freq_shift: config.time.freq_shift,
        max_period: MAX_PERIOD,
    }
}
