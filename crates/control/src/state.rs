//! What a session tells about itself: everything that a page shows beside the
//! picture and the statistics.

use serde::Serialize;

use crate::command::ModelChoice;
use crate::controls::{Controls, Size};
use crate::gallery::Style;

/// Notices that are kept.
pub const MOST_NOTICES: usize = 20;

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// Grows with every change of what follows.
    pub version: u64,
    /// The controls in force.
    pub controls: Controls,
    /// Prompts to choose from.
    pub gallery: &'static [Style],
    /// Where pictures come from, and whether they come.
    pub source: SourceChoice,
    /// What else they could come from.
    pub sources: Vec<SourceChoice>,
    /// The model at work.
    pub model: ModelChoice,
    /// Models to choose from.
    pub models: Vec<ModelOffer>,
    /// The size at work, which a frame rate target may have lowered.
    pub working_size: Option<Size>,
    /// What is being loaded, if anything.
    pub loading: Option<Activity>,
    /// The recording under way, if any.
    pub recording: Option<Recording>,
    /// The latest notices, the newest last.
    pub notices: Vec<Notice>,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceChoice {
    /// What the command `source` takes.
    pub spec: String,
    /// Its name for people.
    pub label: String,
    /// Whether pictures come from it.
    pub live: bool,
}

/// A model to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelOffer {
    /// What the command `model` takes.
    pub name: String,
    /// Whether it is on this machine; it is downloaded otherwise.
    pub here: bool,
}

/// Something that takes a while.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Activity {
    /// What is being done.
    pub what: String,
    /// How much of it is done, 0 to 1, if that is known.
    pub part: Option<f32>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recording {
    /// The file.
    pub file: String,
    /// Its length so far in seconds.
    pub seconds: f64,
}

/// Something that the user should know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// Its number, from 0.
    pub number: u64,
    /// Seconds since the session's start.
    pub at_s: f64,
    /// How bad it is.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    Info,
    /// The picture goes on, but not as asked.
    Warning,
    /// Something asked for did not happen.
    Error,
}
