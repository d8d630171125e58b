//! The live session on the built-in model, against the session that makes one
//! picture at a time.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::sync::{Arc, Mutex};

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_diffusion::live::{Controls, Live, Memory};
use laterna_diffusion::scheduler::Config;
use laterna_diffusion::session::{Parts, Prompt, Request, Session, Size, TextPart};
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Op, OpFacts, Program, Support, WeightSource,
};
use laterna_models::{Model, Weights};
use laterna_quality::psnr;
use laterna_tensor::Tensor;
use laterna_weights::{BuiltIn, ModelFolder, Precision};

static STARTER: BuiltIn = BuiltIn { root: "starter", files: laterna_starter::FILES };
const SIZE: Size = Size { width: 64, height: 48 };
/// Of pictures in -1..=1: the two differ in the order of a few products.
const MIN_PSNR: f64 = 80.0;

struct Checkpoint {
    model: Model,
    weights: Weights,
}

impl Checkpoint {
    fn open() -> Self {
        let model = Model::of(ModelFolder::built_in(&STARTER), Precision::Full).unwrap();
        let weights = model.weights(&["unet", "vae", "text_encoder"]).unwrap();
        Self { model, weights }
    }

    fn parts(&self) -> Parts<'_> {
        let (path, json) = self.model.json("scheduler", "scheduler_config.json").unwrap();
        let encoder = self.model.text_encoder("text_encoder").unwrap();
        let text = TextPart {
            prefix: "text_encoder".to_owned(),
            config: encoder.config,
            projects: encoder.projection,
            tokenizer: self.model.tokenizer("tokenizer").unwrap(),
        };
        Parts {
            unet: self.model.unet().unwrap(),
            vae: self.model.vae().unwrap(),
            texts: vec![text],
            scheduler: Config::parse(&path.display().to_string(), &json).unwrap(),
            zeros_for_empty_prompt: false,
            weights: &self.weights,
        }
    }

    fn live(&self) -> Live {
        Live::new(self.parts(), &backend(), SIZE).unwrap()
    }

    /// What the session of single pictures makes.
    fn picture(&self, picture: &Tensor, prompt: &str, controls: Controls) -> Tensor {
        let mut session = Session::new(self.parts(), &backend(), SIZE).unwrap();
        let request = Request {
            prompt: Prompt::Text { positive: prompt, negative: None },
            picture: Some(picture),
            strength: controls.strength,
            steps: 1,
            guidance: 1.0,
            image_guidance: 1.0,
            seed: controls.seed,
            scheduler: None,
            noise: None,
            step_noise: None,
            autoencoder_noise: None,
        };
        session.generate(&request, &mut |_| {}).unwrap()
    }
}

fn backend() -> CpuBackend {
    CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap()
}

/// Waves, moved by `shift` pixels.
fn waves(shift: usize) -> Tensor {
    let Size { width, height } = SIZE;
    let value = |i: usize| {
        let (c, y, x) = (i / (width * height), i / width % height, i % width + shift);
        (0.11 * (x * (c + 1)) as f32 + 0.07 * y as f32).sin() * 0.8
    };
    Tensor::from_f32([1, 3, height, width], (0..3 * width * height).map(value).collect()).unwrap()
}

fn frame(live: &mut Live, picture: &Tensor) -> Tensor {
    let mut painted = Tensor::zeros(picture.shape());
    live.frame(picture, &mut painted).unwrap();
    painted
}

fn decibels(a: &Tensor, b: &Tensor) -> f64 {
    psnr(a.as_f32().unwrap(), b.as_f32().unwrap(), 2.0).unwrap()
}

fn controls(strength: f32, feedback: f32, seed: u64) -> Controls {
    Controls { strength, feedback, seed, ..Controls::default() }
}

/// Notes which inputs it is told to be pictures.
struct Noting(CpuBackend, Mutex<Vec<String>>);

