//! The painting stage on the built-in model, against the session that it drives.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::time::Duration;

use laterna_control::{Controls, Prompt};
use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_diffusion::live::{self, Live};
use laterna_diffusion::scheduler::Config;
use laterna_diffusion::session::{Parts, PromptEmbeddings, Size, TextPart};
use laterna_live::{Asked, Memory, Painter};
use laterna_models::{Model, Weights};
use laterna_pipeline::port::{Input, Motion, Stage};
use laterna_quality::psnr;
use laterna_tensor::Tensor;
use laterna_weights::{BuiltIn, ModelFolder, Precision};

static STARTER: BuiltIn = BuiltIn { root: "starter", files: laterna_starter::FILES };
const SIDE: usize = 64;

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

    fn live(&self) -> Live {
        let (path, json) = self.model.json("scheduler", "scheduler_config.json").unwrap();
        let encoder = self.model.text_encoder("text_encoder").unwrap();
        let text = TextPart {
            prefix: "text_encoder".to_owned(),
            config: encoder.config,
            projects: encoder.projection,
            tokenizer: self.model.tokenizer("tokenizer").unwrap(),
        };
        let parts = Parts {
            unet: self.model.unet().unwrap(),
            vae: self.model.vae().unwrap(),
            texts: vec![text],
            scheduler: Config::parse(&path.display().to_string(), &json).unwrap(),
            zeros_for_empty_prompt: false,
            weights: &self.weights,
        };
        let backend =
            CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap();
        Live::new(parts, &backend, Size { width: SIDE, height: SIDE }).unwrap()
    }
}

/// The stage with a picture, fed by hand.
struct Easel {
    painter: Painter,
    picture: Tensor,
    asked: Asked,
    time: Duration,
}

impl Easel {
    fn new(checkpoint: &Checkpoint) -> Self {
        let value = |i: usize| ((i % SIDE) as f32 / 9.0).sin() * ((i / SIDE) as f32 / 14.0).cos();
        let values = (0..3 * SIDE * SIDE).map(value).collect();
        let controls = Controls { feedback: 0.0, ..Controls::default() };
        Self {
            painter: Painter::new(checkpoint.live()),
            picture: Tensor::from_f32([1, 3, SIDE, SIDE], values).unwrap(),
            asked: Asked { controls, resets: 0 },
            time: Duration::ZERO,
        }
    }

    fn frame(&mut self) -> (Tensor, Motion) {
        self.time += Duration::from_millis(50);
        let input = Input {
            picture: &self.picture,
            settings: &self.asked,
            cut: false,
            sequence: 0,
            captured: self.time,
        };
        let mut output = Tensor::zeros([1, 3, SIDE, SIDE]);
        let motion = self.painter.run(&input, &mut output).unwrap();
        (output, motion)
    }

    fn ask(&mut self, change: impl FnOnce(&mut Controls)) {
        change(&mut self.asked.controls);
    }
}

fn similarity(a: &Tensor, b: &Tensor) -> f64 {
    psnr(a.as_f32().unwrap(), b.as_f32().unwrap(), 2.0).unwrap()
}

#[test]
fn it_paints_what_the_live_session_paints() {
    let checkpoint = Checkpoint::open();
    let mut easel = Easel::new(&checkpoint);
    let (painted, motion) = easel.frame();
    assert_eq!(motion, Motion::Settled);
    let mut live = checkpoint.live();
    let Controls { strength, feedback, seed, guidance, prompts, .. } = &easel.asked.controls;
    let controls = live::Controls {
        strength: *strength,
        feedback: *feedback,
        seed: *seed,
        guidance: *guidance,
    };
    live.set_controls(controls).unwrap();
    live.set_prompt(live.encode(&prompts[0].text).unwrap());
    let mut expected = Tensor::zeros([1, 3, SIDE, SIDE]);
    live.frame(&easel.picture, &mut expected).unwrap();
    assert_eq!(painted, expected);
}

