//! The prompt's embedding on its way: a change covers a share of what is left
//! with each frame, so that it is smooth and takes as long at any frame rate.

use std::time::Duration;

use laterna_diffusion::session::PromptEmbeddings;
use laterna_tensor::{Tensor, TensorError};

/// A distance that is no longer visible, of embeddings of about unit variance.
const NEAR: f32 = 1e-3;

/// A weighted mean of embeddings of one shape; weights are above 0 in sum.
///
/// # Errors
/// If the shapes differ.
pub fn mix(parts: &[(PromptEmbeddings, f32)]) -> Result<PromptEmbeddings, TensorError> {
    let sum: f32 = parts.iter().map(|(_, weight)| weight).sum();
    let mut mixed = parts[0].0.zeros();
    for (part, weight) in parts {
        add(&mut mixed.tokens, &part.tokens, weight / sum)?;
        if let (Some(mixed), Some(part)) = (&mut mixed.pooled, &part.pooled) {
            add(mixed, part, weight / sum)?;
        }
    }
    Ok(mixed)
}

fn add(sum: &mut Tensor, part: &Tensor, weight: f32) -> Result<(), TensorError> {
    let part = part.as_f32()?;
    for (sum, part) in sum.as_f32_mut()?.iter_mut().zip(part) {
        *sum += weight * part;
    }
    Ok(())
}

/// An embedding on its way to another.
#[derive(Debug)]
pub struct Glide {
    current: PromptEmbeddings,
    target: PromptEmbeddings,
}

impl Glide {
    /// At its target.
    pub fn at(embedding: PromptEmbeddings) -> Self {
        Self { current: embedding.clone(), target: embedding }
    }

    /// On its way; none if the two are not of the same shape.
    pub fn between(current: PromptEmbeddings, target: PromptEmbeddings) -> Option<Self> {
        let form = |tensor: &Tensor| (tensor.shape(), tensor.dtype());
        let forms = |of: &PromptEmbeddings| (form(&of.tokens), of.pooled.as_ref().map(form));
        (forms(&current) == forms(&target)).then_some(Self { current, target })
    }

    /// Where to go from here.
    pub fn aim(&mut self, target: PromptEmbeddings) {
        self.target = target;
    }

    /// Where it is.
    pub fn current(&self) -> &PromptEmbeddings {
        &self.current
    }

    /// Goes on for the time of one frame, `elapsed`, and says whether it is there.
    ///
    /// # Errors
    /// If an embedding is not of 32-bit numbers.
    pub fn advance(&mut self, elapsed: Duration, glide_s: f32) -> Result<bool, TensorError> {
        let share = share(elapsed, glide_s);
        let mut far = approach(&mut self.current.tokens, &self.target.tokens, share)?;
        if let (Some(current), Some(target)) = (&mut self.current.pooled, &self.target.pooled) {
            far = far.max(approach(current, target, share)?);
        }
        if far > NEAR {
            return Ok(false);
        }
        self.current.clone_from(&self.target);
        Ok(true)
    }
}

/// The share of what is left that is covered in a time: 63 % in `glide_s`.
fn share(elapsed: Duration, glide_s: f32) -> f32 {
    if glide_s <= 0.0 { 1.0 } else { 1.0 - (-elapsed.as_secs_f32() / glide_s).exp() }
}

/// Moves a share of the way and returns the largest distance left.
fn approach(current: &mut Tensor, target: &Tensor, share: f32) -> Result<f32, TensorError> {
    let target = target.as_f32()?;
    let mut far = 0.0_f32;
    for (current, target) in current.as_f32_mut()?.iter_mut().zip(target) {
        *current += share * (target - *current);
        far = far.max((target - *current).abs());
    }
    Ok(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(value: f32) -> PromptEmbeddings {
        let tensor = |shape| Tensor::from_f32(shape, vec![value; 2]).unwrap();
        PromptEmbeddings { tokens: tensor([1, 2, 1]), pooled: Some(tensor([1, 1, 2])) }
    }

    fn value(embedding: &PromptEmbeddings) -> f32 {
        embedding.tokens.as_f32().unwrap()[0]
    }

    #[test]
    fn a_mix_weighs_its_parts() {
        let mixed = mix(&[(embedding(1.0), 3.0), (embedding(5.0), 1.0)]).unwrap();
        assert_eq!(value(&mixed), 2.0);
        assert_eq!(mixed.pooled.unwrap().as_f32().unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn the_way_takes_as_long_at_any_frame_rate() {
        let after_a_second = |fps: u32| {
            let mut glide = Glide::at(embedding(0.0));
            glide.aim(embedding(1.0));
            for _ in 0..fps {
                glide.advance(Duration::from_secs(1) / fps, 0.8).unwrap();
            }
            value(glide.current())
        };
        let expected = 1.0 - (-1.0_f32 / 0.8).exp();
        assert!((after_a_second(4) - expected).abs() < 1e-3);
        assert!((after_a_second(60) - expected).abs() < 1e-3);
    }

    #[test]
    fn it_arrives_exactly_and_at_once_without_a_glide() {
        let mut glide = Glide::at(embedding(0.0));
        glide.aim(embedding(1.0));
        assert!(!glide.advance(Duration::from_millis(40), 0.8).unwrap());
        let arrived = (0..1000).any(|_| glide.advance(Duration::from_millis(40), 0.8).unwrap());
        assert!(arrived && glide.current() == &embedding(1.0));
        glide.aim(embedding(-3.0));
        assert!(glide.advance(Duration::ZERO, 0.0).unwrap());
        assert_eq!(value(glide.current()), -3.0);
    }
}
