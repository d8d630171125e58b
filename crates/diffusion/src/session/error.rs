//! Why a session could not be made or a picture not be generated.

use laterna_graph::{CompileError, RunError};
use laterna_models::ModelError;
use laterna_models::clip::TokenizerError;
use laterna_tensor::{Shape, TensorError};
use thiserror::Error;

use crate::RatedError;
use crate::scheduler::SchedulerError;

/// Why a session could not be made or a picture not be generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A network cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A network cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A network cannot be compiled.
    #[error(transparent)]
    Rated(#[from] RatedError),
    /// A network cannot run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The schedule is refused.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The prompt cannot be read.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A tensor is not what it should be.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The picture has another size.
    #[error("the picture is {found}, the session needs {expected:?}")]
    Picture {
        /// Its shape.
        found: Shape,
        /// The shape needed.
        expected: [usize; 4],
    },
    /// An edit model without a picture.
    #[error("this model edits pictures and was given none")]
    PictureNeeded,
    /// The UNet reads something this session does not make.
    #[error(
        "the UNet reads {channels} channels and the latent has {latent}: only networks that read \
         the latent, or the latent and the clean picture's, are supported"
    )]
    Channels {
        /// The UNet's input channels.
        channels: usize,
        /// The latent's channels.
        latent: usize,
    },
    /// The noise has another shape.
    #[error("the noise is {found}, the latent is {expected:?}")]
    Noise {
        /// Its shape.
        found: Shape,
        /// The latent's shape.
        expected: [usize; 4],
    },
    /// The feedback is not between 0 and 1.
    #[error("feedback {0} is not between 0 and 1")]
    Feedback(f32),
    /// What is to be remembered is of a latent of another shape.
    #[error("the remembered latent is {found}, the session's {expected}")]
    Memory {
        /// Its shape.
        found: Shape,
        /// The latent's shape.
        expected: Shape,
    },
    /// The step noise does not fit.
    #[error("the step noise is {found}, not [{steps} or more, 1, {latent:?}]")]
    StepNoise {
        /// Its shape.
        found: Shape,
        /// Steps that draw noise.
        steps: usize,
        /// Channels, height and width of the latent.
        latent: [usize; 3],
    },
    /// The prompt embeddings have another shape.
    #[error("the prompt embeddings are {found}, the UNet reads {expected:?}")]
    Embeddings {
        /// Their shape.
        found: Shape,
        /// The shape needed.
        expected: [usize; 3],
    },
    /// Guidance needs a negative prompt and only the positive one was given encoded.
    #[error("guidance needs negative prompt embeddings beside the positive ones")]
    NegativeEmbeddingNeeded,
    /// The UNet needs a pooled text that the encoders do not give.
    #[error("the UNet reads a pooled text of {expected} channels, the text encoders give {found}")]
    Pooled {
        /// Channels needed.
        expected: usize,
        /// Channels given; 0 if none.
        found: usize,
    },
    /// The checkpoint has no text encoder.
    #[error("the checkpoint has no text encoder")]
    NoTextEncoder,
    /// The text encoders do not fit the UNet.
    #[error("the text encoders give {found} channels a token, the UNet reads {expected}")]
    TextWidth {
        /// Channels given.
        found: usize,
        /// Channels needed.
        expected: usize,
    },
}