#[test]
fn at_strength_0_the_picture_is_untouched() {
    let mut easel = Easel::new(&Checkpoint::open());
    easel.ask(|controls| controls.strength = 0.0);
    assert_eq!(easel.frame().0, easel.picture);
}

#[test]
fn a_new_prompt_shows_at_once_and_glides_to_its_end() {
    let mut easel = Easel::new(&Checkpoint::open());
    let (oil, _) = easel.frame();
    easel.ask(|controls| controls.prompts = vec![Prompt::new("pencil sketch")]);
    let (begun, motion) = easel.frame();
    assert_eq!(motion, Motion::Gliding);
    let step = similarity(&begun, &oil);
    assert!(step.is_finite() && step < 45.0, "the first frame shows the change: {step:.1} dB");
    let mut last = (begun, motion);
    for _ in 0..400 {
        last = easel.frame();
        if last.1 == Motion::Settled {
            break;
        }
    }
    assert_eq!(last.1, Motion::Settled);
    easel.ask(|controls| controls.glide_s = 0.0);
    easel.ask(|controls| controls.prompts = vec![Prompt::new("pop art")]);
    assert_eq!(easel.frame().1, Motion::Settled, "without a glide it is there at once");
    easel.ask(|controls| controls.prompts = vec![Prompt::new("pencil sketch")]);
    assert_eq!(easel.frame().0, last.0, "the glide ends where a jump does");
    assert!(similarity(&last.0, &oil) < 25.0);
}

#[test]
fn a_mix_lies_between_its_parts() {
    let mut easel = Easel::new(&Checkpoint::open());
    easel.ask(|controls| controls.glide_s = 0.0);
    let mut paint = |oil: f32, ink: f32| {
        let prompt = |text: &str, weight| Prompt { text: text.into(), weight };
        easel.ask(|controls| {
            controls.prompts = vec![prompt("oil painting", oil), prompt("pencil sketch", ink)];
        });
        easel.frame().0
    };
    let (oil, ink, both) = (paint(1.0, 0.0), paint(0.0, 2.0), paint(0.5, 0.5));
    let (to_oil, to_ink, apart) =
        (similarity(&both, &oil), similarity(&both, &ink), similarity(&oil, &ink));
    assert!(to_oil > apart && to_ink > apart, "{to_oil:.1} {to_ink:.1} {apart:.1}");
}

#[test]
fn a_painter_goes_on_where_another_one_was() {
    let checkpoint = Checkpoint::open();
    let (mut first, mut second) = (Easel::new(&checkpoint), Easel::new(&checkpoint));
    first.ask(|controls| controls.feedback = 0.4);
    first.frame();
    first.ask(|controls| controls.prompts = vec![Prompt::new("pencil sketch")]);
    assert_eq!(first.frame().1, Motion::Gliding);
    let memory = first.painter.memory();
    second.painter.recall(memory.clone()).unwrap();
    assert_eq!(second.painter.memory(), memory);
    (second.asked, second.time) = (first.asked.clone(), first.time);
    for _ in 0..3 {
        assert_eq!(second.frame(), first.frame());
    }
}

#[test]
fn a_memory_of_another_model_changes_nothing() {
    let mut easel = Easel::new(&Checkpoint::open());
    easel.frame();
    let memory = easel.painter.memory();
    let (prompts, _) = memory.glide.clone().unwrap();
    let tokens = Tensor::zeros([1, 2, 3]);
    let odd = PromptEmbeddings { tokens, pooled: None };
    let no_prompts = memory.glide.clone().map(|(_, current)| (Vec::new(), current));
    for glide in [Some((prompts, odd)), no_prompts] {
        assert!(easel.painter.recall(Memory { glide, ..memory.clone() }).is_err());
    }
    let frames = live::Memory { latent: Tensor::zeros([1]), remembers: true };
    assert!(easel.painter.recall(Memory { frames, ..memory.clone() }).is_err());
    assert_eq!(easel.painter.memory(), memory);
}
