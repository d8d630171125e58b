//! small-sd (Segmind), after BK-SDM (Kim et al. 2023, arXiv 2305.15798): SD 1.5 with fewer layers.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "layers_per_block": 1,
    "cross_attention_dim": 768
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "small-sd",
    hub: Some("segmind/small-sd"),
    size: 512,
    steps: 25,
    guidance: 7.5,
    strength: None,
    scheduler: Some("dpm++2m"),
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::CLIP_L],
};
