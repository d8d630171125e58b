//! What has to be Core ML's, as a trait: everything around it is tried on any
//! system with a device that stands in for it.

use std::path::{Path, PathBuf};

use laterna_tensor::Surface;

use super::{Interface, Options, Placement, RunError};
use crate::emit::Target;

/// What compiles packages, loads the compiled models and runs them.
pub trait Device: Send + Sync {
    /// The system's build number, such as "23F79".
    fn build(&self) -> String;

    /// The newest kind of package that the system takes.
    fn target(&self) -> Target;

    /// Makes a package into a compiled model; gives the folder of it, which is the
    /// caller's to move. Packages that are compiled at the same time must have
    /// different names.
    ///
    /// # Errors
    /// If the package is refused.
    fn compile(&self, package: &Path) -> Result<PathBuf, RunError>;

    /// Loads a compiled model into this process, which a crash ends.
    ///
    /// # Errors
    /// If the model is refused.
    fn open(
        &self,
        model: &Path,
        interface: &Interface,
        options: &Options,
    ) -> Result<Box<dyn Opened>, RunError>;

    /// Which device each operation of a compiled model gets.
    ///
    /// # Errors
    /// If the system cannot tell.
    fn placement(&self, model: &Path, options: &Options) -> Result<Placement, RunError>;
}

/// A loaded model.
pub trait Opened: Send + Sync {
    /// The model with arrays of its own. Predictors of one model run at the same time.
    ///
    /// # Errors
    /// If the arrays cannot be made.
    fn predictor(&self) -> Result<Box<dyn Predictor>, RunError>;
}

/// A model with the memory of its inputs and outputs, which each prediction uses
/// anew. Inputs and outputs go by their position in the [`Interface`].
pub trait Predictor: Send {
    /// Writes an input of fractions, row-major; in half precision they are rounded to
    /// nearest, and what is too large becomes infinite. A picture is given as
    /// `[1, 3, height, width]` in -1..=1.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    ///
    /// # Panics
    /// If there is no such input; so do the others.
    fn write_f32(&mut self, input: usize, values: &[f32]) -> Result<(), RunError>;

    /// Reads a picture where it is instead, until another is given or written; false if
    /// it is none of the device's, or of another size.
    ///
    /// # Errors
    /// If the device does not take it.
    fn share(&mut self, input: usize, picture: &Surface) -> Result<bool, RunError>;

    /// Writes an input of integers, which have 32 bits there.
    ///
    /// # Errors
    /// If the length or the type does not fit, or a number does not.
    fn write_i64(&mut self, input: usize, values: &[i64]) -> Result<(), RunError>;

    /// Computes the outputs from the inputs.
    ///
    /// # Errors
    /// If the device fails.
    fn predict(&mut self) -> Result<(), RunError>;

    /// Reads an output of fractions, as the last prediction left it.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    fn read_f32(&mut self, output: usize, values: &mut [f32]) -> Result<(), RunError>;

    /// Reads an output of integers.
    ///
    /// # Errors
    /// If the length or the type does not fit.
    fn read_i64(&mut self, output: usize, values: &mut [i64]) -> Result<(), RunError>;
}
