//! What a session is given from outside.

use laterna_control::{Activity, ModelChoice, ModelOffer, Size, SourceChoice};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{PortError, Sink, Source, Stage};

use crate::session::Asked;

/// Is told what is being done.
pub type Tell<'a> = dyn Fn(Activity) + Sync + 'a;

/// Sources, models and files, by the names that users give them.
pub trait Ports: Send + Sync {
    /// Opens what `spec` names, and says what that turned out to be.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open_source(&self, spec: &str) -> Result<(Box<dyn Source>, SourceChoice), PortError>;

    /// What could be opened.
    fn sources(&self) -> Vec<SourceChoice>;

    /// Loads a model for pictures of one size. It may take seconds, or minutes if it
    /// has to be downloaded; `tell` hears how far it is.
    ///
    /// # Errors
    /// If there is no such model, or it cannot paint pictures of this size.
    fn build(
        &self,
        model: &ModelChoice,
        size: Size,
        tell: &Tell<'_>,
    ) -> Result<Box<dyn Stage<Asked>>, PortError>;

    /// What could be loaded.
    fn models(&self) -> Vec<ModelOffer>;

    /// Begins a recording, and returns its file's name.
    ///
    /// # Errors
    /// If the file cannot be made.
    fn record(&self) -> Result<(String, Box<dyn Sink>), PortError>;

    /// Saves a frame and returns its file's name.
    ///
    /// # Errors
    /// If the file cannot be written.
    fn save(&self, frame: &Frame) -> Result<String, PortError>;
}