impl Backend for Noting {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn supports(&self, op: &Op, facts: OpFacts<'_>) -> Support {
        self.0.supports(op, facts)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError> {
        let program = self.0.compile(graph, weights, options)?;
        let inputs = program.inputs().iter().map(|port| &*port.name);
        let pictures = inputs.filter(|name| options.pictures.contains(name));
        self.1.lock().unwrap().extend(pictures.map(str::to_owned));
        Ok(program)
    }
}

#[test]
fn the_frames_picture_is_told_to_be_one() {
    let noting = Noting(backend(), Mutex::default());
    let live = Live::new(Checkpoint::open().parts(), &noting, SIZE).unwrap();
    assert_eq!(*noting.1.lock().unwrap(), ["image"]);
    assert!(!live.reads_surfaces(), "a CPU's pictures are elsewhere");
}

#[test]
fn every_change_is_effective_with_the_next_frame() {
    let (checkpoint, picture) = (Checkpoint::open(), waves(0));
    let mut live = checkpoint.live();
    for (prompt, strength, seed) in [
        ("oil painting", 0.8, 0),
        ("oil painting", 0.3, 0),
        ("pencil sketch", 0.3, 0),
        ("", 0.95, 7),
    ] {
        let controls = controls(strength, 0.0, seed);
        live.set_prompt(live.encode(prompt).unwrap());
        live.set_controls(controls).unwrap();
        let expected = checkpoint.picture(&picture, prompt, controls);
        let found = decibels(&frame(&mut live, &picture), &expected);
        assert!(found >= MIN_PSNR, "{prompt} {strength} {seed}: {found:.1} dB");
    }
}

#[test]
fn feedback_remembers_until_it_is_told_to_forget() {
    let checkpoint = Checkpoint::open();
    let mut live = checkpoint.live();
    live.set_controls(controls(0.5, 0.4, 0)).unwrap();
    let fresh = frame(&mut live, &waves(9));
    live.forget();
    frame(&mut live, &waves(0));
    let remembering = frame(&mut live, &waves(9));
    live.forget();
    assert_eq!(frame(&mut live, &waves(9)), fresh);
    let found = decibels(&remembering, &fresh);
    assert!(found < 45.0, "feedback changes nothing: {found:.1} dB");
}

#[test]
fn the_same_frames_give_the_same_pictures() {
    let checkpoint = Checkpoint::open();
    let run = || {
        let mut live = checkpoint.live();
        live.set_controls(controls(0.6, 0.3, 3)).unwrap();
        (0..4).map(|shift| frame(&mut live, &waves(shift))).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn controls_out_of_range_change_nothing() {
    let checkpoint = Checkpoint::open();
    let mut live = checkpoint.live();
    let before = frame(&mut live, &waves(0));
    for wrong in [controls(0.5, 1.5, 9), controls(1.5, 0.0, 9), controls(f32::NAN, 0.0, 9)] {
        assert!(live.set_controls(wrong).is_err(), "{wrong:?}");
    }
    live.forget();
    assert_eq!(frame(&mut live, &waves(0)), before);
}

#[test]
fn what_one_session_remembers_another_goes_on_with() {
    let checkpoint = Checkpoint::open();
    let start = || {
        let mut live = checkpoint.live();
        live.set_controls(controls(0.5, 0.4, 3)).unwrap();
        live
    };
    let (mut first, mut second) = (start(), start());
    frame(&mut first, &waves(0));
    frame(&mut first, &waves(4));
    second.recall(first.memory()).unwrap();
    assert_eq!(second.memory(), first.memory());
    assert_eq!(frame(&mut second, &waves(9)), frame(&mut first, &waves(9)));
    let before = second.memory();
    for latent in [Tensor::zeros([1, 4, 1, 1]), Tensor::from_i64([1], vec![0]).unwrap()] {
        assert!(second.recall(Memory { latent, remembers: true }).is_err());
        assert_eq!(second.memory(), before);
    }
}
