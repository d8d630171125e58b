//! SDXL-Turbo (Sauer et al. 2023, arXiv 2311.17042): one to four steps at 512 pixels.

use super::{Preset, parts};

pub(super) const PRESET: Preset = Preset {
    name: "sdxl-turbo",
    hub: Some("stabilityai/sdxl-turbo"),
    size: 512,
    steps: 1,
    guidance: 1.0,
    strength: None,
    scheduler: None,
    unet: parts::SDXL_UNET,
    vae: parts::SDXL_VAE,
    texts: &[parts::CLIP_L, parts::OPEN_CLIP_G],
};
