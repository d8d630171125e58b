//! Configurations changed at random: whatever a file says, it is read or
//! refused, and what is read can be built or refused.

use std::fs;

use laterna_models::clip::text::{self, Output};
use laterna_models::unet::{self, Extents};
use laterna_models::{
    AutoencoderKlConfig, AutoencoderTinyConfig, ClipTextConfig, ModelIndex, UnetConfig, VaeConfig,
    vae,
};
use serde_json::{Value, json};

use crate::common::{config, model};

/// Mutations of each fixture.
const ROUNDS: u64 = 300;

fn read_and_build(component: &str, json: &str) {
    match component {
        "unet" => {
            let extents = Extents { batch: 1, height: 6, width: 10, tokens: 3 };
            let _ = UnetConfig::parse("c", json).map(|config| unet::graph(&config, extents));
        }
        "vae" => {
            let tiny = AutoencoderTinyConfig::parse("c", json).map(VaeConfig::Tiny);
            let kl = AutoencoderKlConfig::parse("c", json).map(VaeConfig::Kl);
            for config in [tiny, kl].into_iter().flatten() {
                let _ = vae::encode_graph(&config, 1, 16, 16);
                let _ = vae::decode_graph(&config, 1, 2, 3);
            }
        }
        "model_index" => drop(ModelIndex::parse("c", json)),
        _ => {
            let output = [Output::TextEmbeds];
            let _ = ClipTextConfig::parse("c", json)
                .map(|config| text::graph("text", &config, 1, 7, &output));
        }
    }
}

/// SplitMix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// One field gets a value of another kind or size.
fn mutate(config: &mut Value, random: &mut Random) {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-3),
        json!(2),
        json!(7),
        json!(64),
        json!(1_048_576),
        json!(u64::MAX),
        json!(1e-30),
        json!(1e30),
        json!("silu"),
        json!("DownBlock2D"),
        json!([]),
        json!([1, 2, 3]),
        json!([[1, 2], [3], 4]),
        json!([8, 16, 24, 4]),
        json!({"a": [1]}),
    ];
    let fields = config.as_object_mut().unwrap();
    let name = fields.keys().nth(random.below(fields.len())).unwrap().clone();
    fields.insert(name, values[random.below(values.len())].clone());
}

#[test]
fn no_configuration_panics() {
    let mut random = Random(1);
    for (name, component) in [
        ("tiny-sdxs", "unet"),
        ("tiny-sd-turbo", "unet"),
        ("tiny-sdxl", "unet"),
        ("tiny-sdxs", "vae"),
        ("tiny-sd15", "vae"),
        ("tiny-sdxl", "text_encoder_2"),
        ("tiny-sdxl", "model_index"),
    ] {
        let json = match component {
            "model_index" => fs::read_to_string(model(name).join("model_index.json")).unwrap(),
            component => config(name, component),
        };
        let original: Value = serde_json::from_str(&json).unwrap();
        for _ in 0..ROUNDS {
            let mut config = original.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut config, &mut random);
            }
            read_and_build(component, &config.to_string());
        }
    }
}

#[test]
fn truncated_configurations_are_refused() {
    let json = config("tiny-sdxl", "unet");
    for end in (0..json.trim_end().len()).filter(|&end| json.is_char_boundary(end)) {
        assert!(UnetConfig::parse("c", &json[..end]).is_err());
    }
}
