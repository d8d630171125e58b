//! The presets' sizes: parameters and operations that were counted by building
//! the same configurations with diffusers and transformers.

use laterna_graph::{Graph, cost};
use laterna_models::clip::text::{self, Output};
use laterna_models::presets::{self, PRESETS, Preset, VAE_PRESETS};
use laterna_models::unet::{self, Extents};
use laterna_models::vae;

/// One UNet call for one 512x512 picture.
fn unet(preset: &Preset) -> Graph {
    let extents = Extents { batch: 1, height: 64, width: 64, tokens: 77 };
    unet::graph(&preset.unet().unwrap(), extents).unwrap()
}

/// Billions of operations to one decimal, as the sources give them.
fn giga(flops: u64) -> f64 {
    (flops as f64 / 1e8).round() / 10.0
}

#[test]
fn unets_have_the_published_size() {
    for (name, parameters) in [
        ("sdxs-512-0.9", 328_177_284),
        ("sdxs-512-dreamshaper", 315_746_244),
        ("sd-turbo", 865_910_724),
        ("tiny-sd", 323_384_964),
        ("small-sd", 579_384_964),
        ("sd15", 859_520_964),
        ("sd21", 865_910_724),
        ("lcm-dreamshaper", 859_602_884),
        ("instruct-pix2pix", 859_532_484),
        ("sdxl-turbo", 2_567_463_684),
        ("sdxl-base", 2_567_463_684),
    ] {
        let preset = presets::find(name).unwrap();
        assert_eq!(cost::parameters(&unet(preset)), parameters, "{name}");
    }
}

#[test]
fn unets_cost_the_published_operations() {
    for (name, all, convolutions) in [
        ("sdxs-512-0.9", 418.1, 257.3),
        ("sdxs-512-dreamshaper", 369.3, 267.4),
        ("sd-turbo", 804.3, 418.4),
        ("tiny-sd", 485.5, 272.4),
        ("small-sd", 523.0, 305.7),
    ] {
        let graph = unet(presets::find(name).unwrap());
        let is_conv = |node: &&laterna_graph::Node| node.op.name() == "conv2d";
        let conv = graph.nodes().iter().filter(is_conv);
        let conv: u64 = conv.map(|node| cost::node_flops(&graph, node)).sum();
        assert_eq!((giga(cost::flops(&graph)), giga(conv)), (all, convolutions), "{name}");
    }
}

#[test]
fn autoencoders_have_the_published_size() {
    let taesd = presets::find_vae("taesd").unwrap().vae().unwrap();
    let encoder = vae::encode_graph(&taesd, 1, 512, 512).unwrap();
    let decoder = vae::decode_graph(&taesd, 1, 64, 64).unwrap();
    assert_eq!(cost::parameters(&encoder), 1_222_532);
    assert_eq!(cost::parameters(&decoder), 1_222_531);
    assert_eq!((giga(cost::flops(&encoder)), giga(cost::flops(&decoder))), (122.3, 141.4));

    let sd = presets::find("sd15").unwrap().vae().unwrap();
    let encoder = vae::encode_graph(&sd, 1, 512, 512).unwrap();
    let decoder = vae::decode_graph(&sd, 1, 64, 64).unwrap();
    assert_eq!(cost::parameters(&encoder) + cost::parameters(&decoder), 83_653_863);
}

#[test]
fn text_encoders_have_the_published_size() {
    for (name, parameters) in [
        ("sd15", vec![123_060_480]),
        ("sd-turbo", vec![340_387_840]),
        ("sdxl-base", vec![123_060_480, 694_659_840]),
    ] {
        let encoders = presets::find(name).unwrap().text_encoders().unwrap();
        let found = encoders.iter().map(|encoder| {
            let output = if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
            cost::parameters(&text::graph("text", &encoder.config, 1, 77, &[output]).unwrap())
        });
        assert_eq!(found.collect::<Vec<_>>(), parameters, "{name}");
    }
}

#[test]
fn components_fit_each_other() {
    for preset in PRESETS {
        let (unet, vae) = (preset.unet().unwrap(), preset.vae().unwrap());
        let sample = preset.size / vae.decoder_factor();
        let trained = unet.sample_size.unwrap();
        // SDXL-Turbo keeps the sample size of the base model.
        assert!(trained == [sample; 2] || preset.name == "sdxl-turbo", "{}", preset.name);
        assert_eq!(unet.out_channels, vae.latent_channels(), "{}", preset.name);
        let texts = preset.text_encoders().unwrap();
        let width: usize = texts.iter().map(|text| text.config.hidden_size).sum();
        assert_eq!(unet.text_width, width, "{}", preset.name);
    }
}

#[test]
fn names_are_unique_and_found() {
    let named = |name| PRESETS.iter().filter(|preset| preset.name == name).count();
    for preset in PRESETS {
        assert_eq!(named(preset.name), 1);
        assert_eq!(presets::find(preset.hub.unwrap_or(preset.name)).unwrap().name, preset.name);
    }
    for preset in VAE_PRESETS {
        assert_eq!(presets::find_vae(preset.hub).unwrap().name, preset.name);
    }
    assert!(presets::find("no-such-model").is_none());
}
