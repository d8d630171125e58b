//! Everything about the picture that may change between two frames, with the
//! range of each value.

use serde::{Deserialize, Serialize};

/// Most prompts that are mixed.
pub const MOST_PROMPTS: usize = 8;

/// Longest prompt in bytes; what a text encoder reads is far shorter.
pub const LONGEST_PROMPT_BYTES: usize = 2000;

/// Smallest and largest side of a painted picture in pixels.
pub const SIDES: (usize, usize) = (64, 2048);

/// A prompt and its share in the mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// What is to be painted.
    pub text: String,
    /// Its weight; only ratios matter.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

impl Prompt {
    /// A prompt of weight 1.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), weight: 1.0 }
    }
}

/// How a camera picture of another shape is made to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The largest centred part.
    #[default]
    Crop,
    /// The whole picture, between black bars.
    Letterbox,
}

/// Extents of the painted picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Controls {
    /// The prompts that are mixed, 1 to [`MOST_PROMPTS`].
    pub prompts: Vec<Prompt>,
    /// Seconds in which a change of prompt covers 63 % of its way; 0: at once.
    pub glide_s: f32,
    /// How far the painting may go from the picture, 0 to 1; at 0 it is the picture.
    pub strength: f32,
    /// Share of the latent of the frame before, 0 to 0.95.
    pub feedback: f32,
    /// Decides the noise, which stays the same from frame to frame.
    pub seed: u64,
    /// Guidance scale of networks that are told one, 0 to 30.
    pub guidance: f32,
    /// Share of the shown picture before (EMA), 0 to 0.95.
    pub smoothing: f32,
    /// Share of the camera's picture in the shown one, 0 to 1.
    pub camera: f32,
    /// How the camera's picture is made to fit.
    pub fit: Fit,
    /// Left and right are swapped, as in a mirror.
    pub mirror: bool,
    /// Pictures that differ less from the last painted one are not painted, 0 to 1.
    pub skip: f32,
    /// Even a still scene is painted again after so many seconds, 0.1 to 60.
    pub refresh_s: f32,
    /// Pictures that differ more begin a new scene, 0 to 1; 1: never.
    pub cut: f32,
    /// Frames a second that the size is lowered for, up to 240; 0: the size is kept.
    pub target_fps: f32,
    /// Size of the painted picture, multiples of 8.
    pub size: Size,
}

impl Default for Controls {
    /// The starter model's strength, the study's feedback, and less smoothing
    /// than the study's, because it delays what the eye sees.
    fn default() -> Self {
        Self {
            prompts: vec![Prompt::new(crate::gallery::STYLES[0].prompt)],
            glide_s: 0.8,
            strength: 0.8,
            feedback: 0.1,
            seed: 0,
            guidance: 1.0,
            smoothing: 0.2,
            camera: 0.0,
            fit: Fit::Crop,
            mirror: false,
            skip: 0.0,
            refresh_s: 1.0,
            cut: 0.25,
            target_fps: 0.0,
            size: Size { width: 512, height: 512 },
        }
    }
}

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// A number out of its range.
    #[error("{name} is {value}: it goes from {least} to {most}")]
    Range {
        /// The value's name.
        name: &'static str,
        /// What was given.
        value: f32,
        /// Smallest.
        least: f32,
        /// Largest.
        most: f32,
    },
    /// Prompts that are none, too many or too long.
    #[error("prompts: {0}")]
    Prompts(String),
    /// A size that no model paints.
    #[error("size is {width}x{height}: each side is a multiple of 8 from {} to {}", SIDES.0, SIDES.1)]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A text that is none of the choices or too long.
    #[error("{name}: {why}")]
    Text {
        /// The value's name.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Controls {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        check_prompts(&self.prompts)?;
        let numbers = [
            ("glide_s", self.glide_s, 0.0, 60.0),
            ("strength", self.strength, 0.0, 1.0),
            ("feedback", self.feedback, 0.0, 0.95),
            ("guidance", self.guidance, 0.0, 30.0),
            ("smoothing", self.smoothing, 0.0, 0.95),
            ("camera", self.camera, 0.0, 1.0),
            ("skip", self.skip, 0.0, 1.0),
            ("refresh_s", self.refresh_s, 0.1, 60.0),
            ("cut", self.cut, 0.0, 1.0),
            ("target_fps", self.target_fps, 0.0, 240.0),
        ];
        numbers.into_iter().try_for_each(|(name, value, least, most)| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Invalid::Range { name, value, least, most })
        })?;
        check_size(self.size)
    }

    /// The prompts as one line, for a title or a log.
    pub fn prompt_line(&self) -> String {
        let texts: Vec<_> = self.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        texts.join(" + ")
    }
}

fn check_prompts(prompts: &[Prompt]) -> Result<(), Invalid> {
    let wrong = |why: String| Err(Invalid::Prompts(why));
    if prompts.is_empty() || prompts.len() > MOST_PROMPTS {
        return wrong(format!("there are {}: 1 to {MOST_PROMPTS} are mixed", prompts.len()));
    }
    if let Some(long) = prompts.iter().find(|prompt| prompt.text.len() > LONGEST_PROMPT_BYTES) {
        let bytes = long.text.len();
        return wrong(format!("one has {bytes} bytes: {LONGEST_PROMPT_BYTES} is the limit"));
    }
    let weights = || prompts.iter().map(|prompt| prompt.weight);
    if !weights().all(|weight| (0.0..=100.0).contains(&weight)) || weights().sum::<f32>() <= 0.0 {
        return wrong("weights go from 0 to 100, and one is above 0".to_owned());
    }
    Ok(())
}

fn check_size(Size { width, height }: Size) -> Result<(), Invalid> {
    let fits = |side: usize| (SIDES.0..=SIDES.1).contains(&side) && side.is_multiple_of(8);
    if fits(width) && fits(height) { Ok(()) } else { Err(Invalid::Size { width, height }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Controls::default().check(), Ok(()));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let controls = Controls { strength: f32::NAN, ..Controls::default() };
        assert!(controls.check().unwrap_err().to_string().starts_with("strength is NaN"));
        let controls = Controls { feedback: 1.0, ..Controls::default() };
        assert!(controls.check().unwrap_err().to_string().contains("0 to 0.95"));
        let controls = Controls { size: Size { width: 100, height: 64 }, ..Controls::default() };
        assert!(controls.check().unwrap_err().to_string().contains("100x64"));
    }

    #[test]
    fn prompts_are_some_and_short_and_weigh_something() {
        let with = |prompts| Controls { prompts, ..Controls::default() }.check();
        assert!(with(vec![]).is_err());
        assert!(with(vec![Prompt::new("a"); MOST_PROMPTS + 1]).is_err());
        assert!(with(vec![Prompt::new("a".repeat(LONGEST_PROMPT_BYTES + 1))]).is_err());
        assert!(with(vec![Prompt { text: "a".into(), weight: 0.0 }]).is_err());
        assert!(with(vec![Prompt { text: "a".into(), weight: f32::INFINITY }]).is_err());
        assert!(with(vec![Prompt { text: String::new(), weight: 0.5 }]).is_ok());
    }
}
