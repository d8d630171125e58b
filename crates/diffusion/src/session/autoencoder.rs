//! The autoencoder at work: pictures to latents and back.

use laterna_graph::{Backend, CompileOptions, Graph, Instance, WeightSource};
use laterna_models::{VaeConfig, vae};
use laterna_tensor::Tensor;

use super::{SessionError, Size};

/// Limits of an AutoencoderKL's log variance, as diffusers'
/// DiagonalGaussianDistribution clamps it.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// A compiled autoencoder.
pub struct Autoencoder {
    config: VaeConfig,
    encoder: Box<dyn Instance>,
    decoder: Box<dyn Instance>,
    size: Size,
    latent_shape: [usize; 4],
}

impl Autoencoder {
    /// Compiles encoder and decoder for one picture size.
    pub fn new(
        config: VaeConfig,
        backend: &dyn Backend,
        weights: &dyn WeightSource,
        size: Size,
    ) -> Result<Self, SessionError> {
        let Size { width, height } = size;
        let encoder = match &config {
            VaeConfig::Tiny(_) => vae::encode_graph(&config, 1, height, width)?,
            VaeConfig::Kl(kl) => vae::moments_graph(kl, 1, height, width)?,
        };
        let factor = config.encoder_factor();
        let latent_shape = [1, config.latent_channels(), height / factor, width / factor];
        let decoder = vae::decode_graph(&config, 1, latent_shape[2], latent_shape[3])?;
        let spawn = |graph: &Graph| -> Result<_, SessionError> {
            Ok(backend.compile(graph, weights, &CompileOptions::default())?.spawn()?)
        };
        let (encoder, decoder) = (spawn(&encoder)?, spawn(&decoder)?);
        Ok(Self { config, encoder, decoder, size, latent_shape })
    }

    /// The latent's shape, `[1, channels, h, w]`.
    pub fn latent_shape(&self) -> [usize; 4] {
        self.latent_shape
    }

    /// The latent of a picture, not scaled: of an AutoencoderKL the posterior's
    /// mean, or with `noise` (of the latent's shape) a sample of it.
    pub fn encode(
        &mut self,
        picture: &Tensor,
        noise: Option<&Tensor>,
    ) -> Result<Tensor, SessionError> {
        let [_, channels, height, width] = self.latent_shape;
        if let VaeConfig::Tiny(_) = self.config {
            let mut latent = Tensor::zeros(self.latent_shape);
            self.encoder.run(&[picture.view()], &mut [latent.view_mut()])?;
            return Ok(latent);
        }
        let mut moments = Tensor::zeros([1, 2 * channels, height, width]);
        self.encoder.run(&[picture.view()], &mut [moments.view_mut()])?;
        let (mean, log_variance) = moments.as_f32()?.split_at(channels * height * width);
        let mut latent = mean.to_vec();
        if let Some(noise) = noise {
            if *noise.shape() != self.latent_shape {
                let (found, expected) = (noise.shape(), self.latent_shape);
                return Err(SessionError::Noise { found, expected });
            }
            for ((value, log_variance), n) in
                latent.iter_mut().zip(log_variance).zip(noise.as_f32()?)
            {
                let log_variance = log_variance.clamp(LOG_VARIANCE.0, LOG_VARIANCE.1);
                *value += (0.5 * log_variance).exp() * n;
            }
        }
        Ok(Tensor::from_f32(self.latent_shape, latent)?)
    }

    /// A latent as diffusion works on it.
    pub fn scaled(&self, latent: &Tensor) -> Result<Tensor, SessionError> {
        let (shift, scale) = (self.config.shift_factor(), self.config.scaling_factor());
        let values = latent.as_f32()?.iter().map(|v| (v - shift) * scale).collect();
        Ok(Tensor::from_f32(latent.shape(), values)?)
    }

    /// The picture of a latent that diffusion worked on.
    pub fn decode(&mut self, latent: &Tensor) -> Result<Tensor, SessionError> {
        let (shift, scale) = (self.config.shift_factor(), self.config.scaling_factor());
        let values = latent.as_f32()?.iter().map(|v| v / scale + shift).collect();
        let latent = Tensor::from_f32(latent.shape(), values)?;
        let mut picture = Tensor::zeros([1, 3, self.size.height, self.size.width]);
        self.decoder.run(&[latent.view()], &mut [picture.view_mut()])?;
        Ok(picture)
    }
}
