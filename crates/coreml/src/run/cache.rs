//! Where compiled models lie, and which of them this machine has survived loading.
//!
//! Core ML keys its own cache of device code on the full path of the compiled
//! model, so a model must always be loaded from the same place. Its name is the
//! key of what it was made from and the system's build, which compiles anew after
//! an update. Beside it lie small files, for each kind of devices and each function:
//! `.loaded` after the first success, `.failed` with the words of a trial that ended
//! badly, and `.trying` while a load in this process is under way, which a crash
//! leaves behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Options, RunError};

/// A folder of compiled models.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    build: String,
}

impl Cache {
    /// The cache in `folder` for a system; `build` is its build number ("23F79").
    pub fn new(folder: impl Into<PathBuf>, build: &str) -> Self {
        Self { folder: folder.into(), build: plain(build) }
    }

    /// The folder, made if it was not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&self) -> Result<&Path, RunError> {
        fs::create_dir_all(&self.folder).map_err(RunError::io(&self.folder))?;
        Ok(&self.folder)
    }

    /// Where the compiled form of what has this key lies or will lie.
    pub fn entry(&self, key: &str) -> Entry {
        Entry { model: self.folder.join(format!("{}-{}.mlmodelc", plain(key), self.build)) }
    }

    /// Removes what was compiled by other systems from what has this key: nobody asks
    /// for it again. What cannot be removed only takes room.
    pub fn forget_other_systems(&self, key: &str) {
        let (every, ours) = (format!("{}-", plain(key)), format!("{}-{}.", plain(key), self.build));
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&every) && !name.starts_with(&ours) {
                drop(fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path())));
            }
        }
    }

    /// Removes what interrupted processes have left: packages and models half made, that
    /// nobody has touched for so long.
    pub fn forget_abandoned(&self, age: Duration) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_half_made = name.starts_with(WRITING) || name.contains(".partial-");
            let touched = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = touched.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed >= age));
            if is_half_made && is_old {
                drop(fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path())));
            }
        }
    }
}

/// Begins the names of folders in which packages are being written.
pub(super) const WRITING: &str = "writing-";

/// Nothing that leads out of a folder.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// A compiled model's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    model: PathBuf,
}

/// What is known of loading a function of a model for some devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has been loaded.
    Proven,
    /// It has not been tried.
    New,
    /// The last try in a process like this one never ended.
    Crashed,
    /// A trial ended badly, in these words.
    Failed(String),
}

impl Entry {
    /// The entry of a model that is already compiled.
    pub fn of(model: impl Into<PathBuf>) -> Self {
        Self { model: model.into() }
    }

