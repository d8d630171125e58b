//! What the user is told when a command fails: what failed, why, and what can
//! be done; and the exit code, which tells bad input from everything else.

use std::fmt::{self, Display};
use std::io;

use laterna_cpu::CpuError;
use laterna_diffusion::RatedError;
use laterna_diffusion::scheduler::SchedulerError;
use laterna_diffusion::session::SessionError;
use laterna_graph::{CompileError, RunError};
use laterna_kernels::{CONVOLUTIONS_VARIABLE, IsaError};
use laterna_media::sink::recorder::RecordError;
use laterna_media::sink::stream::StreamError;
use laterna_media::sink::virtual_camera::VirtualCameraError;
use laterna_media::sink::window::WindowError;
use laterna_media::source::SourceError;
use laterna_models::clip::TokenizerError;
use laterna_models::folder::CheckError;
use laterna_models::{ConfigError, FolderError, ModelError};
use laterna_tensor::{PictureError, TensorError};
use laterna_web::ServeError;
use laterna_weights::{HubError, LoraError, WeightError};

/// Whose fault a failure is, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What the user gave: arguments, files, folders, disks.
    Input = 2,
    /// The system (the network, memory) or a bug of ours.
    System = 1,
    /// Core ML does not take a model: told to the process that had it tried.
    Refused = laterna_coreml::run::REFUSED as isize,
}

/// A failure as it is shown.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    why: String,
    hint: Option<String>,
}

impl Failure {
    /// The user gave something that does not work.
    pub fn input(what: impl Display, why: impl Display) -> Self {
        Self { exit: Exit::Input, what: what.to_string(), why: why.to_string(), hint: None }
    }

    /// The same failure with advice.
    pub fn hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// One line, and another one if there is advice.
    pub fn report(&self) {
        let (red, cyan) = (style(anstyle::AnsiColor::Red), style(anstyle::AnsiColor::Cyan));
        let (what, why) = (one_line(&self.what), one_line(&self.why));
        anstream::eprintln!("{red}error:{red:#} {what}: {why}");
        if let Some(hint) = &self.hint {
            anstream::eprintln!("{cyan}hint:{cyan:#} {}", one_line(hint));
        }
    }
}

fn style(color: anstyle::AnsiColor) -> anstyle::Style {
    color.on_default().bold()
}

/// Foreign text (file names, tensor names) must not break the line or drive
/// the terminal.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_end().chars().map(shown).collect()
}

/// An error of a layer below, which knows whose fault it is.
pub trait Cause: Display {
    /// Whose fault it is.
    fn exit(&self) -> Exit {
        Exit::Input
    }

    /// What the user can do.
    fn advice(&self) -> Option<String> {
        None
    }
}

/// Turns an error into a [`Failure`] by saying what was being done.
pub trait During<T> {
    /// `what` completes "error: ...".
    ///
    /// # Errors
    /// The failure.
    fn during(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Cause> During<T> for Result<T, E> {
    fn during(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            exit: error.exit(),
            what: what.to_string(),
            why: error.to_string(),
            hint: error.advice(),
        })
    }
}

impl Cause for ConfigError {}
impl Cause for ModelError {}
impl Cause for CheckError {}
impl Cause for TokenizerError {}
impl Cause for SchedulerError {
    fn advice(&self) -> Option<String> {
        match self {
            Self::NoStep { .. } => Some("raise --strength or --steps".to_owned()),
            _ => None,
        }
    }
}
impl Cause for RatedError {
    fn exit(&self) -> Exit {
        match self {
            Self::Compile(error) => error.exit(),
            Self::Split(_) => Exit::Input,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Compile(error) => error.advice(),
            Self::Split(_) => None,
        }
    }
}
impl Cause for LoraError {}
impl Cause for PictureError {}
impl Cause for TensorError {}
impl Cause for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Device { .. } => Exit::System,
            _ => Exit::Input,
        }
    }
}
impl Cause for laterna_graph::WeightError {}

impl Cause for laterna_coreml::run::RunError {
    fn exit(&self) -> Exit {
        if self.is_refusal() { Exit::Refused } else { Exit::Input }
    }

    fn advice(&self) -> Option<String> {
        self.hint()
    }
}

impl Cause for FolderError {
    fn advice(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.advice(),
            _ => None,
        }
    }
}

impl Cause for SessionError {
    fn exit(&self) -> Exit {
        match self {
            Self::Compile(error) => error.exit(),
            Self::Rated(error) => error.exit(),
            Self::Run(error) => error.exit(),
            _ => Exit::Input,
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Scheduler(error) => return error.advice(),
            Self::Compile(error) => return error.advice(),
            Self::Rated(error) => return error.advice(),
            Self::PictureNeeded => "give the picture to edit with --input",
            Self::NegativeEmbeddingNeeded => {
                "add negative_prompt_embeds to the file, or set --guidance 1"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

impl Cause for CompileError {
    fn exit(&self) -> Exit {
        match self {
            Self::Pass(_) | Self::Plan(_) | Self::Device { .. } => Exit::System,
            _ => Exit::Input,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Device { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

impl Cause for WeightError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::NoComponent { .. } => {
                "give the folder that holds model_index.json, or one with the component's folder"
            }
            Self::Header { .. } => "the file may be damaged: fetch or export it again",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

impl Cause for HubError {
    fn exit(&self) -> Exit {
        match self {
            Self::Request { .. } | Self::Answer { .. } | Self::Incomplete { .. } => Exit::System,
            _ => Exit::Input,
        }
    }

    fn advice(&self) -> Option<String> {
        self.hint()
    }
}

impl Cause for IsaError {
    fn advice(&self) -> Option<String> {
        Some("`laterna doctor` lists the instruction sets of this CPU".to_owned())
    }
}

impl Cause for CpuError {
    fn advice(&self) -> Option<String> {
        match self {
            Self::Isa(error) => error.advice(),
            Self::Convolutions(_) => Some(format!("unset {CONVOLUTIONS_VARIABLE}")),
        }
    }
}

impl Cause for SourceError {}
impl Cause for RecordError {}
impl Cause for StreamError {}

impl Cause for VirtualCameraError {
    fn advice(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }
}

impl Cause for WindowError {
    fn advice(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }
}

impl Cause for ServeError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "another program listens there: choose another with --port, or 0 for a free one"
            }
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

impl Cause for io::Error {
    fn advice(&self) -> Option<String> {
        let advice = match self.kind() {
            io::ErrorKind::StorageFull => "free some space or write to another disk",
            io::ErrorKind::NotFound => "the folder must exist",
            io::ErrorKind::PermissionDenied => "choose a folder that you may write to",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m\n"), "a b [31m");
    }

    #[test]
    fn the_network_is_not_the_users_fault() {
        let failed = HubError::Request { name: "a/b".into(), url: "u".into(), reason: "r".into() };
        let failure = Err::<(), _>(failed).during("cannot fetch").unwrap_err();
        assert_eq!(failure.exit(), Exit::System);
        assert!(failure.to_string().starts_with("cannot fetch: a/b"));
        assert!(failure.hint.is_some());
    }
}
