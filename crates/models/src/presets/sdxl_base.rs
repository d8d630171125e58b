//! Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952).

use super::{Preset, parts};

pub(super) const PRESET: Preset = Preset {
    name: "sdxl-base",
    hub: Some("stabilityai/stable-diffusion-xl-base-1.0"),
    size: 1024,
    steps: 25,
    guidance: 5.0,
    strength: None,
    scheduler: None,
    unet: parts::SDXL_UNET,
    vae: parts::SDXL_VAE,
    texts: &[parts::CLIP_L, parts::OPEN_CLIP_G],
};
