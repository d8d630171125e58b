//! SDXS-512-0.9 (Song et al. 2024, arXiv 2403.16627): one step, distilled from SD 2.1.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "mid_block_type": null,
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 1024,
    "only_cross_attention": [true, false, false],
    "use_linear_projection": true
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "sdxs-512-0.9",
    hub: Some("IDKiro/sdxs-512-0.9"),
    size: 512,
    steps: 1,
    guidance: 1.0,
    strength: None,
    scheduler: None,
    unet: UNET,
    vae: parts::TAESD,
    texts: &[parts::OPEN_CLIP_H],
};
