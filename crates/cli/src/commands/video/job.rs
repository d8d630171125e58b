//! Everything that decides the bytes of a painted clip, as texts that are
//! compared: what was painted of another job is of no use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use laterna_control::{Controls, ModelChoice};
use laterna_media::source::Ffmpeg;
use serde::{Deserialize, Serialize};

use super::Args;
use super::place::Place;
use crate::backends::BackendArgs;
use crate::digest::Digest;
use crate::error::{During, Failure};
use crate::model::{Model, STARTER};

/// Of a file, so much of its head and of its tail is looked at; changes between
/// them show in its size and time.
const END_BYTES: u64 = 1 << 16;

/// Folders in folders that are looked at: a link may lead in a circle.
const DEPTH: usize = 8;

/// What decides the bytes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job(BTreeMap<String, String>);

impl Job {
    /// What `args` ask for; `clip` is the file or folder that they read, `model` the one of `choice`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(
        args: &Args,
        clip: &Path,
        choice: &ModelChoice,
        model: &Model,
        controls: &Controls,
        backend: &BackendArgs,
    ) -> Result<Self, Failure> {
        let mut job = Self::default();
        job.set("laterna", program());
        job.set("the clip's name", args.input.to_string());
        job.set("the clip", files(clip, &args.place())?);
        job.set_model(choice, model, &args.place())?;
        job.set_controls(controls);
        if let Some(log) = &args.replay {
            job.set("the log", files(log, &args.place())?);
        }
        job.set("quantizer", args.quantizer.to_string());
        job.set("the backend", backend.describe()?);
        job.set("ffmpeg", format!("{:?}", Ffmpeg::find()));
        Ok(job)
    }

    /// The names of what differs, in order.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |name: &&String| self.0.get(*name) != other.0.get(*name);
        names.into_iter().filter(differs).map(String::as_str).collect()
    }

    fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    fn set_model(
        &mut self,
        choice: &ModelChoice,
        model: &Model,
        place: &Place,
    ) -> Result<(), Failure> {
        self.set("the model's name", choice.name.clone());
        if choice.name != STARTER {
            self.set("the model", files(model.root(), place)?);
        }
        let mut loras = Vec::new();
        for lora in &choice.loras {
            loras.push(format!("{} {}", lora.scale, files(Path::new(&lora.path), place)?));
        }
        self.set("the LoRAs", loras.join(", "));
        Ok(())
    }

    fn set_controls(&mut self, controls: &Controls) {
        if let Ok(serde_json::Value::Object(controls)) = serde_json::to_value(controls) {
            for (name, value) in controls {
                self.set(&name, value.to_string());
            }
        }
    }
}

/// This program: two builds of one version may paint differently.
fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let digest = std::env::current_exe().and_then(|path| {
        let mut digest = Digest::default();
        add_file(&mut digest, &path, &path.metadata()?)?;
        Ok(digest.value())
    });
    format!("{version} {:x}", digest.unwrap_or_default())
}

/// Stands for a file, or a folder with all that is in it but what this command
/// writes there itself.
fn files(path: &Path, place: &Place) -> Result<String, Failure> {
    let mut digest = Digest::default();
    let added = add(&mut digest, path, place, DEPTH);
    added.during(format_args!("cannot read {}", path.display()))?;
    Ok(format!("{:016x}", digest.value()))
}

fn add(digest: &mut Digest, path: &Path, place: &Place, depth: usize) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return add_file(digest, path, &metadata);
    }
    if !metadata.is_dir() || depth == 0 {
        return Ok(());
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| !place.is_own(path));
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        digest.update(name.as_encoded_bytes().iter().copied().chain([0]));
        add(digest, &path, place, depth - 1)?;
    }
    Ok(())
}

/// Size, time of change, head and tail.
fn add_file(digest: &mut Digest, path: &Path, metadata: &Metadata) -> io::Result<()> {
    let size = metadata.len();
    let changed = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    digest.update(size.to_le_bytes());
    digest.update(changed.as_nanos().to_le_bytes());
    let mut file = File::open(path)?;
    let head = size.min(END_BYTES);
    digest.update_from(&mut file, 0, head)?;
    let tail = (size - head).min(END_BYTES);
    digest.update_from(&mut file, size - tail, tail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn place(folder: &Path) -> Place {
        Place::of(&folder.join("out.mp4"))
    }

    #[test]
    fn differences_are_named() {
        let job = |pairs: &[(&str, &str)]| {
            Job(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let one = job(&[("seed", "1"), ("size", "64"), ("the log", "a")]);
        assert!(one.differences(&one.clone()).is_empty());
        let other = job(&[("seed", "2"), ("size", "64"), ("ffmpeg", "7")]);
        assert_eq!(one.differences(&other), ["ffmpeg", "seed", "the log"]);
    }

    #[test]
    fn a_file_is_its_bytes_and_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        let print = || files(&path, &place(folder.path())).unwrap();
        let mut bytes = vec![1; 3 * END_BYTES as usize];
        fs::write(&path, &bytes).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let first = print();
        assert_eq!(first, print());
        let set_time = |time| File::options().write(true).open(&path).unwrap().set_modified(time);
        for at in [0, bytes.len() - 1] {
            bytes[at] = 2;
            fs::write(&path, &bytes).unwrap();
            set_time(time).unwrap();
            assert_ne!(first, print(), "byte {at}");
            bytes[at] = 1;
        }
        fs::write(&path, &bytes).unwrap();
        set_time(time).unwrap();
        assert_eq!(first, print());
        set_time(time + Duration::from_secs(1)).unwrap();
        assert_ne!(first, print());
    }

    #[test]
    fn a_folder_is_all_that_is_in_it_but_what_is_written_there() {
        let folder = tempfile::tempdir().unwrap();
        let print = || files(folder.path(), &place(folder.path())).unwrap();
        fs::create_dir(folder.path().join("unet")).unwrap();
        let first = print();
        for own in ["out.mp4", "out.mp4.part", "out.mp4.resume", ".x.tmp"] {
            fs::write(folder.path().join(own), "x").unwrap();
        }
        assert_eq!(first, print());
        fs::write(folder.path().join("unet/config.json"), "x").unwrap();
        assert_ne!(first, print());
        assert!(files(&folder.path().join("absent"), &place(folder.path())).is_err());
    }
}
