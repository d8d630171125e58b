//! SDXS-512-DreamShaper (Song et al. 2024, arXiv 2403.16627): one step, distilled from SD 1.5.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "mid_block_type": null,
    "cross_attention_dim": 768
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "sdxs-512-dreamshaper",
    hub: Some("IDKiro/sdxs-512-dreamshaper"),
    size: 512,
    steps: 1,
    guidance: 1.0,
    strength: None,
    scheduler: None,
    unet: UNET,
    vae: parts::TAESD,
    texts: &[parts::CLIP_L],
};
