//! The built-in model: trained by this project to repaint a picture as a text
//! says, in one step (InstructPix2Pix's layout on an AutoencoderTiny of factor 4).

use super::{Preset, Text, Vae};

/// Its own configurations, so that they are said once.
macro_rules! config {
    ($component:literal) => {
        include_str!(concat!("../../../../models/starter/", $component, "/config.json"))
    };
}

pub(super) const PRESET: Preset = Preset {
    name: "starter",
    hub: None,
    size: 512,
    steps: 1,
    guidance: 1.0,
    strength: Some(0.8),
    scheduler: None,
    unet: config!("unet"),
    vae: Vae::Tiny(config!("vae")),
    texts: &[Text::Plain(config!("text_encoder"))],
};
