//! What must hold of every scheduler, whatever its configuration: a perfect
//! network is followed to the clean latent, and foreign values are refused by
//! the name of their field.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::fs;
use std::path::Path;

use laterna_diffusion::noise::{Noise, Stream};
use laterna_diffusion::scheduler::{
    Config, REGISTRY, Scheduler, SchedulerError, build, build_img2img, img2img_start,
};

const STEPS: [usize; 7] = [1, 2, 3, 4, 7, 20, 50];
const SPACINGS: [&str; 3] = ["leading", "linspace", "trailing"];
const PREDICTIONS: [&str; 2] = ["epsilon", "v_prediction"];

/// The schedule of Stable Diffusion with other values for some fields.
fn config(fields: &str) -> Result<Config, SchedulerError> {
    let text = format!(
        r#"{{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "clip_sample": false, "set_alpha_to_one": true, "skip_prk_steps": true, {fields}}}"#
    );
    Config::parse("scheduler_config.json", &text)
}

fn each_run(mut check: impl FnMut(&str, &str, &mut dyn Scheduler)) {
    for (spacing, prediction) in
        SPACINGS.iter().flat_map(|spacing| PREDICTIONS.map(|prediction| (spacing, prediction)))
    {
        let fields =
            format!(r#""timestep_spacing": "{spacing}", "prediction_type": "{prediction}""#);
        let config = config(&fields).unwrap();
        for (entry, steps) in REGISTRY.iter().flat_map(|entry| STEPS.map(|n| (entry, n))) {
            let mut scheduler = build(&config, Some(entry.name), steps).unwrap();
            check(&format!("{} {steps} {fields}", entry.name), prediction, scheduler.as_mut());
        }
    }
}

fn latents() -> (Vec<f32>, Vec<f32>) {
    let (mut x0, mut noise) = (vec![0.0; 64], vec![0.0; 64]);
    Noise::new(1).fill(Stream::Initial, &mut x0);
    Noise::new(2).fill(Stream::Initial, &mut noise);
    (x0, noise)
}

/// What a network that knows `x0` and `noise` says at step `i`.
fn perfect_output(
    scheduler: &dyn Scheduler,
    i: usize,
    prediction: &str,
    x0: &[f32],
    noise: &[f32],
) -> Vec<f32> {
    let level = scheduler.noising(i);
    let scale = level.signal.hypot(level.noise);
    let (signal, sigma) = (level.signal / scale, level.noise / scale);
    let v = |(x0, noise): (&f32, &f32)| signal * noise - sigma * x0;
    match prediction {
        "epsilon" => noise.to_vec(),
        _ => x0.iter().zip(noise).map(v).collect(),
    }
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{what}: {found} for {expected}");
    }
}

#[test]
fn x0_is_recovered_at_every_step() {
    let (x0, noise) = latents();
    each_run(|what, prediction, scheduler| {
        for i in 0..scheduler.timesteps().len() {
            let mut noisy = vec![0.0; x0.len()];
            scheduler.add_noise(i, &x0, &noise, &mut noisy);
            let output = perfect_output(scheduler, i, prediction, &x0, &noise);
            let mix = scheduler.x0(i);
            let found: Vec<f32> =
                noisy.iter().zip(&output).map(|(s, o)| mix.sample * s + mix.output * o).collect();
            assert_close(&found, &x0, what);
        }
    });
}

/// Whether a run passes exactly through the levels of its timesteps: DDIM and
/// PNDM walk by whole strides, which only leading timesteps are multiples of,
/// and PNDM averages outputs, of which only the noise is the same at all levels.
fn is_exact(name: &str, what: &str) -> bool {
    match name {
        "euler" | "dpm++2m" => true,
        "ddim" => what.contains("leading"),
        "pndm" => what.contains("leading") && what.contains("epsilon"),
        _ => false,
    }
}

#[test]
fn a_perfect_network_is_followed_to_the_clean_latent() {
    let (x0, noise) = latents();
    each_run(|what, prediction, scheduler| {
        let name = what.split(' ').next().unwrap();
        if !is_exact(name, what) {
            return;
        }
        let steps = scheduler.timesteps().len();
        let mut sample = vec![0.0; x0.len()];
        scheduler.add_noise(0, &x0, &noise, &mut sample);
        for i in 0..steps {
            let output = perfect_output(scheduler, i, prediction, &x0, &noise);
            scheduler.step(i, &output, &mut sample, &mut |out| out.fill(0.0));
            if i + 1 < steps {
                let mut expected = vec![0.0; x0.len()];
                scheduler.add_noise(i + 1, &x0, &noise, &mut expected);
                assert_close(&sample, &expected, what);
            }
        }
        assert_close(&sample, &x0, what);
    });
}