    /// The compiled model.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.model.is_dir()
    }

    /// Moves a freshly compiled model to its place, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be moved or copied.
    pub fn adopt(&self, compiled: &Path) -> Result<(), RunError> {
        let parent = self.model.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(RunError::io(parent))?;
        let partial = partial(&self.model);
        // The system's temporary folder may be on another volume.
        if fs::rename(compiled, &partial).is_err() {
            let copied = copy(compiled, &partial);
            copied.inspect_err(|_| drop(fs::remove_dir_all(&partial)))?;
        }
        let moved = fs::rename(&partial, &self.model);
        // Another process was first: its model is the same.
        if moved.is_err() && self.exists() {
            return fs::remove_dir_all(&partial).map_err(RunError::io(&partial));
        }
        moved.map_err(RunError::io(&self.model))
    }

    /// What is known of loading it so.
    pub fn trust(&self, options: &Options) -> Trust {
        if let Ok(words) = fs::read_to_string(self.failed(options)) {
            Trust::Failed(words)
        } else if self.marker(options, "loaded").exists() {
            Trust::Proven
        } else if self.trying(options).exists() {
            Trust::Crashed
        } else {
            Trust::New
        }
    }

    /// The file that a crash of this process leaves behind.
    pub fn trying(&self, options: &Options) -> PathBuf {
        self.marker(options, "trying")
    }

    /// The file that remembers a trial that ended badly.
    pub fn failed(&self, options: &Options) -> PathBuf {
        self.marker(options, "failed")
    }

    /// Remembers that a load in this process begins.
    ///
    /// # Errors
    /// If the marker cannot be written: without it a crash would be repeated.
    pub fn begin(&self, options: &Options) -> Result<(), RunError> {
        write(&self.trying(options), "")
    }

    /// Remembers that the load in this process ended. A refusal is no crash: it will
    /// be refused again, with the same words.
    ///
    /// # Errors
    /// If a marker cannot be written or removed.
    pub fn end(&self, options: &Options, loaded: bool) -> Result<(), RunError> {
        if loaded {
            self.prove(options)?;
        }
        remove(&self.trying(options))
    }

    /// Remembers that it can be loaded.
    ///
    /// # Errors
    /// If the marker cannot be written.
    pub fn prove(&self, options: &Options) -> Result<(), RunError> {
        write(&self.marker(options, "loaded"), "")
    }

    /// Remembers how a trial ended, and removes the model unless other devices take it,
    /// or take another function of it.
    ///
    /// # Errors
    /// If the marker cannot be written.
    pub fn condemn(&self, options: &Options, words: &str) -> Result<(), RunError> {
        write(&self.failed(options), words)?;
        if !self.is_proven() {
            // What cannot be removed only takes room.
            drop(fs::remove_dir_all(&self.model));
        }
        Ok(())
    }

    /// Whether it was loaded in any way.
    fn is_proven(&self) -> bool {
        let Some(parent) = self.model.parent() else { return false };
        let ours = format!("{}.", self.model.file_stem().unwrap_or_default().to_string_lossy());
        fs::read_dir(parent).into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&ours) && name.ends_with(".loaded")
        })
    }

    fn marker(&self, options: &Options, state: &str) -> PathBuf {
        let function = options.function.iter().map(|name| format!(".{}", plain(name)));
        let way = format!("{}{}", options.units, function.collect::<String>());
        self.model.with_extension(format!("{way}.{state}"))
    }
}

/// Where something is made before it is moved to `path`: a name that no other thread
/// and no other process uses.
fn partial(path: &Path) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("partial-{}-{number}", std::process::id()))
}

