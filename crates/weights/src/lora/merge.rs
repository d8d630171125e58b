//! Merges a LoRA into a checkpoint: which layer changes which weight, and the
//! sum when that weight is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use laterna_tensor::{DType, RawTensor, Shape};

use super::names::{candidates, flat};
use super::product::add_product;
use super::{Layer, Lora, LoraError, padded};
use crate::checkpoint::Checkpoint;
use crate::error::WeightError;

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Weights that the LoRA changes.
    pub merged: usize,
    /// Keys of the LoRA whose layer the component does not have: worth a
    /// warning.
    pub unmatched: Vec<String>,
}

/// One layer's change, waiting for its weight to be read.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    lora: Arc<Lora>,
    layer: usize,
    scale: f32,
}

impl Checkpoint {
    /// Adds `scale` times the LoRA's change to this checkpoint, which holds
    /// `component` (`unet`, `text_encoder`, `text_encoder_2`); several may be
    /// added. The weights are changed as they are read, and are then f32.
    ///
    /// # Errors
    /// If a change does not fit its weight, or the file has layers for this
    /// component and the component has none of them.
    pub fn merge(
        &mut self,
        lora: &Arc<Lora>,
        component: &str,
        scale: f32,
    ) -> Result<MergeReport, LoraError> {
        let by_flat_name = flat_names(self);
        let mut patches = Vec::new();
        let mut report = MergeReport::default();
        for (index, layer) in lora.layers.iter().enumerate() {
            if layer.component != component {
                continue;
            }
            let names = candidates(&layer.name);
            let Some(name) = names.iter().find_map(|name| by_flat_name.get(name)) else {
                report.unmatched.push(layer.down.clone());
                continue;
            };
            check_shape(self, lora, layer, name)?;
            patches.push((name.clone(), Patch { lora: Arc::clone(lora), layer: index, scale }));
        }
        report.merged = patches.len();
        check_matched(lora, component, &report)?;
        patches.into_iter().for_each(|(name, patch)| self.patch(name, patch));
        Ok(report)
    }
}

/// The names of the weights that a LoRA may change, by their flat form.
fn flat_names(checkpoint: &Checkpoint) -> BTreeMap<String, String> {
    let layers = checkpoint.names().filter_map(|name| Some((name.strip_suffix(".weight")?, name)));
    layers.map(|(layer, name)| (flat(layer), name.to_owned())).collect()
}

fn check_matched(lora: &Lora, component: &str, report: &MergeReport) -> Result<(), LoraError> {
    let layer = lora.layers.iter().find(|layer| layer.component == component);
    match layer {
        Some(Layer { component, down, .. }) if report.merged == 0 => Err(LoraError::NoneMatched {
            file: lora.path().to_owned(),
            key: down.clone(),
            component,
        }),
        _ => Ok(()),
    }
}

fn check_shape(
    checkpoint: &Checkpoint,
    lora: &Lora,
    layer: &Layer,
    name: &str,
) -> Result<(), LoraError> {
    let weight = checkpoint.read_stored(name)?.shape;
    let (down, up) = (lora.file.read(&layer.down)?.shape, lora.file.read(&layer.up)?.shape);
    if fits(weight, down, up) {
        return Ok(());
    }
    let (file, key, name) = (lora.path().to_owned(), layer.down.clone(), name.to_owned());
    Err(LoraError::Shape { file, key, down, up, weight, name })
}

fn fits(weight: Shape, down: Shape, up: Shape) -> bool {
    let (Some([_, input, height, width]), Some([out, ..])) = (padded(down), padded(up)) else {
        return false;
    };
    padded(weight) == Some([out, input, height, width])
}

/// The stored weight with its changes added, as f32.
pub(crate) fn read_patched(
    stored: &RawTensor<'_>,
    patches: &[Patch],
) -> Result<RawTensor<'static>, WeightError> {
    let mut values = stored.to_f32();
    for Patch { lora, layer, scale } in patches {
        let layer = &lora.layers[*layer];
        let down = lora.file.read(&layer.down)?.to_f32();
        let mut up = lora.file.read(&layer.up)?.to_f32();
        let factor = scale * layer.alpha / layer.rank as f32;
        up.iter_mut().for_each(|v| *v *= factor);
        add_product(&mut values, &up, &down, layer.rank);
        lora.file.release(&layer.down);
        lora.file.release(&layer.up);
    }
    let bytes = Cow::Owned(little_endian(&values));
    Ok(RawTensor { dtype: DType::F32, shape: stored.shape, bytes })
}

/// The values as a file holds them.
fn little_endian(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    let (chunks, _) = bytes.as_chunks_mut();
    chunks.iter_mut().zip(values).for_each(|(chunk, v)| *chunk = v.to_le_bytes());
    bytes
}
