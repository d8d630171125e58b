//! Where a clip was left, as a safetensors file: the record (JSON) with what was
//! asked and how far it came, the memory of the painting, and a digest of all of
//! it, so that a damaged file is known as one.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use laterna_control::Prompt;
use laterna_diffusion::live;
use laterna_diffusion::session::PromptEmbeddings;
use laterna_media::sink::recorder::Mark;
use laterna_pipeline::similar;
use laterna_tensor::{RawTensor, Shape, Tensor, TensorData};
use laterna_weights::{MappedFile, WeightError, write_safetensors};
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::painting::Memory;
use crate::digest::Digest;

/// Names of the file's tensors.
const RECORD: &str = "record";
const DIGEST: &str = "digest";
const LATENT: &str = "latent";
const TOKENS: &str = "tokens";
const POOLED: &str = "pooled";
const LUMA: &str = "luma";
const RECENT: &str = "recent";
const AVERAGE: &str = "average";

/// Where a clip was left: after a frame and before the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What was asked for.
    pub job: Job,
    /// How far it came.
    pub progress: Progress,
    /// The part file up to here.
    pub mark: Mark,
    /// The digest of its bytes.
    pub part: Digest,
    /// What is remembered of the frames before.
    pub memory: Memory,
}

/// How far a clip has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Frames painted.
    pub frames: u64,
    /// When the first one is shown.
    pub first: Duration,
    /// When the newest one is shown.
    pub newest: Duration,
}

/// The numbers of a checkpoint; its pictures and embeddings are tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    job: Job,
    progress: Progress,
    #[serde(with = "MarkFields")]
    mark: Mark,
    part: Digest,
    remembers: bool,
    prompts: Option<Vec<Prompt>>,
    captured: Option<Duration>,
    resets: u64,
    /// When the watch last saw a picture and how many were still.
    watch: Option<(Duration, u32)>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Mark")]
struct MarkFields {
    length_bytes: u64,
    fragments: u32,
    duration_at_bytes: u64,
    first: Duration,
    newest: Duration,
    newest_ticks: u64,
    pictures: u64,
    left_out: u64,
}

impl Checkpoint {
    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightError> {
        let io = |reason| WeightError::Io { file: path.to_owned(), reason };
        let mut tensors = self.tensors().map_err(io)?;
        let digest = digest_of(tensors.iter().map(|(name, tensor)| (*name, raw(tensor))));
        tensors.push((DIGEST, bytes(digest.value().to_le_bytes().to_vec())));
        let views: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor.view())).collect();
        write_safetensors(path, &views)
    }

    /// Reads what [`Checkpoint::write`] wrote.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn read(path: &Path) -> Result<Self, String> {
        // Opened once before: an error of the system comes in its own words.
        File::open(path).map_err(|error| error.to_string())?;
        let file = MappedFile::open(path).map_err(|_| DAMAGED)?;
        Self::of_file(&file).ok_or_else(|| DAMAGED.to_owned())
    }

    /// The tensors but the digest, by name.
    fn tensors(&self) -> io::Result<Vec<(&'static str, Tensor)>> {
        let Memory { painter, watch, average } = &self.memory;
        let record = serde_json::to_vec(&self.record())?;
        let average = average.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut tensors = vec![
            (AVERAGE, bytes(average)),
            (LATENT, painter.frames.latent.clone()),
            (RECORD, bytes(record)),
        ];
        if let Some((_, embedding)) = &painter.glide {
            tensors.push((TOKENS, embedding.tokens.clone()));
            tensors.extend(embedding.pooled.clone().map(|pooled| (POOLED, pooled)));
        }
        if let Some(watch) = watch {
            tensors.push((LUMA, numbers(watch.luma.clone())));
            tensors.push((RECENT, numbers(vec![watch.recent])));
        }
        tensors.sort_by_key(|(name, _)| *name);
        Ok(tensors)
    }

    fn record(&self) -> Record {
        let Memory { painter, watch, .. } = &self.memory;
        Record {
            job: self.job.clone(),
            progress: self.progress,
            mark: self.mark,
            part: self.part,
            remembers: painter.frames.remembers,
            prompts: painter.glide.as_ref().map(|(prompts, _)| prompts.clone()),
            captured: painter.captured,
            resets: painter.resets,
            watch: watch.as_ref().map(|watch| (watch.inferred, watch.still)),
        }
    }

    /// None if anything is not as it was written.
    fn of_file(file: &MappedFile) -> Option<Self> {
        check(file)?;
        let record = file.read(RECORD).ok()?;
        let record: Record = serde_json::from_slice(&record.bytes).ok()?;
        let tensor = |name| Some(Tensor::from_raw(&file.read(name).ok()?));
        let glide = match record.prompts {
            Some(prompts) => {
                let embedding =
                    PromptEmbeddings { tokens: tensor(TOKENS)?, pooled: tensor(POOLED) };
                Some((prompts, embedding))
            }
            None => None,
        };
        let frames = live::Memory { latent: tensor(LATENT)?, remembers: record.remembers };
        let (captured, resets) = (record.captured, record.resets);
        let painter = laterna_live::Memory { frames, glide, captured, resets };
        let watch = match record.watch {
            Some((inferred, still)) => Some(similar::Memory {
                luma: file.read(LUMA).ok()?.to_f32(),
                inferred,
                recent: *file.read(RECENT).ok()?.to_f32().first()?,
                still,
            }),
            None => None,
        };
        let average = file.read(AVERAGE).ok()?;
        let average = average.bytes.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
        let memory = Memory { painter, watch, average };
        let Record { job, progress, mark, part, .. } = record;
        Some(Self { job, progress, mark, part, memory })
    }
}

