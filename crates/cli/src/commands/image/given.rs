//! Encoded prompts and noise from files, under the names that diffusers'
//! pipelines give them.

use std::path::Path;

use laterna_diffusion::session::{Prompt, PromptEmbeddings};
use laterna_tensor::Tensor;

use crate::error::Failure;
use crate::tensors::Tensors;

/// Encoded prompts.
pub struct Embeddings {
    positive: PromptEmbeddings,
    negative: Option<PromptEmbeddings>,
}

impl Embeddings {
    /// Reads `prompt_embeds` and what else the file has.
    ///
    /// # Errors
    /// If the file cannot be read or lacks `prompt_embeds`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = Tensors::read(path)?;
        let positive = PromptEmbeddings {
            tokens: of_rank(&file, "prompt_embeds", 3)?
                .ok_or_else(|| file.missing("prompt_embeds"))?,
            pooled: of_rank(&file, "pooled_prompt_embeds", 2)?,
        };
        let pooled = of_rank(&file, "negative_pooled_prompt_embeds", 2)?;
        let negative = of_rank(&file, "negative_prompt_embeds", 3)?;
        let negative = negative.map(|tokens| PromptEmbeddings { tokens, pooled });
        Ok(Self { positive, negative })
    }

    /// The prompt of a request.
    pub fn prompt(&self) -> Prompt<'_> {
        let (positive, negative) = (self.positive.clone(), self.negative.clone());
        Prompt::Embeddings { positive, negative }
    }
}

/// The tensor, if there is one of that name, checked to be one prompt's:
/// `[1, tokens, width]` or `[1, width]`.
fn of_rank(file: &Tensors, name: &str, rank: usize) -> Result<Option<Tensor>, Failure> {
    let Some(tensor) = file.find_f32(name)? else { return Ok(None) };
    let shape = tensor.shape();
    if shape.rank() == rank && shape[0] == 1 {
        return Ok(Some(tensor.clone()));
    }
    let expected = if rank == 3 { "[1, tokens, width]" } else { "[1, width]" };
    Err(file.wrong(name, format_args!("shape {shape} is not {expected}")))
}

/// Noise given instead of the seed's.
#[derive(Default)]
pub struct Noises {
    /// What the latent starts from, or is noised with.
    pub initial: Option<Tensor>,
    /// What each step draws.
    pub steps: Option<Tensor>,
    /// What the autoencoder's posterior is sampled with.
    pub autoencoder: Option<Tensor>,
}

impl Noises {
    /// Reads `noise` and what else the file has.
    ///
    /// # Errors
    /// If the file cannot be read or lacks `noise`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = Tensors::read(path)?;
        Ok(Self {
            initial: Some(file.f32("noise")?.clone()),
            steps: file.find_f32("step_noise")?.cloned(),
            autoencoder: file.find_f32("vae_noise")?.cloned(),
        })
    }
}
