//! `laterna doctor`: what this machine has, and what would be used by default.

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_kernels::{Isa, pool};
use laterna_weights::Hub;
use serde_json::{Value, json};

use crate::backends::REGISTRY;
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
            format!("  {:<18} {}", name.replace('_', " "), shown(value))
        };
        let lines: Vec<_> = self.0.iter().map(line).collect();
        format!("{title}\n{}", lines.join("\n"))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
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
    match CpuBackend::new(CpuOptions::default()) {
        Ok(cpu) => format!("cpu: {} on {} threads", cpu.isa().name(), cpu.threads()),
        Err(error) => format!("none: {error}"),
    }
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
