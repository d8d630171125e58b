//! The session of a live picture: one compiled frame whose prompt, strength,
//! seed and feedback may change between any two frames, at the cost of the
//! small program that computes what hangs on them.

use laterna_graph::{Backend, CompileOptions, WeightSource};
use laterna_models::frame::{self, Frame, StepSource};
use laterna_models::{UnetConfig, VaeConfig};
use laterna_tensor::{Tensor, TensorView};

use crate::noise::{Noise, Stream};
use crate::scheduler::Config;
use crate::session::{
    Guidance, Parts, PromptEmbeddings, SessionError, Size, TextEncoders, prompt_inputs,
};
use crate::{PromptState, RatedInstance, RatedProgram, one_step};

/// The picture's place among the frame's inputs.
const PICTURE: usize = 0;

/// What decides a frame beside the picture and the prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// How far the result may go from the picture, above 0 and up to 1. At 1 a
    /// trace of the picture's latent is still below the noise, where
    /// [`Session`](crate::session::Session) starts an edit model from noise alone.
    pub strength: f32,
    /// How much of the latent of the frame before is mixed into the picture's,
    /// 0 to 1: calmer, and slower to follow.
    pub feedback: f32,
    /// Decides the noise, which is the same for every frame.
    pub seed: u64,
    /// Guidance, for networks that are told its scale (latent consistency
    /// models); others run without any.
    pub guidance: f32,
}

impl Default for Controls {
    /// The study's: strength 0.5 and feedback 0.1.
    fn default() -> Self {
        Self { strength: 0.5, feedback: 0.1, seed: 0, guidance: 1.0 }
    }
}

/// What a [`Live`] remembers of the frames before, to go on in another process.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The newest frame's latent, `[1, channels, height, width]`, as the UNet
    /// reads it.
    pub latent: Tensor,
    /// Whether it is of this scene.
    pub remembers: bool,
}

/// A checkpoint's frame, compiled for one picture size.
pub struct Live {
    size: Size,
    unet: UnetConfig,
    scheduler: Config,
    texts: TextEncoders,
    instance: RatedInstance,
    prompt: PromptEmbeddings,
    controls: Controls,
    noise: Tensor,
    /// The latent of the frame before, and where this frame's is written.
    previous: Tensor,
    latent: Tensor,
    /// Whether `previous` is of a frame of this scene.
    remembers: bool,
    state: PromptState,
    /// The controls that `state` was computed for; `None` once the prompt changed.
    prepared: Option<Controls>,
    reads_surfaces: bool,
}

impl Live {
    /// Compiles a checkpoint's frame. The first prompt is the empty one.
    ///
    /// # Errors
    /// If the size does not fit the networks, a weight is missing, or the
    /// checkpoint has no text encoder.
    pub fn new(parts: Parts<'_>, backend: &dyn Backend, size: Size) -> Result<Self, SessionError> {
        let Parts { unet, vae, texts, scheduler, weights, .. } = parts;
        let texts = TextEncoders::new(texts, backend, weights)?;
        let program = compile(&unet, &vae, texts.tokens(), size, backend, weights)?;
        let instance = program.spawn()?;
        let latent = Tensor::zeros(program.frame().outputs()[1].ty.shape);
        let mut live = Self {
            size,
            unet,
            scheduler,
            prompt: texts.encode("")?,
            texts,
            state: instance.new_state(),
            instance,
            controls: Controls::default(),
            noise: latent.clone(),
            previous: latent.clone(),
            latent,
            remembers: false,
            prepared: None,
            reads_surfaces: program.frame().reads_surface(PICTURE),
        };
        live.draw_noise()?;
        Ok(live)
    }

    /// The picture size that the frame was compiled for.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Whether a picture is read where its surface is, if it has one: see
    /// [`Tensor::set_surface`].
    pub fn reads_surfaces(&self) -> bool {
        self.reads_surfaces
    }

    /// Encodes a prompt, for [`Live::set_prompt`]. Embeddings may be mixed.
    ///
    /// # Errors
    /// If the text cannot be read.
    pub fn encode(&self, text: &str) -> Result<PromptEmbeddings, SessionError> {
        self.texts.encode(text)
    }

