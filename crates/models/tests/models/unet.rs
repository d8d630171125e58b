//! UNets against PyTorch: every family, at square, odd and batched sizes.

use crate::common::{Cases, config, weights};
use laterna_models::UnetConfig;
use laterna_models::unet::{self, Extents};
use laterna_tensor::Tensor;
use laterna_weights::Keys;

fn check(name: &str) {
    let config = UnetConfig::parse("config.json", &config(name, "unet")).unwrap();
    let weights = weights(name, "unet", Keys::AsStored);
    let cases = Cases::open(name, "unet");
    for case in cases.names() {
        let sample = cases.tensor(&case, "sample");
        let text = cases.tensor(&case, "encoder_hidden_states");
        let &[batch, _, height, width] = &*sample.shape() else { panic!("{case}") };
        let extents = Extents { batch, height, width, tokens: text.shape()[1] };
        let graph = unet::graph(&config, extents).unwrap();
        let timestep = repeat(&cases.tensor(&case, "timestep"), batch);
        let mut inputs = vec![sample, timestep, text];
        if config.text_time.is_some() {
            inputs.extend(["text_embeds", "time_ids"].map(|name| cases.tensor(&case, name)));
        }
        cases.check(&case, &graph, &weights, &inputs);
    }
}

/// The same values for every entry of a batch.
fn repeat(values: &Tensor, batch: usize) -> Tensor {
    let values: Vec<f32> = match values.as_f32() {
        Ok(values) => values.to_vec(),
        Err(_) => values.as_i64().unwrap().iter().map(|&v| v as f32).collect(),
    };
    let repeated = if values.len() == batch { values } else { vec![values[0]; batch] };
    Tensor::from_f32([batch], repeated).unwrap()
}

macro_rules! families {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*
    };
}

families! {
    sdxs: "tiny-sdxs",
    sdxs_dreamshaper: "tiny-sdxs-dreamshaper",
    sd_turbo: "tiny-sd-turbo",
    tiny_sd: "tiny-tinysd",
    small_sd: "tiny-smallsd",
    sd15: "tiny-sd15",
    sd21: "tiny-sd21",
    sdxl: "tiny-sdxl",
    instruct_pix2pix: "tiny-ip2p",
    six_latent_channels: "tiny-factor4",
}
