//! Which files of a repository a model needs: configurations, tokenizers and
//! one set of safetensors a network. Never pickled weights, ONNX, or the
//! variants that nobody asked for.

use crate::folder::Precision;

/// Components that are networks, and so have weights.
pub(super) const NETWORKS: &[&str] = &["unet", "vae", "text_encoder", "text_encoder_2"];

/// Components that are vocabularies.
pub(super) const TOKENIZERS: &[&str] = &["tokenizer", "tokenizer_2"];

const SCHEDULER: &str = "scheduler";

pub(super) const MODEL_INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";

/// Why no selection could be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSelection {
    /// The repository is no diffusers model.
    NoModel,
    /// A network has no safetensors weights.
    NoWeights(String),
}

/// The files to have, of those that the repository lists.
pub(super) fn select(listed: &[&str], precision: Precision) -> Result<Vec<String>, NoSelection> {
    if !listed.contains(&MODEL_INDEX) {
        return select_single(listed, precision);
    }
    let mut files = vec![MODEL_INDEX.to_owned()];
    for component in NETWORKS.iter().chain(TOKENIZERS).chain([&SCHEDULER]) {
        let folder = format!("{component}/");
        files.extend(settings(listed, &folder));
        if listed.contains(&&*format!("{folder}{CONFIG}")) {
            let weights = weights(listed, &folder, precision);
            files.extend(weights.ok_or_else(|| NoSelection::NoWeights((*component).to_owned()))?);
        }
    }
    Ok(files)
}

/// A repository that is a single component, as published autoencoders are.
fn select_single(listed: &[&str], precision: Precision) -> Result<Vec<String>, NoSelection> {
    if !listed.contains(&CONFIG) {
        return Err(NoSelection::NoModel);
    }
    let weights = weights(listed, "", precision);
    let mut files = weights.ok_or_else(|| NoSelection::NoWeights("the repository".to_owned()))?;
    files.push(CONFIG.to_owned());
    Ok(files)
}

/// Configurations and tokenizer files, without the indices of weights.
fn settings<'a>(listed: &'a [&str], folder: &'a str) -> impl Iterator<Item = String> + 'a {
    listed.iter().filter_map(move |path| {
        let file = path.strip_prefix(folder)?;
        let wanted = file.ends_with(".json") && !file.contains(".index.") || file == "merges.txt";
        (wanted && !file.contains('/')).then(|| (*path).to_owned())
    })
}

/// The weights of the network in `folder`: one file, or an index and its
/// shards.
fn weights(listed: &[&str], folder: &str, precision: Precision) -> Option<Vec<String>> {
    let names = precision.file_names().into_iter().map(|name| format!("{folder}{name}"));
    let chosen = names.into_iter().find(|name| listed.contains(&&**name))?;
    let mut files = Vec::new();
    if chosen.ends_with(".json") {
        let shards = listed.iter().filter(|path| is_shard(path, folder, is_half(&chosen)));
        files.extend(shards.map(|path| (*path).to_owned()));
    }
    files.push(chosen);
    Some(files)
}

fn is_half(path: &str) -> bool {
    path.contains(".fp16")
}

fn is_shard(path: &str, folder: &str, half: bool) -> bool {
    path.strip_prefix(folder).is_some_and(|file| {
        file.ends_with(".safetensors")
            && file.contains("-of-")
            && !file.contains('/')
            && is_half(file) == half
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the repositories of Stable Diffusion look.
    const LISTED: &[&str] = &[
        ".gitattributes",
        "README.md",
        "v1-5-pruned.ckpt",
        "v1-5-pruned.safetensors",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "unet/model.onnx",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/old/diffusion_pytorch_model.safetensors",
        "vae_large/config.json",
    ];

    fn weights_of(precision: Precision) -> Vec<String> {
        let files = select(LISTED, precision).unwrap();
        files.into_iter().filter(|f| f.contains("safetensors")).collect()
    }

    #[test]
    fn only_what_is_needed_is_chosen() {
        let mut files = select(LISTED, Precision::Full).unwrap();
        files.sort();
        let expected = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn half_precision_is_taken_where_there_is_one() {
        let expected = [
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
            "text_encoder/model.fp16.safetensors",
        ];
        assert_eq!(weights_of(Precision::Half), expected);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let pickled = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"];
        let select = |listed| select(listed, Precision::Full).unwrap_err();
        assert_eq!(select(&pickled), NoSelection::NoWeights("unet".into()));
        assert_eq!(select(&["README.md"]), NoSelection::NoModel);
    }

    #[test]
    fn a_repository_may_be_one_component() {
        let listed = ["config.json", "diffusion_pytorch_model.safetensors", "taesd.pth"];
        let files = select(&listed, Precision::Half).unwrap();
        assert_eq!(files, ["diffusion_pytorch_model.safetensors", "config.json"]);
    }
}
