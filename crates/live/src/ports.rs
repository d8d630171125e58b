//! What a session is given from outside.

use laterna_control::{ModelChoice, Size, SourceChoice};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{PortError, Sink, Source, Stage};

use crate::session::Asked;

/// Sources, models and files, by the names that users give them.
pub trait Ports: Send + Sync {
    /// Opens what `spec` names, and says what that turned out to be.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open_source(&self, spec: &str) -> Result<(Box<dyn Source>, SourceChoice), PortError>;

    /// What could be opened.
    fn sources(&self) -> Vec<SourceChoice>;

    /// Loads a model for pictures of one size. It may take seconds.
    ///
    /// # Errors
    /// If there is no such model, or it cannot paint pictures of this size.
    fn build(&self, model: &ModelChoice, size: Size) -> Result<Box<dyn Stage<Asked>>, PortError>;

    /// Models that can be loaded without a download.
    fn models(&self) -> Vec<String>;

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
