//! Where compiled models lie, and which of them this machine has survived loading.
//!
//! Core ML keys its own cache of device code on the full path of the compiled
//! model, so a model must always be loaded from the same place. Its name is a
//! digest of the package's bytes and the system's build, which compiles anew after
//! an update. Beside it lie two kinds of empty files: `.trying` while a load is
//! under way, which a crash leaves behind, and `.loaded` after the first success.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::{ComputeUnits, RunError};

/// A folder of compiled models.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    build: String,
}

impl Cache {
    /// The cache in `folder` for a system; `build` is its build number ("23F79").
    pub fn new(folder: impl Into<PathBuf>, build: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        Self { folder: folder.into(), build: build.chars().map(plain).collect() }
    }

    /// Where the compiled form of a package lies or will lie.
    ///
    /// # Errors
    /// If the package cannot be read.
    pub fn entry(&self, package: &Path) -> Result<Entry, RunError> {
        let digest = digest(package)?;
        Ok(Entry { model: self.folder.join(format!("{digest}-{}.mlmodelc", self.build)) })
    }
}

/// A compiled model's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    model: PathBuf,
}

/// What is known of loading a model for some devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has been loaded.
    Proven,
    /// It has not been tried.
    New,
    /// The last try never ended.
    Crashed,
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
        let partial = self.model.with_extension(format!("partial-{}", std::process::id()));
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

    /// What is known of loading it for `units`.
    pub fn trust(&self, units: ComputeUnits) -> Trust {
        if self.marker(units, "loaded").exists() {
            Trust::Proven
        } else if self.trying(units).exists() {
            Trust::Crashed
        } else {
            Trust::New
        }
    }

    /// The file that a crash leaves behind.
    pub fn trying(&self, units: ComputeUnits) -> PathBuf {
        self.marker(units, "trying")
    }

    /// Remembers that a load begins.
    ///
    /// # Errors
    /// If the marker cannot be written: without it a crash would be repeated.
    pub fn begin(&self, units: ComputeUnits) -> Result<(), RunError> {
        let marker = self.trying(units);
        fs::write(&marker, "").map_err(RunError::io(&marker))
    }

    /// Remembers that the load ended, and whether the model was loaded. A refusal
    /// is no crash: it will be refused again, with the same words.
    ///
    /// # Errors
    /// If a marker cannot be written or removed.
    pub fn end(&self, units: ComputeUnits, loaded: bool) -> Result<(), RunError> {
        if loaded {
            let marker = self.marker(units, "loaded");
            fs::write(&marker, "").map_err(RunError::io(&marker))?;
        }
        let marker = self.trying(units);
        match fs::remove_file(&marker) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RunError::io(&marker)(error))
            }
            _ => Ok(()),
        }
    }

    fn marker(&self, units: ComputeUnits, state: &str) -> PathBuf {
        self.model.with_extension(format!("{units}.{state}"))
    }
}

/// SHA-1 over every file's path and bytes, as [`crate::emit`] names what it writes.
fn digest(package: &Path) -> Result<String, RunError> {
    let mut files = Vec::new();
    collect(package, &mut files)?;
    files.sort();
    let mut hash = Sha1::new();
    for path in &files {
        let name = path.strip_prefix(package).unwrap_or(path).to_string_lossy();
        hash.update(name.as_bytes());
        hash.update([0]);
        let mut file = fs::File::open(path).map_err(RunError::io(path))?;
        io::copy(&mut file, &mut hash).map_err(RunError::io(path))?;
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
    use super::*;

    fn package(folder: &Path, weight: &[u8]) -> PathBuf {
        let path = folder.join("model.mlpackage");
        fs::create_dir_all(path.join("Data")).unwrap();
        fs::write(path.join("Manifest.json"), "{}").unwrap();
        fs::write(path.join("Data/weight.bin"), weight).unwrap();
        path
    }

    #[test]
    fn an_entry_follows_the_bytes_and_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"), "23F79");
        let first = cache.entry(&package(folder.path(), b"one")).unwrap();
        assert_eq!(cache.entry(&package(folder.path(), b"one")).unwrap(), first);
        assert_ne!(cache.entry(&package(folder.path(), b"two")).unwrap(), first);
        let later = Cache::new(folder.path().join("cache"), "24A1");
        assert_ne!(later.entry(&package(folder.path(), b"one")).unwrap(), first);
        assert!(first.model().to_str().unwrap().ends_with("-23F79.mlmodelc"));
    }

    #[test]
    fn a_build_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), "../x (y)");
        let entry = cache.entry(&package(folder.path(), b"")).unwrap();
        assert_eq!(entry.model().parent(), Some(folder.path()));
    }

    #[test]
    fn a_missing_package_is_an_error() {
        let cache = Cache::new("cache", "1");
        let error = cache.entry(Path::new("missing.mlpackage")).unwrap_err().to_string();
        assert!(error.starts_with("missing.mlpackage: "), "{error}");
    }

    #[test]
    fn a_compiled_model_is_moved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Cache::new(folder.path().join("cache"), "1")
            .entry(&package(folder.path(), b"one"))
            .unwrap();
        for round in 0..2 {
            let compiled = folder.path().join(format!("{round}.mlmodelc"));
            fs::create_dir_all(compiled.join("weights")).unwrap();
            fs::write(compiled.join("weights/weight.bin"), "w").unwrap();
            entry.adopt(&compiled).unwrap();
            assert_eq!(fs::read(entry.model().join("weights/weight.bin")).unwrap(), b"w");
        }
        assert_eq!(fs::read_dir(folder.path().join("cache")).unwrap().count(), 1);
    }

    #[test]
    fn copies_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let source = package(folder.path(), b"bytes");
        copy(&source, &folder.path().join("copy")).unwrap();
        assert_eq!(digest(&folder.path().join("copy")).unwrap(), digest(&source).unwrap());
    }

    #[test]
    fn a_crash_is_remembered_for_its_devices_alone() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry::of(folder.path().join("0.mlmodelc"));
        let (gpu, cpu) = (ComputeUnits::CpuAndGpu, ComputeUnits::Cpu);
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
    }
}
