//! What was found out about this machine in earlier runs: small files in the user's cache, whose loss
//! costs a few seconds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use laterna_weights::atomic_write;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Findings of one kind, by what they are about.
#[derive(Debug)]
pub struct Memory<T> {
    name: &'static str,
    most: usize,
    found: BTreeMap<String, T>,
}

impl<T: Serialize + DeserializeOwned> Memory<T> {
    /// What is remembered under a name, at most so many findings; nothing if it cannot be read.
    pub fn read(name: &'static str, most: usize) -> Self {
        let text = file(name).and_then(|file| fs::read_to_string(file).ok());
        let found = text.and_then(|text| serde_json::from_str(&text).ok());
        Self { name, most, found: found.unwrap_or_default() }
    }

    /// What was found out about something.
    pub fn get(&self, what: &str) -> Option<&T> {
        self.found.get(what)
    }

    /// Adds a finding, in the place of all others if they are too many.
    ///
    /// # Errors
    /// If the file cannot be written; the finding is then remembered by this process alone.
    pub fn remember(&mut self, what: String, found: T) -> io::Result<()> {
        if self.found.len() >= self.most {
            self.found.clear();
        }
        self.found.insert(what, found);
        let Some(file) = file(self.name) else { return Ok(()) };
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        let text = serde_json::to_vec_pretty(&self.found)?;
        atomic_write(&file, |out| out.write_all(&text))
    }
}

/// Where findings are kept, if the user has a place for that.
fn file(name: &str) -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?;
    Some(caches.join("laterna").join(name))
}
