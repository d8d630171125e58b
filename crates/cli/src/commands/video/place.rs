//! The files of a clip on its way: what is painted so far (`.part`) and where to
//! go on (`.resume`), beside the output, which appears when it is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{During, Failure};
use crate::interrupt::uninterrupted;

/// Where a clip goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name that the whole clip gets.
    pub output: PathBuf,
    /// Where it is written until then.
    pub part: PathBuf,
    /// Where it says how to go on.
    pub checkpoint: PathBuf,
}

/// Held while a clip is painted, so that nobody else writes its part.
pub struct Lock {
    _file: File,
}

impl Place {
    /// The files that go with an output.
    pub fn of(output: &Path) -> Self {
        let beside = |end: &str| {
            let mut name = output.file_name().unwrap_or_default().to_owned();
            name.push(end);
            output.with_file_name(name)
        };
        Self { output: output.to_owned(), part: beside(".part"), checkpoint: beside(".resume") }
    }

    /// Whether this is one of the files that the command writes beside each other,
    /// under its last name or a temporary one.
    pub fn is_own(&self, path: &Path) -> bool {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (Some(own), Some(name)) = (name(&self.output), name(path)) else { return false };
        name.starts_with(&own) || (name.starts_with('.') && name.ends_with(".tmp"))
    }

    /// Makes the part if there is none, and keeps others from writing it.
    ///
    /// # Errors
    /// If another process paints this clip, or the file cannot be made.
    pub fn lock(&self) -> Result<Lock, Failure> {
        let file = File::options().create(true).truncate(false).write(true).open(&self.part);
        let file = file.during(self.what())?;
        if is_locked_elsewhere(&file) {
            return Err(Failure::input(self.what(), "another process is painting it")
                .hint("wait for it, or give another --output"));
        }
        Ok(Lock { _file: file })
    }

    /// Gives the whole clip, which is in `whole`, its name; nothing else stays.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish(&self, whole: &Path) -> Result<(), Failure> {
        let rename = || -> io::Result<()> {
            // The name must not outlast a loss of power if the bytes do not.
            File::options().write(true).open(whole)?.sync_all()?;
            fs::rename(whole, &self.output)?;
            remove(&self.checkpoint)?;
            remove(&self.part)
        };
        uninterrupted(rename).during(self.what())
    }

    /// What is told of a failure. A part that nobody can go on with is taken away.
    pub fn fail(&self, failure: Failure) -> Failure {
        if self.can_be_resumed() {
            let kept = "what is painted so far is kept: the same command goes on from there";
            return failure.hint(kept);
        }
        // An error has been told already; this one says nothing about it.
        let _ = remove(&self.part);
        failure
    }

    /// Whether there is a checkpoint.
    pub fn can_be_resumed(&self) -> bool {
        self.checkpoint.exists()
    }

    /// Takes the checkpoint away.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn forget(&self) -> Result<(), Failure> {
        remove(&self.checkpoint).during(self.what())
    }

    fn what(&self) -> String {
        format!("cannot write {}", self.output.display())
    }
}

/// Locks are advice on Unix; elsewhere they would keep this process from writing
/// through another handle too, and are not taken.
fn is_locked_elsewhere(file: &File) -> bool {
    cfg!(unix) && matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(&folder.path().join("a.mp4"));
        (folder, place)
    }

    #[test]
    #[cfg(unix)]
    fn one_process_at_a_time() {
        let (_folder, place) = place();
        let lock = place.lock().unwrap();
        let error = place.lock().err().unwrap().to_string();
        assert!(error.ends_with("a.mp4: another process is painting it"), "{error}");
        drop(lock);
        assert!(place.lock().is_ok());
    }

    #[test]
    fn a_failure_leaves_only_what_can_be_gone_on_with() {
        let (folder, place) = place();
        fs::write(&place.part, "x").unwrap();
        fs::write(&place.checkpoint, "x").unwrap();
        let _ = place.fail(Failure::input("a", "b"));
        assert!(place.part.exists());
        place.forget().unwrap();
        place.forget().unwrap();
        let _ = place.fail(Failure::input("a", "b"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_whole_alone_stays() {
        let (folder, place) = place();
        let mixed = folder.path().join("mixed");
        for path in [&place.part, &place.checkpoint, &mixed] {
            fs::write(path, path.as_os_str().as_encoded_bytes()).unwrap();
        }
        place.finish(&mixed).unwrap();
        assert_eq!(fs::read(&place.output).unwrap(), mixed.as_os_str().as_encoded_bytes());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
