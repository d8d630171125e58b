//! From a graph's key to a model that runs: written, compiled, tried, loaded.
//!
//! Preparing a model for a GPU can end the process (MPSGraph aborts on what it
//! cannot lower), and so can a first prediction. So both happen in a child process
//! first, for each kind of devices, and the cache remembers how that ended.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cache::WRITING;
use super::{Cache, Device, Entry, Interface, Opened, Options, RunError, Stage, Trust};
use crate::emit::EmitError;

/// The command of a child process that loads a compiled model, predicts once on zeros
/// and lets go of it. It exits with 0, or says on stderr what failed and exits with
/// [`REFUSED`] if it was Core ML that refused, with any other status if not.
pub type Prober = dyn Fn(&Path, &Interface, &Options) -> Command + Send + Sync;

/// Preparing a large model for the Neural Engine takes minutes; what takes longer than
/// this hangs.
const LONGEST_TRIAL: Duration = Duration::from_secs(30 * 60);

/// Nobody works on what nobody has touched for a day.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a child process is looked after.
const GLANCE: Duration = Duration::from_millis(20);

/// The exit status of a child process whose model Core ML refuses. It is no status of
/// a program that fails for another reason, which may be gone the next time.
pub const REFUSED: u8 = 3;

/// Writes a package to a path.
pub type Write<'w> = &'w mut dyn FnMut(&Path) -> Result<(), EmitError>;

/// What loading takes.
pub struct Loader<'l> {
    /// The device.
    pub device: &'l dyn Device,
    /// The compiled models.
    pub cache: &'l Cache,
    /// How models are tried; without it the first load happens in this process,
    /// which a crash then ends.
    pub prober: Option<&'l Prober>,
    /// Hears how far it is.
    pub progress: &'l dyn Fn(Stage),
}

impl Loader<'_> {
    /// Loads the model that `write` writes, which `key` names. It is written only if
    /// no compiled form of it is there.
    ///
    /// # Errors
    /// If it cannot be written, compiled or loaded, or could not before.
    pub fn load(
        &self,
        key: &str,
        write: Write<'_>,
        interface: &Interface,
        options: &Options,
    ) -> Result<(Entry, Box<dyn Opened>), RunError> {
        let entry = self.cache.entry(key);
        check_past(&entry, options)?;
        if !entry.exists() {
            self.compile(&entry, write)?;
            self.cache.forget_other_systems(key);
        }
        self.try_first(&entry, interface, options)?;
        (self.progress)(Stage::Loading);
        let opened = self.open(&entry, interface, options)?;
        Ok((entry, opened))
    }

    /// The package is needed no longer than until it is compiled. Its name is its own:
    /// Core ML compiles into a folder of that name.
    fn compile(&self, entry: &Entry, write: Write<'_>) -> Result<(), RunError> {
        (self.progress)(Stage::Writing);
        let folder = self.cache.folder()?;
        self.cache.forget_abandoned(ABANDONED);
        let place = tempfile::Builder::new().prefix(WRITING).tempdir_in(folder);
        let place = place.map_err(RunError::io(folder))?;
        let name = place.path().file_name().unwrap_or_default();
        let package = place.path().join(name).with_extension("mlpackage");
        write(&package)?;
        (self.progress)(Stage::Compiling);
        entry.adopt(&self.device.compile(&package)?)
    }

    /// Runs the model in a child process, unless it was loaded before.
    fn try_first(
        &self,
        entry: &Entry,
        interface: &Interface,
        options: &Options,
    ) -> Result<(), RunError> {
        let Some(prober) = self.prober else { return Ok(()) };
        if entry.trust(options) == Trust::Proven {
            return Ok(());
        }
        (self.progress)(Stage::Trying);
        let mut command = prober(entry.model(), interface, options);
        let (end, reason) = ended(&mut command, LONGEST_TRIAL)
            .map_err(RunError::io(Path::new(command.get_program())))?;
        let units = options.units;
        match end {
            End::Loaded => entry.prove(options),
            // Another process may have given the model up for other devices, and taken it away.
            End::Lasting if entry.exists() => {
                entry.condemn(options, &reason)?;
                Err(RunError::Trial { units, reason, marker: Some(entry.failed(options)) })
            }
            End::Lasting | End::Else => Err(RunError::Trial { units, reason, marker: None }),
        }
    }

    /// Loads the model in this process, remembering whether that ended.
    fn open(
        &self,
        entry: &Entry,
        interface: &Interface,
        options: &Options,
    ) -> Result<Box<dyn Opened>, RunError> {
        let open = || self.device.open(entry.model(), interface, options);
        if entry.trust(options) == Trust::Proven {
            return open();
        }
        entry.begin(options)?;
        let opened = open();
        entry.end(options, opened.is_ok())?;
        opened
    }
}

