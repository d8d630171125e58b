//! A finished frame: the painting, the camera's picture that it was made of,
//! and its trail, which is what it went through and when.

use std::time::Duration;

use crate::image::Image;

/// A painting with its camera picture, both of the model's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The painting, smoothed and blended as the settings say.
    pub painting: Image,
    /// The camera's picture as the model saw it, for comparison.
    pub camera: Image,
    /// Where it comes from.
    pub trail: Trail,
}

/// What a frame went through. Times are the pipeline's clock's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Its number in the order of capture, from 0.
    pub sequence: u64,
    /// When its light was caught.
    pub captured: Duration,
    /// Crop, resize, normalise.
    pub prepare: Span,
    /// The model.
    pub infer: Span,
    /// To 8 bits, smooth, blend.
    pub finish: Span,
    /// The version of the settings that the model read.
    pub settings: u64,
    /// Number of the scene, from 0: it grows with each cut.
    pub scene: u64,
}

/// The steps of a frame between capture and the slots of the sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Crop, resize, normalise.
    Prepare,
    /// The model.
    Infer,
    /// To 8 bits, smooth, blend.
    Finish,
}

/// From when to when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub begin: Duration,
    /// When it ended.
    pub end: Duration,
}

impl Span {
    /// How long it took.
    pub fn length(self) -> Duration {
        self.end.saturating_sub(self.begin)
    }
}
