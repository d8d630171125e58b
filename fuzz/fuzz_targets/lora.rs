//! A LoRA file: refused, or merged into a checkpoint whose weights keep their
//! shapes.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use laterna_tensor::Tensor;
use laterna_weights::{Checkpoint, Keys, Lora, write_safetensors};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Weights of each form that a LoRA changes, under short names, which a
/// mutation can reach.
const WEIGHTS: &[(&str, &[usize])] =
    &[("a.weight", &[3, 2]), ("b.to_q.weight", &[2, 2]), ("c.weight", &[2, 2, 3, 3])];

fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(folder_with_base).path()
}

fn folder_with_base() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let tensors: Vec<_> = WEIGHTS.iter().map(|(n, shape)| (*n, Tensor::zeros(*shape))).collect();
    let views: Vec<_> = tensors.iter().map(|(name, t)| (*name, t.view())).collect();
    write_safetensors(&folder.path().join("base"), &views).expect("the base can be written");
    folder
}

fuzz_target!(|file: &[u8]| {
    let path = folder().join("lora");
    fs::write(&path, file).expect("the input can be written");
    let Ok(lora) = Lora::open(&path) else { return };
    let mut base =
        Checkpoint::open(&folder().join("base"), Keys::AsStored).expect("the base is sound");
    let lora = Arc::new(lora);
    for component in ["unet", "text_encoder", "text_encoder_2"] {
        let _ = base.merge(&lora, component, 0.5);
    }
    for (name, shape) in WEIGHTS {
        assert_eq!(&*base.read(name).expect("the weight is there").shape, *shape);
    }
});