fn check_past(entry: &Entry, options: &Options) -> Result<(), RunError> {
    let units = options.units;
    match entry.trust(options) {
        Trust::Proven | Trust::New => Ok(()),
        Trust::Crashed => Err(RunError::CrashedBefore { units, marker: entry.trying(options) }),
        Trust::Failed(reason) => {
            Err(RunError::Trial { units, reason, marker: Some(entry.failed(options)) })
        }
    }
}

/// How a child process ended, also in words, with what it said on stderr. One that runs
/// longer than `longest` is killed.
fn ended(command: &mut Command, longest: Duration) -> io::Result<(End, String)> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stderr = child.stderr.take();
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        // What it said until it ended is all that there is.
        drop(stderr.map(|mut stderr| stderr.read_to_end(&mut words)));
        String::from_utf8_lossy(&words).trim().to_owned()
    });
    let deadline = Instant::now() + longest;
    let mut is_killed = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !is_killed && Instant::now() >= deadline {
            child.kill()?;
            is_killed = true;
        }
        thread::sleep(GLANCE);
    };
    let words = format!("{status}: {}", words.join().unwrap_or_default());
    if is_killed {
        let late = format!("{words} (it was not done after {} s)", longest.as_secs());
        return Ok((End::Lasting, late));
    }
    Ok((End::of(status), words))
}

/// How a trial ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Loaded,
    /// By a refusal of Core ML, a crash or a hang: the next trial would end so too.
    Lasting,
    /// By somebody's wish, for want of memory or room, by a mistake of ours: it says
    /// nothing about the model.
    Else,
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(0) => Self::Loaded,
            Some(code) if code == i32::from(REFUSED) => Self::Lasting,
            None if is_crash(status) => Self::Lasting,
            _ => Self::Else,
        }
    }
}

/// Signals that end a process from outside: SIGHUP, SIGINT, SIGQUIT, SIGKILL,
/// SIGTERM. All others are its own fault.
#[cfg(unix)]
fn is_crash(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal().is_some_and(|signal| ![1, 2, 3, 9, 15].contains(&signal))
}

