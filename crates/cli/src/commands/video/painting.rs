//! One frame after the other through the steps of the live pipeline, in one
//! thread: prepare, paint, smooth, blend.

use std::time::Duration;

use laterna_control::Controls;
use laterna_live::{Asked, Painter, settings_of};
use laterna_pipeline::blend::{Smoother, compose};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{Input, Stage};
use laterna_pipeline::prepare::Prepare;
use laterna_pipeline::settings::Settings;
use laterna_pipeline::similar::{self, Thumbnail, Verdict, Watch};
use laterna_pipeline::{Image, Size};
use laterna_tensor::Tensor;

use crate::error::{During, Failure};

const WHAT: &str = "cannot paint a frame";

/// What is remembered from one frame to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// By the stage: latent and prompt.
    pub painter: laterna_live::Memory,
    /// By what tells cuts; none before the first frame.
    pub watch: Option<similar::Memory>,
    /// By the smoothing, see [`Smoother::average`].
    pub average: Vec<i16>,
}

/// The stage with what is between it and the pictures.
pub struct Painting {
    stage: Painter,
    prepare: Prepare,
    picture: Tensor,
    painted: Tensor,
    thumbnail: Thumbnail,
    watch: Watch,
    smoother: Smoother,
    frame: Frame,
}

impl Painting {
    /// Paints with `stage`.
    pub fn new(stage: Painter) -> Self {
        let shape = stage.size().shape();
        Self {
            stage,
            prepare: Prepare::default(),
            picture: Tensor::zeros(shape),
            painted: Tensor::zeros(shape),
            thumbnail: Thumbnail::default(),
            watch: Watch::default(),
            smoother: Smoother::default(),
            frame: Frame::default(),
        }
    }

    /// The size of what it makes.
    pub fn size(&self) -> Size {
        self.stage.size()
    }

    /// What it remembers.
    pub fn memory(&self) -> Memory {
        let (painter, watch) = (self.stage.memory(), self.watch.memory());
        Memory { painter, watch, average: self.smoother.average().to_vec() }
    }

    /// Goes on where another one was, of the same model and size.
    ///
    /// # Errors
    /// If the memory is not of such a one; nothing changes then.
    pub fn recall(&mut self, memory: Memory) -> Result<(), String> {
        let Memory { painter, watch, average } = memory;
        let watch = watch.map_or(Some(Watch::default()), |watch| Watch::recall(&watch));
        let watch = watch.ok_or("the memory is of another grid")?;
        if !average.is_empty() && average.len() != 3 * self.size().area() {
            return Err("the memory is of another size".to_owned());
        }
        self.stage.recall(painter).map_err(|error| error.to_string())?;
        (self.watch, self.smoother) = (watch, Smoother::of_average(average));
        Ok(())
    }

    /// Paints one picture of a clip, whose time is `time`.
    ///
    /// # Errors
    /// If the model fails.
    pub fn frame(
        &mut self,
        image: &Image,
        sequence: u64,
        time: Duration,
        controls: &Controls,
    ) -> Result<&Image, Failure> {
        let size = self.size();
        let settings = settings_of(Asked { controls: controls.clone(), resets: 0 });
        let planes = self.picture.as_f32_mut().during(WHAT)?;
        self.prepare.run(image, settings.view, size, planes);
        self.thumbnail.read(planes, size);
        let cut = self.is_cut(time, &settings);
        let picture = &self.picture;
        let input = Input { picture, settings: &settings.stage, cut, sequence, captured: time };
        let painted = self.stage.run(&input, &mut self.painted);
        painted.map_err(|error| Failure::input(WHAT, error))?;
        if cut {
            self.smoother.reset();
        }
        let planes = [picture.as_f32().during(WHAT)?, self.painted.as_f32().during(WHAT)?];
        compose(&mut self.frame, size, planes, &mut self.smoother, &settings);
        Ok(&self.frame.painting)
    }

    fn is_cut(&mut self, time: Duration, settings: &Settings<Asked>) -> bool {
        let similarity = &settings.similarity;
        let verdict = self.watch.judge(&self.thumbnail, time, true, similarity);
        self.watch.note(&self.thumbnail, time, similarity);
        matches!(verdict, Verdict::Infer { cut: true })
    }
}
