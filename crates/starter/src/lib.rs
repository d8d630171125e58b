//! The built-in model: the files of `models/starter` as bytes, so that the
//! program needs nothing beside it. A crate of its own, since only a change of
//! the files compiles it again.
#![forbid(unsafe_code)]

/// A row of [`FILES`]. A file that is missing fails the build by its path.
macro_rules! row {
    ($path:literal) => {
        ($path, include_bytes!(concat!("../../../models/starter/", $path)))
    };
}

/// Paths below the model's root, with slashes, and what the files hold. The
/// bytes have no particular alignment.
pub static FILES: &[(&str, &[u8])] = &[
    row!("model_index.json"),
    row!("scheduler/scheduler_config.json"),
    row!("text_encoder/config.json"),
    row!("text_encoder/model.safetensors"),
    row!("tokenizer/merges.txt"),
    row!("tokenizer/special_tokens_map.json"),
    row!("tokenizer/tokenizer_config.json"),
    row!("tokenizer/vocab.json"),
    row!("unet/config.json"),
    row!("unet/diffusion_pytorch_model.safetensors"),
    row!("vae/config.json"),
    row!("vae/diffusion_pytorch_model.safetensors"),
];

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/starter")
    }

    fn files_in(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|p| if p.is_dir() { files_in(&p) } else { vec![p] }).collect()
    }

    #[test]
    fn the_table_is_the_folder() {
        let root = root();
        let mut found = files_in(&root);
        found.sort();
        let listed: Vec<_> = FILES.iter().map(|(path, _)| root.join(path)).collect();
        assert_eq!(listed, found);
        assert!(FILES.iter().all(|(_, bytes)| !bytes.is_empty()));
    }
}
