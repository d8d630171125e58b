//! The loop over the schedule: what the UNet is given at each step, and how its
//! answers for several prompts are combined.

use laterna_models::UnetConfig;
use laterna_models::unet::TIME_IDS;
use laterna_tensor::{Tensor, TensorView};

use super::{Progress, PromptEmbeddings, Request, SessionError, Size};
use crate::noise::{Noise, Stream};
use crate::scheduler::Scheduler;
use crate::{PromptState, RatedInstance};

/// How the answers to several prompts are combined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guidance {
    /// The prompt alone; `embedded` if the UNet itself reads the scale (latent
    /// consistency models, Luo et al. 2023, arXiv 2310.04378).
    Off {
        /// The scale that an embedding tells the UNet.
        embedded: f32,
    },
    /// `negative + scale * (positive - negative)`.
    ClassifierFree {
        /// The scale.
        scale: f32,
    },
    /// Of an edit model, towards the text and towards the picture (Brooks et
    /// al. 2023, arXiv 2211.09800, equation 3).
    Edit {
        /// The text's scale.
        text: f32,
        /// The picture's scale.
        picture: f32,
    },
}

impl Guidance {
    /// What a request asks of a UNet.
    pub fn new(request: &Request<'_>, unet: &UnetConfig, is_edit_model: bool) -> Self {
        let (text, picture) = (request.guidance, request.image_guidance);
        match () {
            () if unet.time.condition_dim.is_some() => Self::Off { embedded: text },
            () if is_edit_model && text > 1.0 && picture >= 1.0 => Self::Edit { text, picture },
            () if !is_edit_model && text > 1.0 => Self::ClassifierFree { scale: text },
            () => Self::Off { embedded: text },
        }
    }

    /// Whether a negative prompt is used.
    pub fn needs_negative(&self) -> bool {
        !matches!(self, Self::Off { .. })
    }
}

/// The encoded prompts of one picture.
pub struct Prompts {
    pub positive: PromptEmbeddings,
    pub negative: Option<PromptEmbeddings>,
}

/// The UNet with everything that stays the same over a run.
pub struct Denoiser<'a> {
    unet: &'a mut RatedInstance,
    guidance: Guidance,
    positive: PromptState,
    negative: Option<PromptState>,
    /// The clean picture's latent, of edit models.
    edit: Option<Tensor>,
}

impl<'a> Denoiser<'a> {
    /// Computes what depends on the prompts alone.
    pub fn new(
        unet: &'a mut RatedInstance,
        config: &UnetConfig,
        guidance: &Guidance,
        prompts: &Prompts,
        edit: Option<Tensor>,
        size: Size,
    ) -> Result<Self, SessionError> {
        let mut prepare = |prompt: &PromptEmbeddings| {
            let inputs = prompt_inputs(config, guidance, prompt, size)?;
            let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
            Ok::<_, SessionError>(unet.prepare(&views)?)
        };
        let positive = prepare(&prompts.positive)?;
        let negative = prompts.negative.as_ref().map(prepare).transpose()?;
        Ok(Self { unet, guidance: *guidance, positive, negative, edit })
    }

