//! The infer thread: runs the stage on the newest prepared picture whenever it
//! is free. What goes wrong in the stage costs frames, never the thread.

use std::sync::Arc;

use laterna_tensor::Tensor;

use super::load::Loaded;
use super::prepare::{Prepared, Preparer};
use super::shared::Shared;
use crate::backoff::Backoff;
use crate::blend::frames_to_settle;
use crate::demand::Wanted;
use crate::event::Event;
use crate::frame::{Span, Step, Trail};
use crate::guard::{Fault, guarded};
use crate::port::{BuildStage, Input, Motion, PortError, Stage};
use crate::recycle::Recycler;
use crate::settings::{Current, Settings};
use crate::similar::{Verdict, Watch};
use crate::slot::Taken;
use crate::stats::Fate;

/// Tensors alive at once: here, in the slot, in `finish`, and one to spare.
const POOL: usize = 4;

/// Errors in a row after which a stage is built anew: it does not recover, as
/// after a lost device.
const PATIENCE: u32 = 3;

/// A painting as the model wrote it.
pub(super) struct Generated {
    pub(super) input: Prepared,
    /// `[1, 3, height, width]`, about -1..=1.
    pub(super) output: Arc<Tensor>,
    /// Complete but for `finish`.
    pub(super) trail: Trail,
}

pub(super) fn run<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>, build: BuildStage<S>) {
    let mut infer = Infer {
        shared,
        build,
        stage: None,
        preparer: Preparer::new(),
        outputs: Recycler::new(POOL),
        watch: Watch::default(),
        motion: Motion::Gliding,
        version: 0,
        scene: 0,
        stage_scene: 0,
        failures: 0,
        in_trouble: false,
        backoff: Backoff::new(),
    };
    while infer.has_stage() {
        shared.demand.settle(&*shared.clock);
        let Taken::Value(prepared) = shared.prepared.take(&*shared.clock, None) else { return };
        infer.frame(prepared);
    }
}

struct Infer<'a, S> {
    shared: &'a Arc<Shared<S>>,
    build: BuildStage<S>,
    stage: Option<Box<dyn Stage<S>>>,
    /// For the frame on the way when the size changes.
    preparer: Preparer,
    outputs: Recycler<Tensor>,
    watch: Watch,
    motion: Motion,
    /// Of the settings at the last frame.
    version: u64,
    /// Number of the scene, and of the one that the stage saw last.
    scene: u64,
    stage_scene: u64,
    failures: u32,
    in_trouble: bool,
    backoff: Backoff,
}

impl<S: Send + Sync + 'static> Infer<'_, S> {
    /// Builds a stage until there is one; false once the pipeline stops.
    fn has_stage(&mut self) -> bool {
        while self.stage.is_none() && !self.shared.is_stopped() {
            if let Some(loaded) = self.shared.loaded.try_take() {
                self.switch(loaded);
            } else if let Err(error) = self.build() {
                self.note_trouble(Event::BuildFailed(error));
                self.shared.pause(self.backoff.fail());
            }
        }
        !self.shared.is_stopped()
    }

    fn build(&mut self) -> Result<(), PortError> {
        let stage = guarded(&mut self.build)?;
        self.adopt(stage);
        Ok(())
    }

    /// Takes up a loaded stage. The old one is dropped elsewhere: freeing its
    /// memory may take longer than a frame.
    fn switch(&mut self, Loaded { stage, build }: Loaded<S>) {
        self.build = build;
        if let Some(old) = self.stage.take() {
            // Without a thread the stage is dropped here.
            drop(self.shared.spawn("retire", move |_| drop(old)));
        }
        self.adopt(stage);
    }

    fn adopt(&mut self, stage: Box<dyn Stage<S>>) {
        let (size, wanted) = (stage.size(), wanted(&*stage));
        self.stage = Some(stage);
        self.failures = 0;
        self.watch.forget();
        self.shared.demand.set_wanted(Some(wanted));
        self.shared.report(Event::StageReady(size));
    }

    fn frame(&mut self, prepared: Prepared) {
        if let Some(loaded) = self.shared.loaded.try_take() {
            self.switch(loaded);
        }
        let settings = self.shared.settings.get();
        let Some(mut stage) = self.stage.take() else {
            return self.shared.stats.ended(Fate::Dropped);
        };
        let prepared = self.fitting(prepared, wanted(&*stage), &settings);
        if !self.is_new(&prepared, &settings) {
            self.stage = Some(stage);
            self.shared.demand.again();
            return self.shared.stats.ended(Fate::Skipped);
        }
        let (output, span, result) = self.run_stage(&mut *stage, &prepared, &settings);
        match result {
            Ok(motion) => {
                self.stage = Some(stage);
                self.pass(prepared, output, self.trail(span, &settings), motion);
            }
            Err(fault) => self.fail(stage, fault),
        }
    }