/// Whole or not at all: another process may be reading it.
fn write(path: &Path, text: &str) -> Result<(), RunError> {
    let partial = partial(path);
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| drop(fs::remove_file(&partial))).map_err(RunError::io(path))
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RunError::io(path)(error)),
        _ => Ok(()),
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), RunError> {
    for entry in fs::read_dir(folder).map_err(RunError::io(folder))? {
        let path = entry.map_err(RunError::io(folder))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), RunError> {
    fs::create_dir_all(to).map_err(RunError::io(to))?;
    let mut files = Vec::new();
    collect(from, &mut files)?;
    for file in files {
        let target = to.join(file.strip_prefix(from).unwrap_or(&file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(RunError::io(parent))?;
        }
        fs::copy(&file, &target).map_err(RunError::io(&file))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]
mod tests {
    use super::super::ComputeUnits;
    use super::*;

    fn on(units: ComputeUnits) -> Options {
        Options { units, function: None }
    }

    fn compiled(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.join("weights")).unwrap();
        fs::write(path.join("weights/weight.bin"), "w").unwrap();
        path
    }

    #[test]
    fn what_is_half_made_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["writing-ab", "k-1A.partial-7", "k-1A.mlmodelc"] {
            fs::create_dir_all(folder.path().join(name).join("inner")).unwrap();
        }
        let cache = Cache::new(folder.path(), "1A");
        cache.forget_abandoned(Duration::from_secs(3600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        cache.forget_abandoned(Duration::ZERO);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["k-1A.mlmodelc"]);
    }

    #[test]
    fn an_entry_follows_the_key_and_the_system() {
        let (cache, later) = (Cache::new("cache", "23F79"), Cache::new("cache", "24A1"));
        let entry = cache.entry("0a1b");
        assert_eq!(entry.model(), Path::new("cache/0a1b-23F79.mlmodelc"));
        assert_ne!(cache.entry("0a1c"), entry);
        assert_ne!(later.entry("0a1b"), entry);
    }

    #[test]
    fn neither_a_build_nor_a_key_can_leave_the_folder() {
        let entry = Cache::new("cache", "../x (y)").entry("../../etc");
        assert_eq!(entry.model().parent(), Some(Path::new("cache")));
    }

    #[test]
    fn a_compiled_model_is_moved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Cache::new(folder.path().join("cache"), "1").entry("0");
        for round in ["0.mlmodelc", "1.mlmodelc"] {
            entry.adopt(&compiled(folder.path(), round)).unwrap();
            assert_eq!(fs::read(entry.model().join("weights/weight.bin")).unwrap(), b"w");
        }
        assert_eq!(fs::read_dir(folder.path().join("cache")).unwrap().count(), 1);
    }

    #[test]
    fn models_of_other_systems_and_those_that_no_device_takes_go() {
        let folder = tempfile::tempdir().unwrap();
        for build in ["1", "2"] {
            let entry = Cache::new(folder.path(), build).entry("0a");
            entry.adopt(&compiled(folder.path(), "new")).unwrap();
            entry.prove(&on(ComputeUnits::Cpu)).unwrap();
        }
        let cache = Cache::new(folder.path(), "2");
        cache.forget_other_systems("0a");
        let entry = cache.entry("0a");
        assert!(entry.exists() && entry.trust(&on(ComputeUnits::Cpu)) == Trust::Proven);
        let left = |prefix| {
            let names = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
            names.filter(|name| name.to_str().unwrap().starts_with(prefix)).count()
        };
        assert_eq!((left("0a-1"), left("0a-2")), (0, 2));
        entry.condemn(&on(ComputeUnits::All), "no").unwrap();
        assert!(entry.exists());
        let lost = cache.entry("0b");
        lost.adopt(&compiled(folder.path(), "new")).unwrap();
        lost.condemn(&on(ComputeUnits::All), "no").unwrap();
        assert!(!lost.exists());
    }

    #[test]
    fn copies_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let source = compiled(folder.path(), "source");
        copy(&source, &folder.path().join("copy")).unwrap();
        assert_eq!(fs::read(folder.path().join("copy/weights/weight.bin")).unwrap(), b"w");
    }

    #[test]
    fn a_crash_is_remembered_for_its_devices_alone() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry::of(folder.path().join("0.mlmodelc"));
        let (gpu, cpu) = (&on(ComputeUnits::CpuAndGpu), &on(ComputeUnits::Cpu));
        assert_eq!(entry.trust(gpu), Trust::New);
        entry.begin(gpu).unwrap();
        assert_eq!(entry.trust(gpu), Trust::Crashed);
        assert_eq!(entry.trust(cpu), Trust::New);
        entry.end(gpu, false).unwrap();
        assert_eq!(entry.trust(gpu), Trust::New);
        entry.begin(gpu).unwrap();
        entry.end(gpu, true).unwrap();
        assert_eq!(entry.trust(gpu), Trust::Proven);
        entry.end(cpu, false).unwrap();
        entry.condemn(cpu, "signal 6").unwrap();
        assert_eq!(entry.trust(cpu), Trust::Failed("signal 6".to_owned()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_function_is_trusted_for_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Cache::new(folder.path(), "1").entry("0");
        entry.adopt(&compiled(folder.path(), "new")).unwrap();
        let [small, large] = ["size_64x64", "size_512x512"]
            .map(|name| Options { function: Some(name.to_owned()), ..Options::default() });
        entry.prove(&small).unwrap();
        assert_eq!(entry.trust(&small), Trust::Proven);
        assert_eq!(entry.trust(&large), Trust::New);
        assert_eq!(entry.trust(&Options::default()), Trust::New);
        entry.condemn(&large, "no").unwrap();
        assert_eq!(entry.trust(&large), Trust::Failed("no".to_owned()));
        assert!(entry.exists() && entry.trust(&small) == Trust::Proven);
    }

    #[test]
    fn threads_of_one_process_do_not_take_each_others_files() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry::of(folder.path().join("0.mlmodelc"));
        std::thread::scope(|scope| {
            let prove = || (0..200).for_each(|_| entry.prove(&Options::default()).unwrap());
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(prove)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
