//! tiny-sd (Segmind), after BK-SDM (Kim et al. 2023, arXiv 2305.15798): SD 1.5 with fewer blocks.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "mid_block_type": null,
    "cross_attention_dim": 768
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "tiny-sd",
    hub: Some("segmind/tiny-sd"),
    size: 512,
    steps: 25,
    guidance: 7.5,
    strength: None,
    scheduler: Some("dpm++2m"),
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::CLIP_L],
};
