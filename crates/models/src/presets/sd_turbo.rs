//! SD-Turbo (Sauer et al. 2023, arXiv 2311.17042): one to four steps, distilled from SD 2.1.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": true
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "sd-turbo",
    hub: Some("stabilityai/sd-turbo"),
    size: 512,
    steps: 1,
    guidance: 1.0,
    strength: None,
    scheduler: None,
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::OPEN_CLIP_H],
};