#[test]
fn timesteps_fall_within_the_training_range() {
    each_run(|what, _, scheduler| {
        let timesteps = scheduler.timesteps();
        assert!(timesteps.iter().all(|t| (0.0..1000.0).contains(t)), "{what}: {timesteps:?}");
        let repeats = timesteps.windows(2).filter(|pair| pair[1] >= pair[0]).count();
        let expected = usize::from(what.starts_with("pndm") && timesteps.len() > 1);
        assert_eq!(repeats, expected, "{what}: {timesteps:?}");
    });
}

#[test]
fn every_number_of_steps_runs_or_is_refused() {
    for (spacing, entry) in SPACINGS.iter().flat_map(|s| REGISTRY.iter().map(move |e| (s, e))) {
        let config = config(&format!(r#""timestep_spacing": "{spacing}""#)).unwrap();
        for steps in 0..=1002 {
            let mut scheduler = match build(&config, Some(entry.name), steps) {
                Err(SchedulerError::Steps { most, .. }) => {
                    assert!(steps == 0 || steps > most);
                    continue;
                }
                built => built.unwrap(),
            };
            let mut sample = [1.0];
            for i in 0..scheduler.timesteps().len() {
                scheduler.step(i, &[0.5], &mut sample, &mut |out| out.fill(0.0));
            }
            assert!(sample[0].is_finite(), "{} {steps} {spacing}", entry.name);
        }
    }
}

#[test]
fn only_the_stochastic_schedulers_draw_noise() {
    let (x0, _) = latents();
    each_run(|what, _, scheduler| {
        let steps = scheduler.timesteps().len();
        let mut draws = 0;
        for i in 0..steps {
            let mut sample = x0.clone();
            scheduler.step(i, &x0, &mut sample, &mut |out| {
                draws += 1;
                out.fill(0.0);
            });
        }
        let expected = match what.split(' ').next().unwrap() {
            "euler-a" => steps,
            "lcm" => steps - 1,
            _ => 0,
        };
        assert_eq!(draws, expected, "{what}");
    });
}

#[test]
fn every_checkpoint_configuration_builds_every_scheduler() {
    let models = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models"));
    let mut found = 0;
    for model in fs::read_dir(models).unwrap() {
        let path = model.unwrap().path().join("scheduler/scheduler_config.json");
        if !path.exists() {
            continue;
        }
        let config = Config::load(&path).unwrap();
        let class = config.class();
        assert!(build(&config, None, 4).is_ok(), "{class}");
        for entry in REGISTRY.iter().filter(|entry| entry.name != "pndm" || entry.class == class) {
            assert!(build(&config, Some(entry.name), 4).is_ok(), "{} from {class}", entry.name);
        }
        found += 1;
    }
    assert!(found >= 6, "only {found} checkpoints have a scheduler");
}

#[test]
fn unsupported_values_are_named() {
    let cases = [
        ("euler", r#""thresholding": true, "timestep_type": "continuous""#, "timestep_type"),
        ("euler", r#""use_beta_sigmas": true"#, "use_beta_sigmas"),
        (
            "euler",
            r#""use_karras_sigmas": true, "use_exponential_sigmas": true"#,
            "use_exponential_sigmas",
        ),
        ("euler", r#""final_sigmas_type": "one""#, "final_sigmas_type"),
        ("euler", r#""interpolation_type": "cubic""#, "interpolation_type"),
        ("euler-a", r#""prediction_type": "sample""#, "prediction_type"),
        ("ddim", r#""thresholding": true"#, "thresholding"),
        ("ddim", r#""steps_offset": 18446744073709551615"#, "steps_offset"),
        ("ddim", r#""steps_offset": -1"#, "steps_offset"),
        ("ddim", r#""num_train_timesteps": 0"#, "num_train_timesteps"),
        ("ddim", r#""num_train_timesteps": 1000000000000"#, "num_train_timesteps"),
        ("ddim", r#""beta_end": 2.0"#, "beta_end"),
        ("ddim", r#""beta_start": -0.5"#, "beta_start"),
        ("ddim", r#""trained_betas": [0.1, 0.2]"#, "trained_betas"),
        ("ddim", r#""trained_betas": [0.1, "x"]"#, "trained_betas"),
        ("lcm", r#""original_inference_steps": 2000"#, "original_inference_steps"),
        ("dpm++2m", r#""solver_order": 3"#, "solver_order"),
        ("dpm++2m", r#""algorithm_type": "dpmsolver""#, "algorithm_type"),
        ("dpm++2m", r#""variance_type": "learned""#, "variance_type"),
        ("dpm++2m", r#""use_flow_sigmas": true"#, "use_flow_sigmas"),
        ("dpm++2m", r#""lambda_min_clipped": "small""#, "lambda_min_clipped"),
    ];
    for (name, fields, field) in cases {
        let built = build(&config(fields).unwrap(), Some(name), 4);
        let error = built.map(|_| ()).expect_err(fields);
        let expected = format!("scheduler_config.json: field {field}: ");
        assert!(error.to_string().starts_with(&expected), "{name} {fields}: {error}");
    }
}

#[test]
fn impossible_requests_are_explained() {
    let message = |name, steps| {
        build(&config(r#""_class_name": "OtherScheduler""#).unwrap(), name, steps)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message(Some("ddim"), 0), "ddim cannot run 0 steps: this model takes 1 to 1000");
    assert_eq!(message(Some("lcm"), 51), "lcm cannot run 51 steps: this model takes 1 to 50");
    assert_eq!(
        message(Some("dpm++2m"), 1000),
        "dpm++2m cannot run 1000 steps: this model takes 1 to 999"
    );
    assert_eq!(
        message(Some("x"), 1),
        r#"unknown scheduler "x" (known: euler, euler-a, ddim, lcm, dpm++2m, pndm)"#
    );
    assert!(message(None, 1).contains(r#"_class_name "OtherScheduler" is not supported"#));
}

/// A single step at `strength`, by every scheduler.
fn each_single_step(strength: f64, mut check: impl FnMut(&str, &str, &mut dyn Scheduler)) {
    for prediction in PREDICTIONS {
        let fields = format!(
            r#""timestep_spacing": "trailing", "use_karras_sigmas": true,
            "prediction_type": "{prediction}""#
        );
        let config = config(&fields).unwrap();
        for entry in REGISTRY {
            let built = build_img2img(&config, Some(entry.name), 1, strength);
            let (mut scheduler, start) = built.unwrap();
            assert_eq!(start, 0);
            check(&format!("{} {strength} {fields}", entry.name), prediction, scheduler.as_mut());
        }
    }
}

#[test]
fn a_single_step_is_taken_where_the_strength_says() {
    for (strength, timestep) in
        [(1e-9, 0.0), (0.0014, 0.0), (0.1, 99.0), (0.25, 249.0), (0.8f32.into(), 799.0)]
    {
        each_single_step(strength, |what, _, scheduler| {
            assert_eq!(scheduler.timesteps(), [timestep], "{what}");
        });
    }
}

#[test]
fn a_single_step_leads_to_the_clean_latent_from_any_strength() {
    let (x0, noise) = latents();
    for strength in [0.1, 0.3, 0.5, 0.8, 0.95] {
        each_single_step(strength, |what, prediction, scheduler| {
            let mut sample = vec![0.0; x0.len()];
            scheduler.add_noise(0, &x0, &noise, &mut sample);
            let output = perfect_output(scheduler, 0, prediction, &x0, &noise);
            let mix = scheduler.lone_step(0).unwrap();
            let mixed = sample.iter().zip(&output).map(|(s, o)| mix.sample * s + mix.output * o);
            assert_close(&mixed.collect::<Vec<_>>(), &x0, what);
            scheduler.step(0, &output, &mut sample, &mut |out| out.fill(0.0));
            assert_close(&sample, &x0, what);
        });
    }
}

#[test]
fn at_strength_1_a_single_step_is_the_schedules_own() {
    for spacing in SPACINGS {
        let config = config(&format!(r#""timestep_spacing": "{spacing}""#)).unwrap();
        for name in REGISTRY.iter().map(|entry| Some(entry.name)) {
            let (scheduler, start) = build_img2img(&config, name, 1, 1.0).unwrap();
            assert_eq!(start, 0);
            assert_eq!(scheduler.timesteps(), build(&config, name, 1).unwrap().timesteps());
        }
    }
}

#[test]
fn strength_chooses_the_first_step() {
    assert_eq!(img2img_start(50, 0.3).unwrap(), 35);
    assert_eq!(img2img_start(50, 1.0).unwrap(), 0);
    assert_eq!(img2img_start(2, 0.5).unwrap(), 1);
    assert_eq!(img2img_start(1, 1.0).unwrap(), 0);
    assert!(matches!(img2img_start(1, 0.5), Err(SchedulerError::NoStep { .. })));
    let config = config(r#""timestep_spacing": "trailing""#).unwrap();
    for strength in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(img2img_start(4, strength), Err(SchedulerError::Strength(_))));
        let built = build_img2img(&config, Some("euler"), 1, strength).map(|_| ());
        assert!(matches!(built, Err(SchedulerError::Strength(_))));
    }
}
