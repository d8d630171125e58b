//! The selftest on this Mac's Core ML.

use std::fmt;
use std::process::Command;
use std::sync::Arc;

use laterna_coreml::run::{ComputeUnits, Prober, System};

use super::report::{self, Machine};
use super::subject::Subject;
use crate::backends::{answer, coreml_prober, sysctl};
use crate::console::{Console, print};
use crate::error::{Cause, During, Exit, Failure};

/// Runs every check and prints the report.
///
/// # Errors
/// If a check fails, or there is no place for compiled models.
pub fn run(as_json: bool, console: &Console) -> Result<(), Failure> {
    // Tried once, so that a program that is not found is told as that.
    drop(coreml_prober()?);
    let prober: &(dyn Fn() -> Option<Box<Prober>> + Sync) = &|| coreml_prober().ok();
    // Models of an earlier test would not be compiled again.
    let folder = std::env::temp_dir().join(format!("laterna-selftest-{}", std::process::id()));
    let subject = Subject {
        device: Arc::new(System),
        units: ComputeUnits::default(),
        folder: folder.clone(),
        prober,
        told: &|_, _, _| (),
        camera: &laterna_media::source::camera_trial,
        size: None,
    };
    let lines = report::run(&subject, &|name| console.note(format_args!("checking {name}")));
    if folder.is_dir() {
        let what = format!("cannot remove {}", folder.display());
        std::fs::remove_dir_all(&folder).during(what)?;
    }
    let machine = machine();
    if as_json {
        print(format_args!("{:#}", report::json(&machine, &subject, &lines)))?;
    } else {
        print(report::text(&machine, &subject, &lines))?;
    }
    let failed = Failed { checks: report::failed(&lines), of: lines.len() };
    let result = if failed.checks == 0 { Ok(()) } else { Err(failed) };
    result.during("Core ML does not do all that it must")
}

/// Some checks failed.
struct Failed {
    checks: usize,
    of: usize,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} checks failed", self.checks, self.of)
    }
}

impl Cause for Failed {
    fn exit(&self) -> Exit {
        Exit::System
    }

    fn advice(&self) -> Option<String> {
        Some("send the report with an issue".to_owned())
    }
}

fn machine() -> Machine {
    let system =
        format!("{} ({})", asked("sw_vers", "-productVersion"), asked("sw_vers", "-buildVersion"));
    Machine { model: sysctl("hw.model"), cpu: sysctl("machdep.cpu.brand_string"), system }
}

fn asked(program: &str, option: &str) -> String {
    answer(Command::new(program).arg(option))
}
