//! What a caller asks of a session, and what it hears while it waits.

use laterna_tensor::Tensor;

/// One picture to make.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What the picture should show.
    pub prompt: Prompt<'a>,
    /// The picture to start from, `[1, 3, height, width]` in -1..=1; none for
    /// text to image.
    pub picture: Option<&'a Tensor>,
    /// How far the result may go from the picture, 0 to 1: the part of the
    /// schedule that is run, or with a single step the noise level at which it
    /// is taken. At 0 the result is the picture itself.
    pub strength: f32,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598); 1 or
    /// less for none.
    pub guidance: f32,
    /// Guidance towards the picture, of edit models alone; 1 for none.
    pub image_guidance: f32,
    /// Decides all noise that is not given.
    pub seed: u64,
    /// A scheduler's name, if not the checkpoint's own.
    pub scheduler: Option<&'a str>,
    /// The initial noise, of the latent's shape.
    pub noise: Option<&'a Tensor>,
    /// The noise that each step of an ancestral scheduler draws,
    /// `[steps, 1, channels, h, w]`.
    pub step_noise: Option<&'a Tensor>,
    /// Noise to sample an AutoencoderKL's posterior with; its mean is taken if
    /// none is given.
    pub autoencoder_noise: Option<&'a Tensor>,
}

/// A prompt, as text or already encoded.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one exists at a time")]
pub enum Prompt<'a> {
    /// Texts for the checkpoint's own encoders.
    Text {
        /// What to show.
        positive: &'a str,
        /// What to avoid; used with guidance.
        negative: Option<&'a str>,
    },
    /// Encoded elsewhere.
    Embeddings {
        /// What to show.
        positive: PromptEmbeddings,
        /// What to avoid; used with guidance.
        negative: Option<PromptEmbeddings>,
    },
}

/// An encoded prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptEmbeddings {
    /// `[1, tokens, width]`.
    pub tokens: Tensor,
    /// SDXL's pooled text, `[1, pooled_width]`.
    pub pooled: Option<Tensor>,
}

impl PromptEmbeddings {
    /// Zeros of the same shapes.
    pub fn zeros(&self) -> Self {
        let zeros = |tensor: &Tensor| Tensor::zeros(tensor.shape());
        Self { tokens: zeros(&self.tokens), pooled: self.pooled.as_ref().map(zeros) }
    }
}

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Prompt and picture are encoded.
    Encoded,
    /// A step of the schedule is done.
    Step {
        /// Steps done.
        done: usize,
        /// Steps of this run.
        total: usize,
    },
    /// The picture is decoded.
    Decoded,
}