    /// The picture at the stage's size: prepared again if the stage changed on
    /// the way, so that a switch costs no frame.
    fn fitting(
        &mut self,
        prepared: Prepared,
        wanted: Wanted,
        settings: &Current<Settings<S>>,
    ) -> Prepared {
        if prepared.size == wanted.size {
            return prepared;
        }
        self.shared.demand.set_wanted(Some(wanted));
        let clock = &*self.shared.clock;
        self.preparer.run(clock, prepared.captured, settings.value.view, wanted.size)
    }

    /// Whether to infer the picture; a changed setting makes every picture new.
    fn is_new(&mut self, prepared: &Prepared, settings: &Current<Settings<S>>) -> bool {
        let (now, similarity) = (self.shared.clock.now(), &settings.value.similarity);
        let must = self.motion == Motion::Gliding
            || self.version != settings.version
            || self.watch.still() < frames_to_settle(settings.value.smoothing);
        let picture = &prepared.ready.thumbnail;
        let Verdict::Infer { cut } = self.watch.judge(picture, now, must, similarity) else {
            return false;
        };
        self.scene += u64::from(cut);
        self.watch.note(picture, now, similarity);
        true
    }

    fn run_stage(
        &mut self,
        stage: &mut dyn Stage<S>,
        prepared: &Prepared,
        settings: &Current<Settings<S>>,
    ) -> (Arc<Tensor>, Span, Result<Motion, Fault>) {
        let input = Input {
            picture: &prepared.ready.tensor,
            settings: &settings.value.stage,
            cut: self.scene != self.stage_scene,
            sequence: prepared.captured.sequence,
            captured: prepared.captured.at,
        };
        let (clock, demand) = (&*self.shared.clock, &self.shared.demand);
        let mut result = Ok(Motion::Settled);
        let write = |output: &mut Tensor| {
            clock.time(Step::Infer, &mut || result = guarded(|| stage.run(&input, output)))
        };
        let shape = prepared.size.shape();
        let fits = |output: &Tensor| *output.shape() == shape;
        demand.begin(clock.now());
        let (output, span) = self.outputs.fill(fits, || Tensor::zeros(shape), write);
        demand.end(clock.now(), span.length());
        (output, span, result)
    }

    fn trail(&self, infer: Span, settings: &Current<Settings<S>>) -> Trail {
        Trail { infer, settings: settings.version, scene: self.scene, ..Trail::default() }
    }

    fn pass(&mut self, input: Prepared, output: Arc<Tensor>, trail: Trail, motion: Motion) {
        (self.motion, self.version, self.stage_scene) = (motion, trail.settings, self.scene);
        self.note_success();
        let stats = &self.shared.stats;
        stats.step(Step::Infer, trail.infer);
        stats.ended(Fate::Generated);
        let trail = Trail {
            sequence: input.captured.sequence,
            captured: input.captured.at,
            prepare: input.span,
            ..trail
        };
        if self.shared.generated.put(Generated { input, output, trail }).is_some() {
            stats.discarded();
        }
    }

    fn fail(&mut self, stage: Box<dyn Stage<S>>, fault: Fault) {
        self.shared.stats.ended(Fate::Failed);
        self.watch.forget();
        self.failures += 1;
        let must_rebuild = matches!(fault, Fault::Panic(_)) || self.failures == PATIENCE;
        self.note_trouble(match fault {
            Fault::Error(error) => Event::StageFailed(error),
            Fault::Panic(message) => Event::StagePanicked(message),
        });
        if must_rebuild {
            self.discard(stage);
        } else {
            self.stage = Some(stage);
        }
    }

    /// Drops a broken stage, which may panic once more.
    fn discard(&mut self, stage: Box<dyn Stage<S>>) {
        self.shared.demand.set_wanted(None);
        let dropped = guarded(|| {
            drop(stage);
            Ok(())
        });
        // The trouble that led here is what is reported.
        drop(dropped);
        self.shared.pause(self.backoff.fail());
    }

    fn note_trouble(&mut self, event: Event) {
        if !self.in_trouble {
            self.in_trouble = true;
            self.shared.report(event);
        }
    }

    fn note_success(&mut self) {
        self.failures = 0;
        self.backoff.succeed();
        if self.in_trouble {
            self.in_trouble = false;
            self.shared.report(Event::StageBack);
        }
    }
}

fn wanted<S>(stage: &dyn Stage<S>) -> Wanted {
    Wanted { size: stage.size(), surface: stage.reads_surfaces() }
}
