//! A session: the networks of one checkpoint compiled for one picture size, and
//! the loop that turns a prompt and perhaps a picture into a picture.
//!
//! The arithmetic is that of diffusers' pipelines (StableDiffusionPipeline,
//! StableDiffusionImg2ImgPipeline, their SDXL forms, and
//! StableDiffusionInstructPix2PixPipeline for edit models).

mod autoencoder;
mod denoise;
mod error;
mod request;
mod text;

use laterna_graph::{Backend, CompileOptions, WeightSource};
use laterna_models::unet::{self, Extents};
use laterna_models::{UnetConfig, VaeConfig};
use laterna_tensor::Tensor;

use crate::noise::{Noise, Stream};
use crate::scheduler::{self, Scheduler};
use crate::{RatedInstance, RatedProgram};
use autoencoder::Autoencoder;
use denoise::Denoiser;

pub(crate) use denoise::{Guidance, prompt_inputs};
pub(crate) use text::TextEncoders;

pub use error::SessionError;
pub use request::{Progress, Prompt, PromptEmbeddings, Request};
pub use text::TextPart;

/// A checkpoint's networks, as read from its folder.
pub struct Parts<'a> {
    /// The UNet's configuration; its weights are named `unet.`.
    pub unet: UnetConfig,
    /// The autoencoder's configuration; its weights are named `vae.`.
    pub vae: VaeConfig,
    /// Text encoders in the order in which their tokens are joined; none if the
    /// checkpoint has none.
    pub texts: Vec<TextPart>,
    /// scheduler_config.json.
    pub scheduler: scheduler::Config,
    /// model_index.json's `force_zeros_for_empty_prompt`: an absent negative
    /// prompt is zeros, not the embedding of the empty text.
    pub zeros_for_empty_prompt: bool,
    /// The weights of all of them.
    pub weights: &'a dyn WeightSource,
}

/// A picture's size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Compiled networks at work.
pub struct Session {
    size: Size,
    unet: UnetConfig,
    scheduler: scheduler::Config,
    zeros_for_empty_prompt: bool,
    texts: TextEncoders,
    autoencoder: Autoencoder,
    denoiser: RatedInstance,
    latent_shape: [usize; 4],
    tokens: usize,
}

impl Session {
    /// Compiles a checkpoint's networks for pictures of one size.
    ///
    /// # Errors
    /// If the size does not fit the networks, or a weight is missing.
    pub fn new(parts: Parts<'_>, backend: &dyn Backend, size: Size) -> Result<Self, SessionError> {
        let Parts { unet, vae, texts, scheduler, zeros_for_empty_prompt, weights } = parts;
        let autoencoder = Autoencoder::new(vae, backend, weights, size)?;
        let latent_shape = autoencoder.latent_shape();
        let texts = TextEncoders::new(texts, backend, weights)?;
        let tokens = texts.tokens();
        let extents = Extents { batch: 1, height: latent_shape[2], width: latent_shape[3], tokens };
        let graph = unet::graph(&unet, extents)?;
        let program = RatedProgram::compile(backend, &graph, weights, &CompileOptions::default())?;
        Ok(Self {
            size,
            scheduler,
            zeros_for_empty_prompt,
            texts,
            autoencoder,
            denoiser: program.spawn()?,
            latent_shape,
            tokens,
            unet,
        })
    }

    /// The picture size that the session was compiled for.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The latent's shape, `[1, channels, h, w]`: that of a request's noise.
    pub fn latent_shape(&self) -> [usize; 4] {
        self.latent_shape
    }

    /// Whether the UNet also reads the clean picture's latent, as
    /// InstructPix2Pix does.
    pub fn is_edit_model(&self) -> bool {
        self.unet.in_channels == 2 * self.latent_shape[1]
    }

