//! What the pipeline is given from outside: where pictures come from, what is
//! done to them, where they go, and the time.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use laterna_tensor::Tensor;

use crate::bell::Bell;
use crate::frame::{Frame, Span, Step};
use crate::image::{Image, Size};
use crate::prepare::Fit;

/// An error of a port, in the port's own words.
pub type PortError = Box<dyn Error + Send + Sync>;

/// What gives pictures: a camera, a file, a screen.
pub trait Source: Send {
    /// Waits for the next picture and writes it into `image`, whose buffer is
    /// used again and holds an old picture. It returns [`Read::Nothing`] rather
    /// than wait for more than some tens of milliseconds, so that it can be
    /// stopped.
    ///
    /// # Errors
    /// If there are no more pictures to be had until the source is opened anew.
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError>;

    /// Whether it may be left unread while no picture is wanted: nothing queues
    /// meanwhile, and the next read gives a current picture. What makes pictures
    /// only when it is read then takes no time from the model.
    fn rests(&self) -> bool {
        false
    }

    /// What the next picture is prepared for, said before each read once there is a
    /// model.
    fn aim(&mut self, _aim: Aim) {}

    /// What the user should know of a source that works, once; asked for after each read.
    fn note(&mut self) -> Option<String> {
        None
    }
}

/// What a picture is prepared for. A source may give just that: what draws its pictures
/// need not draw more, and what has a device to crop and scale them leaves the processor
/// little to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The model's size.
    pub size: Size,
    /// How a picture of another shape is made to fit. A mirrored picture is swapped later.
    pub fit: Fit,
    /// The model reads pictures in a device's memory, see [`Image::set_surface`].
    pub surface: bool,
}

/// What a source read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A picture, and when its light was caught.
    Picture {
        /// Time of the pipeline's clock.
        captured: Duration,
    },
    /// No picture yet: ask again.
    Nothing,
    /// There are no more pictures, as at the end of a file.
    End,
}

/// Opens a source, the first time and after each failure.
pub type OpenSource = Box<dyn FnMut() -> Result<Box<dyn Source>, PortError> + Send>;

/// What turns a picture into a picture: the model. `S` is what the user may
/// change about it while it runs.
pub trait Stage<S>: Send {
    /// The size of the pictures that it reads and writes.
    fn size(&self) -> Size;

    /// Whether it reads pictures in a device's memory, if they are there.
    fn reads_surfaces(&self) -> bool {
        false
    }

    /// Turns one picture into `output`, `[1, 3, height, width]`, -1..=1, which
    /// holds an old picture.
    ///
    /// # Errors
    /// If this picture could not be made.
    fn run(&mut self, input: &Input<'_, S>, output: &mut Tensor) -> Result<Motion, PortError>;
}

/// What a stage is given for one frame.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a, S> {
    /// The camera's picture, `[1, 3, height, width]`, -1..=1; with its surface, if it
    /// has one of that size and is not mirrored.
    pub picture: &'a Tensor,
    /// The user's settings, as they are when this frame begins.
    pub settings: &'a S,
    /// The scene has changed since the stage's last frame: what it remembers
    /// of earlier pictures no longer fits.
    pub cut: bool,
    /// The picture's number in the order of capture.
    pub sequence: u64,
    /// When the picture was captured.
    pub captured: Duration,
}

/// Whether the same picture again would give the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Yes.
    Settled,
    /// No: a prompt is gliding, so that even a still scene is to be inferred.
    Gliding,
}

/// Makes a stage: loads and compiles it, which may take seconds.
pub type BuildStage<S> = Box<dyn FnMut() -> Result<Box<dyn Stage<S>>, PortError> + Send>;

/// Where pictures go: a window, a page, a file.
pub trait Sink: Send {
    /// Shows one picture and returns when it is out. As long as it takes, newer
    /// pictures replace each other; nobody waits for it.
    ///
    /// # Errors
    /// If the sink is of no more use: it is dropped.
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError>;
}

/// A picture on its way to the glass.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The newest frame that the picture is made of.
    pub frame: &'a Arc<Frame>,
    /// The picture: the frame's painting, or a blend with the one before.
    pub image: &'a Image,
    /// Whether this sink has shown it before.
    pub kind: Kind,
}

/// How a shown picture relates to those shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A generated picture for the first time.
    Unique,
    /// The same generated picture again.
    Repeated,
    /// A blend of two generated pictures.
    Interpolated,
}

/// Time, and everything that waits for it. Times are counted from the clock's
/// start.
pub trait Clock: Send + Sync {
    /// Time since the start.
    fn now(&self) -> Duration;

    /// Waits until `bell` has rung other than `seen` times or until `deadline`.
    /// It may return early.
    fn wait(&self, bell: &Arc<Bell>, seen: u64, deadline: Option<Duration>);

    /// Starts a thread that may wait on this clock.
    ///
    /// # Errors
    /// If the system starts no thread.
    fn spawn(
        &self,
        name: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<JoinHandle<()>, io::Error>;

    /// Does one step's work and says when it began and ended. A simulated clock
    /// gives each step a length of its own.
    fn time(&self, step: Step, work: &mut dyn FnMut()) -> Span;
}
