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
