//! The controls that a session begins with, as arguments.

use clap::{Args, ValueEnum};
use laterna_control::{Controls, Fit, ModelChoice, Prompt, Size, gallery};
use laterna_diffusion::session;

use crate::console::Console;
use crate::error::{Failure, one_line};
use crate::model::{LoraArg, ModelArgs};
use crate::size;

/// What the picture is like at first.
#[derive(Args, Clone, Debug)]
pub struct ControlArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// A LoRA to merge, with its scale [default scale: 1]; may be given repeatedly.
    #[arg(long, value_name = "FILE[:SCALE]")]
    lora: Vec<LoraArg>,
    /// What to paint; repeat it to mix several, each with a weight such as 'ink:0.5'.
    #[arg(long, value_name = "TEXT[:WEIGHT]", value_parser = prompt)]
    prompt: Vec<Prompt>,
    /// How far the painting may go from the picture, 0 to 1 [default: the model's own, else 0.5].
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    strength: Option<f32>,
    /// How much of the painting before is mixed into the next one's latent, 0 to 0.95.
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value_t = 0.1)]
    feedback: f32,
    /// How much of the shown picture before stays in the next one, 0 to 0.95.
    #[arg(long, value_name = "E", allow_negative_numbers = true, default_value_t = 0.2)]
    smoothing: f32,
    /// How much of the camera's picture is mixed into the shown one, 0 to 1.
    #[arg(long, value_name = "B", allow_negative_numbers = true, default_value_t = 0.0)]
    blend: f32,
    /// Seconds in which a change of prompt covers most of its way; 0 is at once.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 0.8)]
    glide: f32,
    /// Decides the noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Pictures that differ less from the last painted one are not painted, 0 to 1.
    #[arg(long, value_name = "D", allow_negative_numbers = true, default_value_t = 0.0)]
    skip: f32,
    /// How pictures of another shape are made to fit.
    #[arg(long, value_enum, default_value_t = FitArg::Crop)]
    fit: FitArg,
    /// Swap left and right, as in a mirror.
    #[arg(long)]
    mirror: bool,
    /// Width and height of the painting, such as 512 or 640x384 [default: the model's own].
    #[arg(long, value_name = "WxH", value_parser = size::parse)]
    size: Option<session::Size>,
}

/// See [`Fit`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FitArg {
    /// The largest centred part.
    Crop,
    /// The whole picture, between black bars.
    Letterbox,
}

/// The study's strength, for models without one of their own.
const STRENGTH: f32 = 0.5;

impl ControlArgs {
    /// The model and the controls to begin with.
    ///
    /// # Errors
    /// If the model does not exist, or a value is out of its range.
    pub fn read(
        &self,
        target_fps: f32,
        console: &Console,
    ) -> Result<(ModelChoice, Controls), Failure> {
        let model = self.model.open(console)?;
        let session::Size { width, height } = self.size.unwrap_or(model.default_size()?);
        let prompts = if self.prompt.is_empty() {
            vec![Prompt::new(gallery::STYLES[0].prompt)]
        } else {
            self.prompt.clone()
        };
        let controls = Controls {
            prompts,
            glide_s: self.glide,
            strength: self.strength.or(model.defaults().strength).unwrap_or(STRENGTH),
            feedback: self.feedback,
            seed: self.seed,
            smoothing: self.smoothing,
            camera: self.blend,
            fit: match self.fit {
                FitArg::Crop => Fit::Crop,
                FitArg::Letterbox => Fit::Letterbox,
            },
            mirror: self.mirror,
            skip: self.skip,
            target_fps,
            size: Size { width, height },
            ..Controls::default()
        };
        controls.check().map_err(|error| Failure::input("cannot use the arguments", error))?;
        size::check(session::Size { width, height }, model.vae()?.encoder_factor())?;
        Ok((self.choice(), controls))
    }

    fn choice(&self) -> ModelChoice {
        let loras = self.lora.iter();
        let lora = |lora: &LoraArg| laterna_control::Lora {
            path: lora.path.display().to_string(),
            scale: lora.scale,
        };
        ModelChoice { name: self.model.model.clone(), loras: loras.map(lora).collect() }
    }
}

/// Reads `TEXT` or `TEXT:WEIGHT`; what follows the last colon is a weight if it
/// is a number.
fn prompt(text: &str) -> Result<Prompt, String> {
    let weighted = text.rsplit_once(':').and_then(|(text, weight)| {
        let weight = weight.trim().parse().ok()?;
        Some(Prompt { text: text.to_owned(), weight })
    });
    let prompt = weighted.unwrap_or_else(|| Prompt::new(text));
    let controls = Controls { prompts: vec![prompt.clone()], ..Controls::default() };
    controls.check().map_err(|error| one_line(&error.to_string()))?;
    Ok(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_may_have_a_weight() {
        assert_eq!(prompt("oil"), Ok(Prompt::new("oil")));
        assert_eq!(prompt("ink: bold:0.5"), Ok(Prompt { text: "ink: bold".into(), weight: 0.5 }));
        assert_eq!(prompt("ink: bold"), Ok(Prompt::new("ink: bold")));
        assert!(prompt("ink:-1").is_err() && prompt("ink:0").is_err());
    }
}
