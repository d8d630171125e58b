//! InstructPix2Pix (Brooks et al. 2023, arXiv 2211.09800): edits a picture by instruction.

use super::{Preset, parts};

const UNET: &str = r#"{
    "sample_size": 64,
    "in_channels": 8,
    "cross_attention_dim": 768
}"#;

pub(super) const PRESET: Preset = Preset {
    name: "instruct-pix2pix",
    hub: Some("timbrooks/instruct-pix2pix"),
    size: 512,
    steps: 20,
    guidance: 7.5,
    strength: None,
    scheduler: None,
    unet: UNET,
    vae: parts::SD_VAE,
    texts: &[parts::CLIP_L],
};