    /// Runs the schedule from step `first` on `latent`, `[1, channels, h, w]`.
    pub fn run(
        &mut self,
        schedule: &mut dyn Scheduler,
        first: usize,
        mut latent: Tensor,
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Tensor, SessionError> {
        let total = schedule.timesteps().len() - first;
        check_step_noise(request, &latent, total)?;
        let mut scaled = latent.clone();
        for index in first..first + total {
            schedule.scale_model_input(index, latent.as_f32()?, scaled.as_f32_mut()?);
            let output = self.predict(&scaled, schedule.timesteps()[index])?;
            let done = index - first;
            let mut noise = |out: &mut [f32]| step_noise(request, done, out);
            schedule.step(index, output.as_f32()?, latent.as_f32_mut()?, &mut noise);
            progress(Progress::Step { done: done + 1, total });
        }
        Ok(latent)
    }

    fn predict(&mut self, sample: &Tensor, timestep: f32) -> Result<Tensor, SessionError> {
        let with = |edit: Option<&Tensor>| beside(sample, edit);
        let edit = self.edit.as_ref();
        match self.guidance {
            Guidance::Off { .. } => self.call(&with(edit)?, timestep, false),
            Guidance::ClassifierFree { scale } => {
                let sample = with(edit)?;
                let negative = self.call(&sample, timestep, true)?;
                let positive = self.call(&sample, timestep, false)?;
                combine(&negative, &[(&positive, &negative, scale)])
            }
            Guidance::Edit { text, picture } => {
                let seen = with(edit)?;
                let blank = edit.map(|latent| Tensor::zeros(latent.shape()));
                let unseen = with(blank.as_ref())?;
                let both = self.call(&seen, timestep, false)?;
                let pictured = self.call(&seen, timestep, true)?;
                let neither = self.call(&unseen, timestep, true)?;
                combine(&neither, &[(&both, &pictured, text), (&pictured, &neither, picture)])
            }
        }
    }

    fn call(
        &mut self,
        sample: &Tensor,
        timestep: f32,
        negative: bool,
    ) -> Result<Tensor, SessionError> {
        let timestep = Tensor::from_f32([1], vec![timestep])?;
        let state = match &self.negative {
            Some(state) if negative => state,
            _ => &self.positive,
        };
        let mut output = Tensor::zeros(self.unet.output_shape());
        self.unet.run(&[sample.view(), timestep.view()], state, &mut [output.view_mut()])?;
        Ok(output)
    }
}

/// `base + sum of scale * (a - b)`.
fn combine(base: &Tensor, terms: &[(&Tensor, &Tensor, f32)]) -> Result<Tensor, SessionError> {
    let mut values = base.as_f32()?.to_vec();
    for (a, b, scale) in terms {
        for ((value, a), b) in values.iter_mut().zip(a.as_f32()?).zip(b.as_f32()?) {
            *value += scale * (a - b);
        }
    }
    Ok(Tensor::from_f32(base.shape(), values)?)
}

/// The sample with an edit model's clean latent behind it, channel-wise.
fn beside(sample: &Tensor, edit: Option<&Tensor>) -> Result<Tensor, SessionError> {
    let Some(edit) = edit else { return Ok(sample.clone()) };
    let joined = [sample.as_f32()?, edit.as_f32()?].concat();
    let channels = sample.shape()[1] + edit.shape()[1];
    Ok(Tensor::from_f32(sample.shape().with(1, channels), joined)?)
}

/// The UNet's prompt inputs in its graph's order.
pub(crate) fn prompt_inputs(
    config: &UnetConfig,
    guidance: &Guidance,
    prompt: &PromptEmbeddings,
    size: Size,
) -> Result<Vec<Tensor>, SessionError> {
    let width = prompt.tokens.shape().last().copied().unwrap_or(0);
    if width != config.text_width {
        return Err(SessionError::TextWidth { found: width, expected: config.text_width });
    }
    let mut inputs = vec![prompt.tokens.clone()];
    if let Some(text_time) = config.text_time {
        let expected = text_time.pooled_width().unwrap_or(0);
        let found = prompt.pooled.as_ref().map_or(0, |pooled| pooled.shape()[1]);
        match &prompt.pooled {
            Some(pooled) if found == expected => inputs.push(pooled.clone()),
            _ => return Err(SessionError::Pooled { expected, found }),
        }
        let (height, width) = (size.height as f32, size.width as f32);
        // Original size, crop from the top left, target size.
        let ids = vec![height, width, 0.0, 0.0, height, width];
        inputs.push(Tensor::from_f32([1, TIME_IDS], ids)?);
    }
    if let (Some(dim), Guidance::Off { embedded }) = (config.time.condition_dim, guidance) {
        inputs.push(Tensor::from_f32([1, dim], guidance_embedding(embedded - 1.0, dim))?);
    }
    Ok(inputs)
}

/// The embedding of a guidance scale, as diffusers'
/// `get_guidance_scale_embedding` (Salimans and Ho 2022, arXiv 2202.00512).
fn guidance_embedding(scale: f32, dim: usize) -> Vec<f32> {
    let half = dim / 2;
    let step = 10_000f32.ln() / (half as f32 - 1.0);
    let angle = |i: usize| f64::from(scale * 1000.0 * (-(i as f32) * step).exp());
    let sines = (0..half).map(|i| angle(i).sin() as f32);
    let cosines = (0..half).map(|i| angle(i).cos() as f32);
    sines.chain(cosines).chain(std::iter::repeat_n(0.0, dim % 2)).collect()
}

fn check_step_noise(
    request: &Request<'_>,
    latent: &Tensor,
    steps: usize,
) -> Result<(), SessionError> {
    let Some(noise) = request.step_noise else { return Ok(()) };
    let (found, latent) = (noise.shape(), latent.shape());
    if found.rank() == 5 && found[0] >= steps && found[1..] == latent[..] {
        return Ok(());
    }
    let latent = [latent[1], latent[2], latent[3]];
    Err(SessionError::StepNoise { found, steps, latent })
}

/// The noise of a step: the caller's, or the seed's.
fn step_noise(request: &Request<'_>, step: usize, out: &mut [f32]) {
    match request.step_noise.map(Tensor::as_f32) {
        Some(Ok(noise)) => out.copy_from_slice(&noise[step * out.len()..][..out.len()]),
        _ => Noise::new(request.seed).fill(Stream::Step(step as u32), out),
    }
}
