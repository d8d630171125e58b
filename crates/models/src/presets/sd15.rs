//! Stable Diffusion 1.5 (Rombach et al. 2022, arXiv 2112.10752).

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "cross_attention_dim": 768
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "sd15",
    hub: Some("stable-diffusion-v1-5/stable-diffusion-v1-5"),
    size: 512,
    steps: 25,
    guidance: 7.5,
    strength: None,
    scheduler: Some("dpm++2m"),
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::CLIP_L],
};
