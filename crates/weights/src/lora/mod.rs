//! LoRA files: low-rank changes to a checkpoint's weights (Hu et al. 2021,
//! <https://arxiv.org/abs/2106.09685>), read in the spellings of kohya and
//! diffusers and merged into the weights as they are read.

mod merge;
mod names;
mod product;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use laterna_tensor::{RawTensor, Shape};
use thiserror::Error;

use crate::error::WeightError;
use crate::mapped::MappedFile;
use names::{Key, Role};

pub use merge::MergeReport;
pub(crate) use merge::{Patch, read_patched};

/// A LoRA file: for each of some layers a change `alpha / rank * up * down`.
#[derive(Debug)]
pub struct Lora {
    file: MappedFile,
    layers: Vec<Layer>,
}

/// The change to one layer.
#[derive(Debug)]
struct Layer {
    component: &'static str,
    /// The layer's name in flat form.
    name: String,
    /// The keys of the factors in the file.
    down: String,
    up: String,
    rank: usize,
    alpha: f32,
}

/// Why a LoRA could not be read or merged.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "`file` and `key` are the ones that failed")]
pub enum LoraError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    File(#[from] WeightError),
    /// The key belongs to an adapter that is not a LoRA.
    #[error("{}: {}: {what} adapters are not supported, only LoRA", file.display(), key.escape_debug())]
    Unsupported { file: PathBuf, key: String, what: &'static str },
    /// A factor stands alone.
    #[error(
        "{}: {}: its other factor is missing (up and down come in pairs)",
        file.display(),
        key.escape_debug()
    )]
    Unpaired { file: PathBuf, key: String },
    /// Two keys are the same factor of the same layer.
    #[error("{}: {}: the same factor as {}", file.display(), key.escape_debug(), other.escape_debug())]
    Duplicate { file: PathBuf, key: String, other: String },
    /// The factors do not fit each other.
    #[error(
        "{}: {}: shape {down} does not fit {up} of its other factor",
        file.display(),
        key.escape_debug()
    )]
    Rank { file: PathBuf, key: String, down: Shape, up: Shape },
    /// The change does not fit the weight.
    #[error(
        "{}: {}: shapes {down} and {up} do not fit {weight} of {}",
        file.display(),
        key.escape_debug(),
        name.escape_debug()
    )]
    Shape {
        file: PathBuf,
        key: String,
        down: Shape,
        up: Shape,
        /// The base weight's shape.
        weight: Shape,
        /// The base weight's name.
        name: String,
    },
    /// The alpha is not one finite number.
    #[error("{}: {}: not a finite number", file.display(), key.escape_debug())]
    Alpha { file: PathBuf, key: String },
    /// No layer of the file is in the component it is for.
    #[error(
        "{}: {}: no such layer in {component}, nor any other of the file's: \
         a LoRA for another model?",
        file.display(),
        key.escape_debug()
    )]
    NoneMatched {
        file: PathBuf,
        /// The first key.
        key: String,
        /// The component's name.
        component: &'static str,
    },
}

impl Lora {
    /// Opens a LoRA file. The factors stay in the file until they are merged.
    ///
    /// # Errors
    /// If the file is unsound, or is not a LoRA through and through.
    pub fn open(path: &Path) -> Result<Self, LoraError> {
        let file = MappedFile::open(path)?;
        let layers = group(&file)?
            .into_iter()
            .map(|((component, name), parts)| layer(&file, component, name, parts))
            .collect::<Result<_, _>>()?;
        Ok(Self { file, layers })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether the file changes layers of this component (`unet`,
    /// `text_encoder`, `text_encoder_2`).
    pub fn is_for(&self, component: &str) -> bool {
        self.layers.iter().any(|layer| layer.component == component)
    }
}

/// The keys of one layer's tensors.
#[derive(Default)]
struct Parts {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
}

/// The file's keys by component and layer.
fn group(file: &MappedFile) -> Result<BTreeMap<(&'static str, String), Parts>, LoraError> {
    let mut layers: BTreeMap<_, Parts> = BTreeMap::new();
    for key in file.header().tensors().keys() {
        let Key { component, layer, role } = names::parse(key).map_err(|what| {
            LoraError::Unsupported { file: file.path().to_owned(), key: key.clone(), what }
        })?;
        let parts = layers.entry((component, layer)).or_default();
        let part = match role {
            Role::Down => &mut parts.down,
            Role::Up => &mut parts.up,
            Role::Alpha => &mut parts.alpha,
        };
        if let Some(other) = part.replace(key.clone()) {
            let (file, key) = (file.path().to_owned(), key.clone());
            return Err(LoraError::Duplicate { file, key, other });
        }
    }
    Ok(layers)
}

fn layer(
    file: &MappedFile,
    component: &'static str,
    name: String,
    parts: Parts,
) -> Result<Layer, LoraError> {
    let (down, up) = match (parts.down, parts.up) {
        (Some(down), Some(up)) => (down, up),
        (down, up) => {
            let key = down.or(up).or(parts.alpha).unwrap_or_default();
            return Err(LoraError::Unpaired { file: file.path().to_owned(), key });
        }
    };
    let rank = rank(file, &down, &up)?;
    let alpha = parts.alpha.map_or(Ok(rank as f32), |key| alpha(file, key))?;
    Ok(Layer { component, name, down, up, rank, alpha })
}

/// The extent that the factors share: down is `[rank, in, ...]`, up is
/// `[out, rank, 1...]`.
fn rank(file: &MappedFile, down_key: &str, up_key: &str) -> Result<usize, LoraError> {
    let (down, up) = (file.read(down_key)?.shape, file.read(up_key)?.shape);
    match (padded(down), padded(up)) {
        (Some([rank, ..]), Some([_, same, 1, 1])) if rank == same && rank > 0 => Ok(rank),
        _ => {
            let (file, key) = (file.path().to_owned(), down_key.to_owned());
            Err(LoraError::Rank { file, key, down, up })
        }
    }
}

fn alpha(file: &MappedFile, key: String) -> Result<f32, LoraError> {
    match scalar(&file.read(&key)?) {
        Some(alpha) => Ok(alpha),
        None => Err(LoraError::Alpha { file: file.path().to_owned(), key }),
    }
}

fn scalar(raw: &RawTensor<'_>) -> Option<f32> {
    let mut value = [0.0];
    (raw.shape.elements() == 1).then(|| raw.read_f32(0, &mut value))?;
    value[0].is_finite().then_some(value[0])
}

/// The shape of a linear or convolution weight as `[out, in, height, width]`:
/// a linear layer is a 1x1 convolution, and files mix the two.
fn padded(shape: Shape) -> Option<[usize; 4]> {
    match *shape {
        [out, input] => Some([out, input, 1, 1]),
        [out, input, height, width] => Some([out, input, height, width]),
        _ => None,
    }
}