    /// Makes a picture, `[1, 3, height, width]`, about -1..=1.
    ///
    /// # Errors
    /// If the request does not fit the checkpoint.
    pub fn generate(
        &mut self,
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Tensor, SessionError> {
        self.check(request)?;
        if let (Some(picture), 0.0) = (request.picture, request.strength) {
            return Ok(picture.clone());
        }
        let guidance = Guidance::new(request, &self.unet, self.is_edit_model());
        let prompts = self.prompt_embeddings(request, &guidance)?;
        let clean = match request.picture {
            Some(picture) => Some(self.autoencoder.encode(picture, request.autoencoder_noise)?),
            None => None,
        };
        progress(Progress::Encoded);
        let (mut schedule, begin) = self.schedule(request)?;
        let noise = self.initial_noise(request)?;
        let latent = self.first_latent(&*schedule, begin, clean.as_ref(), &noise)?;
        let size = self.size;
        let edit = if self.is_edit_model() { clean } else { None };
        let mut denoiser =
            Denoiser::new(&mut self.denoiser, &self.unet, &guidance, &prompts, edit, size)?;
        let first = begin.unwrap_or(0);
        let latent = denoiser.run(&mut *schedule, first, latent, request, progress)?;
        let picture = self.autoencoder.decode(&latent)?;
        progress(Progress::Decoded);
        Ok(picture)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), SessionError> {
        if let Some(picture) = request.picture {
            let expected = [1, 3, self.size.height, self.size.width];
            if *picture.shape() != expected {
                return Err(SessionError::Picture { found: picture.shape(), expected });
            }
        } else if self.is_edit_model() {
            return Err(SessionError::PictureNeeded);
        }
        if self.unet.in_channels != self.latent_shape[1] && !self.is_edit_model() {
            let (channels, latent) = (self.unet.in_channels, self.latent_shape[1]);
            return Err(SessionError::Channels { channels, latent });
        }
        Ok(())
    }

    fn prompt_embeddings(
        &mut self,
        request: &Request<'_>,
        guidance: &Guidance,
    ) -> Result<denoise::Prompts, SessionError> {
        match &request.prompt {
            Prompt::Text { positive, negative } => {
                let zero = self.zeros_for_empty_prompt && negative.is_none();
                let positive = self.texts.encode(positive)?;
                let negative = match guidance.needs_negative() {
                    false => None,
                    true if zero => Some(positive.zeros()),
                    true => Some(self.texts.encode(negative.unwrap_or(""))?),
                };
                Ok(denoise::Prompts { positive, negative })
            }
            Prompt::Embeddings { positive, negative } => {
                self.check_embeddings(positive)?;
                if let Some(negative) = negative {
                    self.check_embeddings(negative)?;
                }
                let negative = match (guidance.needs_negative(), negative) {
                    (false, _) => None,
                    (true, Some(negative)) => Some(negative.clone()),
                    (true, None) => return Err(SessionError::NegativeEmbeddingNeeded),
                };
                Ok(denoise::Prompts { positive: positive.clone(), negative })
            }
        }
    }

    fn check_embeddings(&self, embeddings: &PromptEmbeddings) -> Result<(), SessionError> {
        let expected = [1, self.tokens, self.unet.text_width];
        let found = embeddings.tokens.shape();
        if *found == expected { Ok(()) } else { Err(SessionError::Embeddings { found, expected }) }
    }

    /// The schedule, and the step at which a run that starts from the picture
    /// begins.
    fn schedule(
        &self,
        request: &Request<'_>,
    ) -> Result<(Box<dyn Scheduler>, Option<usize>), SessionError> {
        let &Request { scheduler: name, steps, strength, picture, .. } = request;
        let config = &self.scheduler;
        if picture.is_some() && (strength != 1.0 || !self.is_edit_model()) {
            let strength = f64::from(strength);
            let (schedule, start) = scheduler::build_img2img(config, name, steps, strength)?;
            return Ok((schedule, Some(start)));
        }
        Ok((scheduler::build(config, name, steps)?, None))
    }

    fn initial_noise(&self, request: &Request<'_>) -> Result<Tensor, SessionError> {
        if let Some(noise) = request.noise {
            return if *noise.shape() == self.latent_shape {
                Ok(noise.clone())
            } else {
                let (found, expected) = (noise.shape(), self.latent_shape);
                Err(SessionError::Noise { found, expected })
            };
        }
        let mut noise = Tensor::zeros(self.latent_shape);
        Noise::new(request.seed).fill(Stream::Initial, noise.as_f32_mut()?);
        Ok(noise)
    }

    /// The latent at which the loop begins.
    fn first_latent(
        &self,
        schedule: &dyn Scheduler,
        begin: Option<usize>,
        clean: Option<&Tensor>,
        noise: &Tensor,
    ) -> Result<Tensor, SessionError> {
        let mut latent = noise.clone();
        if let (Some(begin), Some(clean)) = (begin, clean) {
            let scaled = self.autoencoder.scaled(clean)?;
            schedule.add_noise(begin, scaled.as_f32()?, noise.as_f32()?, latent.as_f32_mut()?);
        } else {
            let sigma = schedule.init_noise_sigma();
            latent.as_f32_mut()?.iter_mut().for_each(|value| *value *= sigma);
        }
        Ok(latent)
    }
}
