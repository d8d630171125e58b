//! A config.json: refused by every reader, or read and built at a small size.
#![no_main]

use laterna_models::clip::text::{self, Output};
use laterna_models::unet::{self, Extents};
use laterna_models::{
    AutoencoderKlConfig, AutoencoderTinyConfig, ClipTextConfig, ModelIndex, UnetConfig, VaeConfig,
    vae,
};
use libfuzzer_sys::fuzz_target;

/// Blocks beyond which a legal network takes too long to build for a fuzzer.
const MOST_BLOCKS: usize = 64;

fuzz_target!(|json: &str| {
    let _ = ModelIndex::parse("config.json", json);
    if let Ok(config) = UnetConfig::parse("config.json", json)
        && blocks(&config) <= MOST_BLOCKS
    {
        let extents = Extents { batch: 1, height: 6, width: 10, tokens: 3 };
        let _ = unet::graph(&config, extents);
    }
    let tiny = AutoencoderTinyConfig::parse("config.json", json).map(VaeConfig::Tiny);
    let kl = AutoencoderKlConfig::parse("config.json", json).map(VaeConfig::Kl);
    for config in [tiny, kl].into_iter().flatten() {
        let _ = vae::encode_graph(&config, 1, 16, 16);
        let _ = vae::decode_graph(&config, 1, 2, 3);
    }
    if let Ok(config) = ClipTextConfig::parse("config.json", json) {
        let _ = text::graph("text", &config, 1, 7, &[Output::TextEmbeds]);
    }
});

fn blocks(config: &UnetConfig) -> usize {
    let attention = |t: &Option<unet::Transformer>| -> usize {
        t.as_ref().map_or(0, |t| t.blocks.iter().sum())
    };
    let level = |level: &unet::Level| level.layers + attention(&level.down) + attention(&level.up);
    config.levels.iter().map(level).sum()
}
