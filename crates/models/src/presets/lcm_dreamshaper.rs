//! LCM DreamShaper v7 (Luo et al. 2023, arXiv 2310.04378): two to eight steps, guidance as an input.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "cross_attention_dim": 768,
    "time_cond_proj_dim": 256
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "lcm-dreamshaper",
    hub: Some("SimianLuo/LCM_Dreamshaper_v7"),
    size: 512,
    steps: 4,
    guidance: 8.0,
    strength: None,
    scheduler: None,
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::CLIP_L],
};
