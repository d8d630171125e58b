//! Every scheduler against the trajectories that diffusers wrote to
//! fixtures/schedulers: schedule, noising, and each step from diffusers' own
//! sample as well as from ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use laterna_diffusion::scheduler::{Config, REGISTRY, Scheduler, build, img2img_start};
use serde_json::Value;

/// Largest error of a run, relative to the largest value: f32 roundings that
/// add up over at most 50 steps.
const RUN_TOLERANCE: f32 = 2e-6;
/// Largest error of one step, relative to the largest value.
const STEP_TOLERANCE: f32 = 1e-6;

fn fixture_files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/schedulers");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}

fn cases() -> Vec<Value> {
    let read = |path: PathBuf| -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let of_file = |path| read(path)["cases"].as_array().unwrap().clone();
    fixture_files().into_iter().flat_map(of_file).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn label(case: &Value) -> String {
    format!("{} {}", case["scheduler"].as_str().unwrap(), case["name"].as_str().unwrap())
}

fn scheduler_name(case: &Value) -> &'static str {
    let class = case["scheduler"].as_str().unwrap();
    REGISTRY.iter().find(|entry| entry.class == class).unwrap().name
}

fn steps(case: &Value) -> usize {
    case["steps"].as_u64().unwrap() as usize
}

fn scheduler(case: &Value) -> Box<dyn Scheduler> {
    let config = Config::parse(&label(case), &case["config"].to_string()).unwrap();
    build(&config, Some(scheduler_name(case)), steps(case)).unwrap()
}

/// PNDM's Runge-Kutta steps are refused: no published checkpoint uses them.
fn is_refused(case: &Value) -> bool {
    case["scheduler"] == "PNDMScheduler" && case["config"]["skip_prk_steps"] != true
}

fn supported_cases() -> Vec<Value> {
    cases().into_iter().filter(|case| !is_refused(case)).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = largest(expected);
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= tolerance * largest, "{what}: {found} for {expected}, largest {largest}");
    }
}

#[test]
fn every_scheduler_has_trajectories() {
    let covered: BTreeSet<_> = supported_cases().iter().map(scheduler_name).collect();
    let known: BTreeSet<_> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert_eq!(covered, known);
}

#[test]
fn schedules_agree() {
    for case in supported_cases() {
        let scheduler = scheduler(&case);
        let what = label(&case);
        assert_close(scheduler.timesteps(), &floats(&case["timesteps"]), 1e-7, &what);
        let sigma = case["init_noise_sigma"].as_f64().unwrap() as f32;
        assert_close(&[scheduler.init_noise_sigma()], &[sigma], 3e-7, &what);
    }
}

#[test]
fn image_to_image_runs_begin_alike() {
    for case in supported_cases() {
        let Some(strength) = case["strength"].as_f64() else { continue };
        let begin = case["begin"].as_u64().unwrap() as usize;
        let start = img2img_start(steps(&case), strength).unwrap();
        assert_eq!(start, begin, "{}", label(&case));

        let mut noisy = floats(&case["noise"]);
        let (x0, noise) = (floats(&case["x0"]), noisy.clone());
        scheduler(&case).add_noise(start, &x0, &noise, &mut noisy);
        assert_close(&noisy, &floats(&case["noised"]), 1e-6, &label(&case));
    }
}

/// Takes every step of a case. `from_theirs` begins each at diffusers' sample.
fn run(case: &Value, from_theirs: bool, tolerance: f32) {
    let mut scheduler = scheduler(case);
    let (begin, field) = (case["begin"].as_u64().unwrap() as usize, floats(&case["field"]));
    let mut sample = floats(&case["first_sample"]);
    for (k, step) in case["trace"].as_array().unwrap().iter().enumerate() {
        let what = format!("{} step {k}", label(case));
        let mut scaled = vec![0.0; sample.len()];
        scheduler.scale_model_input(begin + k, &sample, &mut scaled);
        assert_close(&scaled, &floats(&step["scaled_input"]), tolerance, &what);

        let output: Vec<f32> = scaled.iter().zip(&field).map(|(s, f)| 0.3 * s + f).collect();
        scheduler.step(begin + k, &output, &mut sample, &mut |out| {
            out.copy_from_slice(&floats(&step["noise"]));
        });
        let theirs = floats(&step["prev_sample"]);
        assert_close(&sample, &theirs, tolerance, &what);
        if from_theirs {
            sample = theirs;
        }
    }
    assert_eq!(begin + case["trace"].as_array().unwrap().len(), scheduler.timesteps().len());
}

#[test]
fn each_step_agrees() {
    supported_cases().iter().for_each(|case| run(case, true, STEP_TOLERANCE));
}

#[test]
fn whole_runs_agree() {
    supported_cases().iter().for_each(|case| run(case, false, RUN_TOLERANCE));
}

#[test]
fn a_lone_step_folds_into_coefficients() {
    let mut folded = 0;
    for case in supported_cases() {
        let begin = case["begin"].as_u64().unwrap() as usize;
        let Some(mix) = scheduler(&case).lone_step(begin) else { continue };
        let first = &case["trace"][0];
        let (sample, output) = (floats(&case["first_sample"]), floats(&first["model_output"]));
        let mixed = sample.iter().zip(&output).map(|(s, o)| mix.sample * s + mix.output * o);
        let stepped = floats(&first["prev_sample"]);
        // diffusers' own step rounds at the size of the sample it starts from.
        let tolerance = STEP_TOLERANCE * (largest(&sample) / largest(&stepped)).max(1.0);
        assert_close(&mixed.collect::<Vec<_>>(), &stepped, tolerance, &label(&case));
        folded += 1;
    }
    assert!(folded > 50, "only {folded} cases have a lone step");
}

#[test]
fn runge_kutta_steps_are_refused_by_name() {
    for case in cases().iter().filter(|case| is_refused(case)) {
        let config = Config::parse("scheduler_config.json", &case["config"].to_string()).unwrap();
        let error = build(&config, Some("pndm"), steps(case)).map(|_| ()).unwrap_err();
        let expected = "scheduler_config.json: field skip_prk_steps: false is not supported (true)";
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_scheduler_runs_again_after_a_reset() {
    for case in supported_cases() {
        let mut scheduler = scheduler(&case);
        let begin = case["begin"].as_u64().unwrap() as usize;
        let once = |scheduler: &mut dyn Scheduler| {
            let mut sample = floats(&case["first_sample"]);
            for i in begin..scheduler.timesteps().len() {
                let output = sample.clone();
                scheduler.step(i, &output, &mut sample, &mut |out| out.fill(0.25));
            }
            sample
        };
        let first = once(scheduler.as_mut());
        scheduler.reset();
        assert_eq!(first, once(scheduler.as_mut()), "{}", label(&case));
    }
}
