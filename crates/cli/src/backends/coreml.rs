//! Core ML as a backend of the command: its cache, its trial in a child process,
//! what is told while a model is prepared. The device itself is on macOS alone.

use laterna_coreml::run::ComputeUnits;
use laterna_graph::Backend;

use super::BackendArgs;
use crate::console::Console;
use crate::error::Failure;

/// Why it is not on this system, and what can be done instead.
#[cfg(not(target_os = "macos"))]
pub const ABSENT: Option<[&str; 2]> = Some([
    "Core ML is on macOS alone",
    "use --backend cpu; `laterna export` writes Core ML packages on any system",
]);
/// It is on this system.
#[cfg(target_os = "macos")]
pub const ABSENT: Option<[&str; 2]> = None;

/// Compute units by their names on the command line.
///
/// # Errors
/// If there are none of that name.
pub fn units(name: &str) -> Result<ComputeUnits, String> {
    ComputeUnits::named(name).ok_or_else(|| {
        let names = ComputeUnits::ALL.map(ComputeUnits::name);
        format!("there are no such units, only {}", names.join(", "))
    })
}

#[cfg(target_os = "macos")]
pub use system::{answer, cache, describe, open, prober, sysctl};

/// Nobody gets here: [`ABSENT`] is asked first.
#[cfg(not(target_os = "macos"))]
pub fn open(_: &BackendArgs, _: &Console) -> Result<Box<dyn Backend>, Failure> {
    Err(Failure::input("cannot use Core ML", "it is on macOS alone"))
}

/// As [`open`].
///
/// # Errors
/// Always.
#[cfg(not(target_os = "macos"))]
pub fn describe(_: &BackendArgs) -> Result<String, Failure> {
    Err(Failure::input("cannot use Core ML", "it is on macOS alone"))
}

#[cfg(target_os = "macos")]
mod system {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::Arc;

    use laterna_coreml::backend::{CoreMlBackend, CoreMlOptions, Event};
    use laterna_coreml::run::{Device, Interface, Options, Prober, Stage, System};

    use super::*;
    use crate::error::During;

    /// The backend on this system's Core ML.
    ///
    /// # Errors
    /// If there is no place for compiled models.
    pub fn open(args: &BackendArgs, console: &Console) -> Result<Box<dyn Backend>, Failure> {
        let usual = CoreMlOptions::new(cache()?);
        let options =
            CoreMlOptions { units: args.compute_units, placement: args.placement, ..usual };
        Ok(Box::new(on_system(options, *console)?))
    }

    /// The folder of compiled models.
    ///
    /// # Errors
    /// If the user has no home.
    pub fn cache() -> Result<PathBuf, Failure> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home = home.ok_or_else(|| {
            Failure::input("cannot keep compiled models", "the variable HOME is not set")
        })?;
        Ok(PathBuf::from(home).join("Library/Caches/laterna/coreml"))
    }

    /// A backend on this system's Core ML that tries models in a child process and
    /// says what it does.
    ///
    /// # Errors
    /// If this program is not found.
    pub fn on_system(options: CoreMlOptions, console: Console) -> Result<CoreMlBackend, Failure> {
        let listener = Box::new(move |event| tell(&console, event));
        Ok(CoreMlBackend::new(Arc::new(System), options, Some(prober()?), listener))
    }

    /// What computes: the Mac, and the system whose compiler it is.
    ///
    /// # Errors
    /// Never; other backends can fail here.
    pub fn describe(args: &BackendArgs) -> Result<String, Failure> {
        let (mac, build) = (sysctl("hw.model"), System.build());
        Ok(format!("coreml: macOS build {build} on {} of {mac}", args.compute_units))
    }

    /// A fact about this Mac by its name for the program of that name, such as
    /// `hw.model`; "unknown" if it does not tell.
    pub fn sysctl(name: &str) -> String {
        answer(Command::new("/usr/sbin/sysctl").args(["-n", name]))
    }

    /// What a program prints; "unknown" if it fails.
    pub fn answer(command: &mut Command) -> String {
        let output = command.output().ok().filter(|output| output.status.success());
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_else(|| "unknown".to_owned())
    }

    /// This program, which tries a model and ends.
    ///
    /// # Errors
    /// If it is not found.
    pub fn prober() -> Result<Box<Prober>, Failure> {
        let program = std::env::current_exe().during("cannot try Core ML's models")?;
        Ok(Box::new(move |model: &Path, interface: &Interface, options: &Options| {
            let mut command = Command::new(&program);
            command.arg("coreml-probe").arg(model);
            command.args(["--compute-units", options.units.name()]);
            for input in &interface.inputs {
                command.arg("--input").arg(input.to_string());
            }
            for output in &interface.outputs {
                command.arg("--output").arg(output.to_string());
            }
            if let Some(function) = &options.function {
                command.args(["--function", function]);
            }
            command
        }))
    }

    fn tell(console: &Console, event: Event) {
        match event {
            Event::Stage(Stage::Trying) => console.note(
                "Core ML prepares the model for its devices: seconds to minutes, once for each \
                 model",
            ),
            Event::Stage(stage) => console.detail(format_args!("Core ML: {stage:?}")),
            Event::FellBack { from, reason } => console
                .warn(format_args!("Core ML does not take {from}, trying another form: {reason}")),
        }
    }
}