    /// Takes effect with the next frame.
    pub fn set_prompt(&mut self, prompt: PromptEmbeddings) {
        self.prompt = prompt;
        self.prepared = None;
    }

    /// Takes effect with the next frame.
    ///
    /// # Errors
    /// If the strength or the feedback is out of its range; nothing changes then.
    pub fn set_controls(&mut self, controls: Controls) -> Result<(), SessionError> {
        one_step(&self.scheduler, None, controls.strength)?;
        if !(0.0..=1.0).contains(&controls.feedback) {
            return Err(SessionError::Feedback(controls.feedback));
        }
        let seed = std::mem::replace(&mut self.controls, controls).seed;
        if seed != controls.seed { self.draw_noise() } else { Ok(()) }
    }

    /// Forgets the frames before, as at a cut to another scene.
    pub fn forget(&mut self) {
        self.remembers = false;
    }

    /// What it remembers.
    pub fn memory(&self) -> Memory {
        Memory { latent: self.previous.clone(), remembers: self.remembers }
    }

    /// Goes on where another one was, of the same checkpoint and size. Prompt and
    /// controls are not part of it.
    ///
    /// # Errors
    /// If the latent is of another shape or not of 32-bit numbers; nothing changes
    /// then.
    pub fn recall(&mut self, memory: Memory) -> Result<(), SessionError> {
        let (found, expected) = (memory.latent.shape(), self.previous.shape());
        memory.latent.as_f32()?;
        if found != expected {
            return Err(SessionError::Memory { found, expected });
        }
        (self.previous, self.remembers) = (memory.latent, memory.remembers);
        Ok(())
    }

    /// Repaints a picture, `[1, 3, height, width]` in -1..=1, into another of
    /// the same shape, about -1..=1.
    ///
    /// # Errors
    /// If a shape does not fit, or the device fails.
    pub fn frame(&mut self, picture: &Tensor, painted: &mut Tensor) -> Result<(), SessionError> {
        self.prepare()?;
        let inputs = [picture.view(), self.noise.view(), self.previous.view()];
        let outputs = &mut [painted.view_mut(), self.latent.view_mut()];
        self.instance.run(&inputs, &self.state, outputs)?;
        std::mem::swap(&mut self.previous, &mut self.latent);
        self.remembers = true;
        Ok(())
    }

    /// Computes what hangs on the prompt and the controls, if they changed.
    fn prepare(&mut self) -> Result<(), SessionError> {
        let mut controls = self.controls;
        if !self.remembers {
            controls.feedback = 0.0;
        }
        if self.prepared == Some(controls) {
            return Ok(());
        }
        let Controls { strength, feedback, guidance, .. } = controls;
        let step = one_step(&self.scheduler, None, strength)?;
        let guidance = Guidance::Off { embedded: guidance };
        let number = |value| Tensor::from_f32([1, 1, 1, 1], vec![value]);
        let mut inputs = prompt_inputs(&self.unet, &guidance, &self.prompt, self.size)?;
        inputs.push(Tensor::from_f32([1], vec![step.timestep])?);
        for value in step.live_values(feedback) {
            inputs.push(number(value)?);
        }
        let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
        self.instance.prepare_into(&views, &mut self.state)?;
        self.prepared = Some(controls);
        Ok(())
    }

    fn draw_noise(&mut self) -> Result<(), SessionError> {
        Noise::new(self.controls.seed).fill(Stream::Initial, self.noise.as_f32_mut()?);
        Ok(())
    }
}

fn compile(
    unet: &UnetConfig,
    vae: &VaeConfig,
    tokens: usize,
    size: Size,
    backend: &dyn Backend,
    weights: &dyn WeightSource,
) -> Result<RatedProgram, SessionError> {
    let Size { width, height } = size;
    let graph = frame::graph(&Frame { unet, vae, height, width, tokens, step: StepSource::Live })?;
    let options = CompileOptions { pictures: &["image"], ..CompileOptions::default() };
    Ok(RatedProgram::compile(backend, &graph, weights, &options)?)
}
