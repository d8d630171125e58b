//! `laterna doctor`: what this machine has, and what would be used by default.

use std::path::PathBuf;

use laterna_kernels::{Isa, pool};
use laterna_media::sink::virtual_camera::{self, VirtualCamera};
use laterna_media::source::{self, Device, Ffmpeg};
use laterna_weights::Hub;
use serde_json::{Map, Value, json};

use crate::backends::{BackendArgs, REGISTRY};
use crate::console::print;
use crate::error::Failure;
use crate::machine;
use crate::model::{STARTER, built_in_bytes};
use crate::table::mib;

/// Show what was detected on this machine and what would be used.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna doctor
  laterna doctor --json")]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let sections = [
        ("laterna", program()),
        ("cpu", cpu()),
        ("memory", memory()),
        ("backends", backends()),
        ("models", models()),
        ("media", media()),
    ];
    if args.json {
        let object = sections.into_iter().map(|(name, facts)| (name.to_owned(), facts.json()));
        return print(format_args!("{:#}", Value::Object(object.collect())));
    }
    let text: Vec<_> = sections.iter().map(|(name, facts)| facts.text(name)).collect();
    print(text.join("\n"))
}

/// Named facts, in order.
struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    fn json(self) -> Value {
        let pairs = self.0.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(pairs.collect())
    }

    fn text(&self, title: &str) -> String {
        let line = |(name, value): &(&str, Value)| {
            let text = if value == &json!([]) { no(name) } else { shown(value) };
            format!("  {:<18} {text}", name.replace('_', " "))
        };
        let lines: Vec<_> = self.0.iter().map(line).collect();
        format!("{title}\n{}", lines.join("\n"))
    }
}

/// What stands for an empty list.
fn no(name: &str) -> String {
    if name == CAMERAS { "no cameras".to_owned() } else { "none".to_owned() }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => device(fields),
        other => other.to_string(),
    }
}

const CAMERAS: &str = "cameras";

/// Modes of a camera that are shown; JSON has them all.
const MOST_MODES: usize = 3;

/// A camera in one line, from its fields in JSON.
fn device(fields: &Map<String, Value>) -> String {
    let field = |name| fields.get(name).map(shown).unwrap_or_default();
    let modes = fields.get("modes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut parts: Vec<_> = modes.iter().take(MOST_MODES).map(shown).collect();
    if modes.len() > MOST_MODES {
        parts.push(format!("{} more", modes.len() - MOST_MODES));
    }
    format!("{} ({}): {}", field("name"), field("path"), parts.join(", "))
}

fn program() -> Facts {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    Facts(vec![("version", json!(env!("CARGO_PKG_VERSION"))), ("target", json!(target))])
}

fn cpu() -> Facts {
    let available: Vec<_> = Isa::available().map(Isa::name).collect();
    let missing = Isa::ALL.iter().filter(|isa| !isa.is_available()).map(|isa| isa.name());
    Facts(vec![
        ("model", json!(machine::cpu_model())),
        ("physical_cores", json!(pool::physical_cores())),
        ("logical_processors", json!(machine::logical_processors())),
        ("instruction_sets", json!(available)),
        ("not_on_this_cpu", json!(missing.collect::<Vec<_>>())),
    ])
}

fn memory() -> Facts {
    let gib =
        |bytes: Option<u64>| bytes.map(|b| format!("{:.1} GiB", b as f64 / f64::from(1 << 30)));
    Facts(vec![
        ("installed", json!(gib(machine::memory_bytes()))),
        ("available", json!(gib(machine::available_bytes()))),
    ])
}

fn backends() -> Facts {
    let mut facts: Vec<_> = REGISTRY.iter().map(|entry| (entry.name, json!(entry.about))).collect();
    facts.push(("default", json!(default_backend())));
    Facts(facts)
}

fn default_backend() -> String {
    let usual = BackendArgs { backend: "cpu".to_owned(), threads: None, convolutions: None };
    usual.describe().unwrap_or_else(|error| format!("none: {error}"))
}

fn models() -> Facts {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cache = match Hub::from_env() {
        Ok(hub) => {
            let state = if hub.cache().is_dir() { "" } else { " (will be created)" };
            format!("{}{state}", hub.cache().display())
        }
        Err(error) => format!("none: {error}"),
    };
    let token = if variable("HF_TOKEN").is_some() { "set" } else { "not set" };
    Facts(vec![
        ("built_in", json!(format!("{STARTER}, {}", mib(built_in_bytes())))),
        ("cache", json!(cache)),
        ("HF_ENDPOINT", json!(variable("HF_ENDPOINT").unwrap_or_else(|| "not set".into()))),
        ("HF_HUB_OFFLINE", json!(variable("HF_HUB_OFFLINE").unwrap_or_else(|| "not set".into()))),
        ("HF_TOKEN", json!(token)),
    ])
}

fn media() -> Facts {
    Facts(vec![
        (CAMERAS, cameras(&source::list())),
        ("ffmpeg", ffmpeg(Ffmpeg::find())),
        ("virtual_cameras", virtual_cameras()),
    ])
}

/// What can be read as `camera:PATH`; on systems without device files the path is
/// a name.
fn cameras(devices: &[Device]) -> Value {
    let camera = |device: &Device| {
        let path = device.spec.strip_prefix("camera:")?;
        Some(json!({ "name": device.name, "path": path, "modes": device.details }))
    };
    let cameras: Vec<_> = devices.iter().filter_map(camera).collect();
    json!(cameras)
}

fn ffmpeg(found: Option<Ffmpeg>) -> Value {
    json!(match found {
        Some(Ffmpeg { path, version: Some(version) }) => format!("{}, {version}", path.display()),
        Some(Ffmpeg { path, version: None }) => format!("{}, which does not run", path.display()),
        None => "not found".to_owned(),
    })
}

/// The v4l2loopback devices, each with why it cannot be used if it cannot.
fn virtual_cameras() -> Value {
    let state = |path: PathBuf| match VirtualCamera::open(&path) {
        Ok(_) => path.display().to_string(),
        Err(error) => error.to_string(),
    };
    json!(virtual_camera::list().into_iter().map(state).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spec: &str, modes: usize) -> Device {
        let details = (1..=modes).map(|i| format!("YUYV 640x480 at {i} fps")).collect();
        Device { spec: spec.to_owned(), name: "HD Webcam".to_owned(), details }
    }

    #[test]
    fn cameras_are_listed_in_brief_and_other_devices_are_not() {
        let screen = found("screen", 1);
        let none = Facts(vec![(CAMERAS, cameras(std::slice::from_ref(&screen)))]);
        assert!(none.text("media").ends_with(" no cameras"));
        let found = cameras(&[found("camera:/dev/video0", 5), screen]);
        assert_eq!(
            shown(&found),
            "HD Webcam (/dev/video0): YUYV 640x480 at 1 fps, YUYV 640x480 at 2 fps, \
             YUYV 640x480 at 3 fps, 2 more"
        );
        assert_eq!(found[0]["modes"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn ffmpeg_is_named_with_its_version() {
        let found = |version: Option<&str>| {
            let version = version.map(str::to_owned);
            shown(&ffmpeg(Some(Ffmpeg { path: "/usr/bin/ffmpeg".into(), version })))
        };
        assert_eq!(found(Some("7.1")), "/usr/bin/ffmpeg, 7.1");
        assert_eq!(found(None), "/usr/bin/ffmpeg, which does not run");
        assert_eq!(shown(&ffmpeg(None)), "not found");
    }
}