const DAMAGED: &str = "the checkpoint is damaged";

/// Whether the digest is that of all the rest.
fn check(file: &MappedFile) -> Option<()> {
    let mut tensors = Vec::new();
    for name in file.header().tensors().keys().filter(|name| *name != DIGEST) {
        tensors.push((&**name, file.read(name).ok()?));
    }
    let found = digest_of(tensors.into_iter()).value().to_le_bytes();
    (*file.read(DIGEST).ok()?.bytes == found).then_some(())
}

/// Of names, shapes and bytes, in the order of the names.
fn digest_of<'a>(tensors: impl Iterator<Item = (&'a str, RawTensor<'a>)>) -> Digest {
    let mut digest = Digest::default();
    for (name, tensor) in tensors {
        digest.update(format!("{name} {} {}\n", tensor.dtype, tensor.shape).into_bytes());
        digest.update(tensor.bytes.iter().copied());
    }
    digest
}

/// Its bytes as the file has them.
fn raw(tensor: &Tensor) -> RawTensor<'_> {
    let (dtype, shape) = (tensor.dtype(), tensor.shape());
    let bytes = match tensor.data() {
        TensorData::U8(bytes) => bytes.into(),
        // Nothing here is of another type than these two; what is has no bytes
        // and its digest does not fit.
        _ => {
            let values = tensor.as_f32().unwrap_or_default();
            values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()
        }
    };
    RawTensor { dtype, shape, bytes }
}

fn bytes(bytes: Vec<u8>) -> Tensor {
    let shape = Shape::from([bytes.len()]);
    Tensor::new(shape, TensorData::U8(bytes)).expect("the shape is that of the bytes")
}

fn numbers(numbers: Vec<f32>) -> Tensor {
    Tensor::from_f32([numbers.len()], numbers).expect("the shape is that of the numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With numbers that only their own bits stand for.
    fn checkpoint() -> Checkpoint {
        let odd = |count: usize| (0..count).map(|i| 1.0 / (3.0 + i as f32)).collect::<Vec<_>>();
        let tensor = |shape: [usize; 2]| Tensor::from_f32(shape, odd(shape[0] * shape[1])).unwrap();
        let frames = live::Memory { latent: tensor([4, 5]), remembers: true };
        let embedding = PromptEmbeddings { tokens: tensor([7, 3]), pooled: Some(tensor([1, 6])) };
        let prompt = Prompt { text: "ink \"wash\"\n".to_owned(), weight: 0.1 };
        let time = Duration::new(3, 333_333_333);
        let painter = laterna_live::Memory {
            frames,
            glide: Some((vec![prompt], embedding)),
            captured: Some(time),
            resets: 2,
        };
        let watch = similar::Memory { luma: odd(9), inferred: time, recent: 0.1, still: 3 };
        let mut part = Digest::default();
        part.update(*b"part");
        Checkpoint {
            job: Job::default(),
            progress: Progress { frames: 60, first: Duration::ZERO, newest: time },
            mark: Mark { length_bytes: u64::MAX, fragments: 7, newest: time, ..Mark::default() },
            part,
            memory: Memory { painter, watch: Some(watch), average: vec![0, -1, 32640] },
        }
    }

    #[test]
    fn every_bit_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.resume");
        let mut checkpoint = checkpoint();
        checkpoint.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).as_ref(), Ok(&checkpoint));
        checkpoint.memory.painter.glide = None;
        checkpoint.memory.watch = None;
        checkpoint.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).as_ref(), Ok(&checkpoint));
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.resume");
        let whole = checkpoint();
        whole.write(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        for cut in (0..file.len()).step_by(13) {
            std::fs::write(&path, &file[..cut]).unwrap();
            assert!(Checkpoint::read(&path).is_err(), "cut at {cut}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, damaged).unwrap();
            // Blanks behind the header mean nothing.
            let read = Checkpoint::read(&path);
            assert!(read.is_err() || read.as_ref() == Ok(&whole), "byte {at}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }
}
