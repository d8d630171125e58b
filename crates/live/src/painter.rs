//! The stage of the pipeline that paints: a compiled frame that follows the
//! controls, with prompts that are mixed and glide.

use std::time::Duration;

use laterna_control::{Controls, Prompt};
use laterna_diffusion::live::{self, Live};
use laterna_diffusion::session::{PromptEmbeddings, SessionError};
use laterna_pipeline::Size;
use laterna_pipeline::port::{Input, Motion, PortError, Stage};
use laterna_tensor::Tensor;

use crate::glide::{Glide, mix};
use crate::session::Asked;

/// Encoded prompts that are remembered: more than a gallery holds.
const MOST_KNOWN: usize = 32;

/// What a [`Painter`] remembers between two frames, to go on in another process.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The frames before.
    pub frames: live::Memory,
    /// The prompts that the glide goes to, and where it is; none before the first
    /// frame.
    pub glide: Option<(Vec<Prompt>, PromptEmbeddings)>,
    /// When the newest picture was captured.
    pub captured: Option<Duration>,
    /// Resets that have been done.
    pub resets: u64,
}

/// A model at work on one size of pictures.
pub struct Painter {
    live: Live,
    known: Vec<(String, PromptEmbeddings)>,
    /// The prompts that the glide goes to.
    prompts: Vec<Prompt>,
    glide: Option<Glide>,
    arrived: bool,
    /// When the picture before was captured.
    before: Option<Duration>,
    /// Resets that have been done.
    resets: u64,
}

impl Painter {
    /// Paints with `live`.
    pub fn new(live: Live) -> Self {
        let (known, prompts) = (Vec::with_capacity(MOST_KNOWN), Vec::new());
        Self { live, known, prompts, glide: None, arrived: true, before: None, resets: 0 }
    }

    /// What it remembers.
    pub fn memory(&self) -> Memory {
        let current = self.glide.as_ref().map(|glide| glide.current().clone());
        Memory {
            frames: self.live.memory(),
            glide: current.map(|current| (self.prompts.clone(), current)),
            captured: self.before,
            resets: self.resets,
        }
    }

    /// Goes on where another one was, of the same model and size.
    ///
    /// # Errors
    /// If the memory is not of such a one; nothing changes then.
    pub fn recall(&mut self, memory: Memory) -> Result<(), PortError> {
        let Memory { frames, glide, captured, resets } = memory;
        let (prompts, glide) = match glide {
            Some((prompts, current)) => {
                let glide = self.glide_from(current, &prompts)?;
                (prompts, Some(glide))
            }
            None => (Vec::new(), None),
        };
        self.live.recall(frames)?;
        // Whether it has arrived is found out, and told to the model, with the
        // next frame.
        (self.glide, self.prompts, self.arrived) = (glide, prompts, false);
        (self.before, self.resets) = (captured, resets);
        Ok(())
    }

    fn glide_from(
        &mut self,
        current: PromptEmbeddings,
        prompts: &[Prompt],
    ) -> Result<Glide, PortError> {
        if prompts.iter().all(|prompt| prompt.weight <= 0.0) {
            return Err("no prompt has a weight".into());
        }
        let target = self.encode_all(prompts)?;
        Glide::between(current, target).ok_or_else(|| "the prompt is of another model".into())
    }

    /// Brings the prompt nearer to what the controls say, and says whether it is
    /// there.
    fn follow(&mut self, controls: &Controls, elapsed: Duration) -> Result<bool, PortError> {
        if self.prompts != controls.prompts {
            let target = self.encode_all(&controls.prompts)?;
            match &mut self.glide {
                Some(glide) => glide.aim(target),
                none => *none = Some(Glide::at(target)),
            }
            self.prompts.clone_from(&controls.prompts);
            self.arrived = false;
        }
        let Some(glide) = self.glide.as_mut().filter(|_| !self.arrived) else { return Ok(true) };
        self.arrived = glide.advance(elapsed, controls.glide_s)?;
        self.live.set_prompt(glide.current().clone());
        Ok(self.arrived)
    }

    fn encode_all(&mut self, prompts: &[Prompt]) -> Result<PromptEmbeddings, PortError> {
        let weighing = prompts.iter().filter(|prompt| prompt.weight > 0.0);
        let parts: Result<Vec<_>, _> =
            weighing.map(|prompt| Ok((self.encode(&prompt.text)?, prompt.weight))).collect();
        Ok(mix(&parts.map_err(|error: SessionError| error)?)?)
    }

    fn encode(&mut self, text: &str) -> Result<PromptEmbeddings, SessionError> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == text) {
            return Ok(known.clone());
        }
        let embedding = self.live.encode(text)?;
        if self.known.len() == MOST_KNOWN {
            self.known.remove(0);
        }
        self.known.push((text.to_owned(), embedding.clone()));
        Ok(embedding)
    }
}

impl Stage<Asked> for Painter {
    fn size(&self) -> Size {
        let size = self.live.size();
        Size::new(size.width, size.height)
    }

    fn reads_surfaces(&self) -> bool {
        self.live.reads_surfaces()
    }

    fn run(&mut self, input: &Input<'_, Asked>, output: &mut Tensor) -> Result<Motion, PortError> {
        let Asked { controls, resets } = input.settings;
        if input.cut || self.resets != *resets {
            self.resets = *resets;
            self.live.forget();
        }
        let before = self.before.replace(input.captured).unwrap_or(input.captured);
        let arrived = self.follow(controls, input.captured.saturating_sub(before))?;
        if controls.strength > 0.0 {
            let Controls { strength, feedback, seed, guidance, .. } = *controls;
            self.live.set_controls(live::Controls { strength, feedback, seed, guidance })?;
            self.live.frame(input.picture, output)?;
        } else {
            self.live.forget();
            output.as_f32_mut()?.copy_from_slice(input.picture.as_f32()?);
        }
        Ok(if arrived { Motion::Settled } else { Motion::Gliding })
    }
}
