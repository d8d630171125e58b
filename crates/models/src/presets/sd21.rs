//! Stable Diffusion 2.1, which predicts v at 768 pixels.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 96,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": true
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "sd21",
    hub: Some("stabilityai/stable-diffusion-2-1"),
    size: 768,
    steps: 25,
    guidance: 7.5,
    strength: None,
    scheduler: Some("dpm++2m"),
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::OPEN_CLIP_H],
};
