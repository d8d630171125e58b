//! One frame after the other through the steps of the live pipeline, in one
//! thread: prepare, paint, smooth, blend.

use std::time::Duration;

use laterna_control::Controls;
use laterna_live::{Asked, settings_of};
use laterna_pipeline::blend::{Smoother, mix, planes_to_rgb, weight};
use laterna_pipeline::port::{Input, Stage};
use laterna_pipeline::prepare::Prepare;
use laterna_pipeline::settings::Settings;
use laterna_pipeline::similar::{Thumbnail, Verdict, Watch};
use laterna_pipeline::{Image, Size};
use laterna_tensor::Tensor;

use crate::error::{During, Failure};

const WHAT: &str = "cannot paint a frame";

/// The stage with what is between it and the pictures.
pub struct Painting {
    stage: Box<dyn Stage<Asked>>,
    prepare: Prepare,
    picture: Tensor,
    painted: Tensor,
    thumbnail: Thumbnail,
    watch: Watch,
    smoother: Smoother,
}

impl Painting {
    /// Paints with `stage`.
    pub fn new(stage: Box<dyn Stage<Asked>>) -> Self {
        let shape = stage.size().shape();
        Self {
            stage,
            prepare: Prepare::default(),
            picture: Tensor::zeros(shape),
            painted: Tensor::zeros(shape),
            thumbnail: Thumbnail::default(),
            watch: Watch::default(),
            smoother: Smoother::default(),
        }
    }

    /// The size of what it makes.
    pub fn size(&self) -> Size {
        self.stage.size()
    }

    /// Paints one picture of a clip, whose time is `time`, into `shown`.
    ///
    /// # Errors
    /// If the model fails.
    pub fn frame(
        &mut self,
        image: &Image,
        sequence: u64,
        time: Duration,
        controls: &Controls,
        shown: &mut Image,
    ) -> Result<(), Failure> {
        let size = self.size();
        let settings = settings_of(Asked { controls: controls.clone(), resets: 0 });
        let planes = self.picture.as_f32_mut().during(WHAT)?;
        self.prepare.run(image, settings.view, size, planes);
        self.thumbnail.read(planes, size);
        let cut = self.is_cut(time, &settings);
        let Settings { stage: settings, smoothing, camera, .. } = settings;
        let input =
            Input { picture: &self.picture, settings: &settings, cut, sequence, captured: time };
        let painted = self.stage.run(&input, &mut self.painted);
        painted.map_err(|error| Failure::input(WHAT, error))?;
        shown.reset(size);
        planes_to_rgb(self.painted.as_f32().during(WHAT)?, shown.rgb_mut());
        if cut {
            self.smoother.reset();
        }
        self.smoother.apply(shown.rgb_mut(), smoothing);
        self.blend(weight(camera), shown)
    }

    fn is_cut(&mut self, time: Duration, settings: &Settings<Asked>) -> bool {
        let similarity = &settings.similarity;
        let verdict = self.watch.judge(&self.thumbnail, time, true, similarity);
        self.watch.note(&self.thumbnail, time, similarity);
        matches!(verdict, Verdict::Infer { cut: true })
    }

    fn blend(&mut self, share: u16, shown: &mut Image) -> Result<(), Failure> {
        if share > 0 {
            let mut camera = Image::new(self.size());
            planes_to_rgb(self.picture.as_f32().during(WHAT)?, camera.rgb_mut());
            mix(shown.rgb_mut(), camera.rgb(), share);
        }
        Ok(())
    }
}