#[cfg(not(unix))]
fn is_crash(_: ExitStatus) -> bool {
    false
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::*;

    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Placement;
    use crate::emit::Target;

    #[test]
    fn a_child_that_hangs_is_killed_and_says_so_for_good() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo trying >&2; exec sleep 600"]);
        let (end, words) = ended(&mut command, Duration::from_millis(200)).unwrap();
        assert_eq!(end, End::Lasting);
        assert!(words.ends_with(": trying (it was not done after 0 s)"), "{words}");
        let mut quick = Command::new("sh");
        quick.args(["-c", "echo no >&2; exit 1"]);
        let (end, words) = ended(&mut quick, Duration::from_secs(600)).unwrap();
        assert_eq!((end, &*words), (End::Else, "exit status: 1: no"));
    }

    /// Counts what it is asked; refuses to open if told so.
    #[derive(Default)]
    struct Fake {
        compiled: AtomicUsize,
        opened: AtomicUsize,
        refuses: bool,
    }

    impl Device for Fake {
        fn build(&self) -> String {
            "1A".to_owned()
        }

        fn target(&self) -> Target {
            Target::MacOs15
        }

        fn compile(&self, package: &Path) -> Result<PathBuf, RunError> {
            self.compiled.fetch_add(1, Ordering::Relaxed);
            let compiled = package.with_extension("mlmodelc");
            fs::create_dir(&compiled).map_err(RunError::io(&compiled))?;
            Ok(compiled)
        }

        fn open(&self, _: &Path, _: &Interface, _: &Options) -> Result<Box<dyn Opened>, RunError> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            if self.refuses {
                return Err(RunError::CoreMl { action: "loading", reason: "no".to_owned() });
            }
            Ok(Box::new(Nothing))
        }

        fn placement(&self, _: &Path, _: &Options) -> Result<Placement, RunError> {
            Ok(Placement::default())
        }
    }

    struct Nothing;

    impl Opened for Nothing {
        fn predictor(&self) -> Result<Box<dyn super::super::Predictor>, RunError> {
            Err(RunError::System { feature: "nothing", version: "0" })
        }
    }

    fn load(folder: &Path, fake: &Fake, prober: Option<&Prober>) -> Result<Entry, RunError> {
        let cache = Cache::new(folder, &fake.build());
        let loader = Loader { device: fake, cache: &cache, prober, progress: &|_| () };
        let mut write = |path: &Path| Ok(fs::create_dir(path)?);
        let loaded = loader.load("0a", &mut write, &Interface::default(), &Options::default());
        loaded.map(|(entry, _)| entry)
    }

    fn shell(script: &'static str) -> impl Fn(&Path, &Interface, &Options) -> Command {
        move |model, _, options| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(model).arg(options.units.name());
            command
        }
    }

    #[test]
    fn a_model_is_compiled_and_tried_once() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let count = shell("test -d \"$1\" && test \"$2\" = cpu-gpu && echo >>\"$1/../tried\"");
        for _ in 0..2 {
            let entry = load(folder.path(), &fake, Some(&count)).unwrap();
            assert_eq!(entry.trust(&Options::default()), Trust::Proven);
        }
        assert_eq!(fake.compiled.load(Ordering::Relaxed), 1);
        assert_eq!(fake.opened.load(Ordering::Relaxed), 2);
        assert_eq!(fs::read(folder.path().join("tried")).unwrap(), b"\n");
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["0a-1A.cpu-gpu.loaded", "0a-1A.mlmodelc", "tried"]);
    }

    #[test]
    fn a_crash_and_a_refusal_are_remembered_in_words() {
        for (script, words) in [("kill -ABRT $$", "signal: 6"), ("echo no >&2; exit 3", ": no")] {
            let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::default());
            let first = load(folder.path(), &fake, Some(&shell(script))).unwrap_err();
            assert!(first.is_refusal() && first.to_string().contains(words), "{first}");
            let second = load(folder.path(), &fake, Some(&shell("true"))).unwrap_err();
            assert_eq!(second.to_string(), first.to_string());
            let RunError::Trial { marker: Some(marker), .. } = &second else { panic!("{second}") };
            assert!(second.hint().unwrap().contains(marker.to_str().unwrap()));
            assert_eq!(fake.opened.load(Ordering::Relaxed), 0);
            fs::remove_file(marker).unwrap();
            load(folder.path(), &fake, Some(&shell("true"))).unwrap();
        }
    }

    #[test]
    fn what_failed_for_the_moment_says_nothing_about_the_model() {
        for script in ["kill -TERM $$", "kill -KILL $$", "exit 101", "echo full >&2; exit 1"] {
            let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::default());
            let error = load(folder.path(), &fake, Some(&shell(script))).unwrap_err();
            assert!(!error.is_refusal(), "{error}");
            load(folder.path(), &fake, Some(&shell("true"))).unwrap();
        }
    }

    #[test]
    fn a_child_that_cannot_start_is_named() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let missing = |_: &Path, _: &Interface, _: &Options| Command::new("/missing/laterna");
        let error = load(folder.path(), &fake, Some(&missing)).unwrap_err();
        assert!(error.to_string().starts_with("/missing/laterna: "), "{error}");
    }

    #[test]
    fn a_refusal_in_this_process_is_no_crash() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake { refuses: true, ..Fake::default() };
        let refused = load(folder.path(), &fake, None).unwrap_err();
        assert!(refused.is_refusal());
        let entry = load(folder.path(), &Fake::default(), None).unwrap();
        assert_eq!(entry.trust(&Options::default()), Trust::Proven);
        let crashed = Entry::of(folder.path().join("0b-1A.mlmodelc"));
        crashed.begin(&Options::default()).unwrap();
        assert!(matches!(
            check_past(&crashed, &Options::default()),
            Err(RunError::CrashedBefore { .. })
        ));
    }

    #[test]
    fn a_package_that_cannot_be_written_leaves_nothing() {
        let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let cache = Cache::new(folder.path(), "1A");
        let loader = Loader { device: &fake, cache: &cache, prober: None, progress: &|_| () };
        let mut write = |_: &Path| Err(EmitError::Options("none".to_owned()));
        let loaded = loader.load("0a", &mut write, &Interface::default(), &Options::default());
        assert!(matches!(loaded.map(drop), Err(RunError::Emit(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
