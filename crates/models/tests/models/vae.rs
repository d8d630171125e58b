//! Autoencoders against PyTorch: both classes, factors 2, 4 and 8.

use crate::common::{Cases, config, weights};
use laterna_models::{AutoencoderKlConfig, AutoencoderTinyConfig, VaeConfig, vae};
use laterna_weights::Keys;

fn check(name: &str, config: &VaeConfig, keys: Keys) {
    let weights = weights(name, "vae", keys);
    let cases = Cases::open(name, "vae.encode");
    for case in cases.names() {
        let image = cases.tensor(&case, "image");
        let &[batch, _, height, width] = &*image.shape() else { panic!("{case}") };
        let graph = vae::encode_graph(config, batch, height, width).unwrap();
        cases.check(&case, &graph, &weights, &[image]);
    }
    let cases = Cases::open(name, "vae.decode");
    for case in cases.names() {
        let latent = cases.tensor(&case, "latent");
        let &[batch, _, height, width] = &*latent.shape() else { panic!("{case}") };
        let graph = vae::decode_graph(config, batch, height, width).unwrap();
        cases.check(&case, &graph, &weights, &[latent]);
    }
}

fn check_tiny(name: &str) {
    let config = AutoencoderTinyConfig::parse("config.json", &config(name, "vae")).unwrap();
    check(name, &VaeConfig::Tiny(config), Keys::AsStored);
}

fn check_kl(name: &str) {
    let config = AutoencoderKlConfig::parse("config.json", &config(name, "vae")).unwrap();
    check(name, &VaeConfig::Kl(config), Keys::AutoencoderKl);
}

#[test]
fn tiny_of_factor_8() {
    check_tiny("tiny-sdxs");
}

#[test]
fn tiny_of_factor_4() {
    check_tiny("tiny-factor4");
}

#[test]
fn tiny_of_factor_2() {
    check_tiny("tiny-factor2");
}

#[test]
fn kl_of_factor_8() {
    check_kl("tiny-sd-turbo");
    check_kl("tiny-sd15");
}

#[test]
fn kl_of_factor_4() {
    check_kl("tiny-ip2p");
    check_kl("tiny-sdxl");
}

#[test]
fn kl_without_quantisation_convolutions() {
    check_kl("tiny-kl-factor4");
}
