//! The networks of every family, on both systems, with every way to store
//! weights: a package computes what laterna does with the numbers that it stores.

use laterna_coreml::backend::function;
use laterna_coreml::emit::{MIN_ELEMENTS, Options};
use laterna_graph::{Graph, rates, reference};
use laterna_models::Model;
use laterna_tensor::Tensor;

use crate::checker::{Checker, TOLERANCE, differences, write};
use crate::formats;
use crate::networks::{Network, fixture, inputs, live_frame, networks, starter, whole_frame};
use crate::operations::forms;

/// Of three networks behind one another, which the prompt's keys and values,
/// rounded on their way, reach too.
const FRAME_TOLERANCE: f32 = 1e-2;

/// A network in a format, in all its writings; gives what is wrong.
fn check(
    checker: &mut Checker,
    model: &Model,
    network: &Network,
    writings: &[Options],
) -> Vec<String> {
    let weights = model.weights(network.components).unwrap();
    let inputs = inputs(&network.graph);
    let expected = formats::expected(&network.graph, &weights, &writings[0], &inputs);
    let wrong = writings.iter().filter_map(|options| {
        let found = checker.execute(&network.graph, &weights, &inputs, options);
        let compared =
            found.and_then(|found| differences(&network.graph, &expected, &found, TOLERANCE));
        let problem = compared.err()?;
        Some(format!("{} as {options:?}: {problem}", network.graph.name()))
    });
    wrong.collect()
}

/// Every network in every format. Layers of few weights are compressed too, but
/// for a model that has larger ones.
fn check_family(model: &Model, min_elements: usize) {
    let Some(mut checker) = Checker::find() else { return };
    let mut wrong = Vec::new();
    for (first, network) in networks(model).iter().enumerate() {
        for (index, weights) in formats::all().into_iter().enumerate() {
            let writings = formats::writings(weights, first + index, min_elements);
            wrong.extend(check(&mut checker, model, network, &writings));
        }
    }
    assert!(wrong.is_empty(), "{} fail:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_starter() {
    check_family(&starter(), MIN_ELEMENTS);
}

macro_rules! families {
    ($($test:ident: $model:expr,)*) => {
        $(#[test] fn $test() { check_family(&fixture($model), 0); })*
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
    autoencoder_of_factor_2: "tiny-factor2",
    autoencoder_kl_of_factor_4: "tiny-kl-factor4",
}

/// A whole frame as one package whose timestep is folded, fed with the keys and
/// values that another one makes of the prompt.
#[test]
fn a_frame_is_one_package() {
    let Some(mut checker) = Checker::find() else { return };
    for model in [starter(), fixture("tiny-sdxl"), fixture("tiny-ip2p")] {
        let whole = whole_frame(&model);
        let weights = model.weights(&["unet", "vae"]).unwrap();
        let given = inputs(&whole);
        let expected = reference::run(&whole, &weights, &given).unwrap();

        let halves = rates::split(&whole).unwrap();
        let of = |graph: &Graph| -> Vec<Tensor> {
            let names = graph.inputs().iter().map(|&id| graph.value(id).name.clone());
            let at = |name: &str| {
                let mut all = whole.inputs().iter();
                all.position(|&id| *whole.value(id).name == *name)
            };
            names.filter_map(|name| at(&name).map(|i| given[i].clone())).collect()
        };
        for options in [forms()[0], forms()[3]] {
            let prompt = checker.execute(&halves.prompt, &weights, &of(&halves.prompt), &options);
            let mut frame_inputs = of(&halves.frame);
            frame_inputs.extend(prompt.unwrap());
            let found = checker.execute(&halves.frame, &weights, &frame_inputs, &options).unwrap();
            differences(&whole, &expected, &found, FRAME_TOLERANCE).unwrap();
        }
    }
}

/// As it is compiled for a live picture: bytes in, bytes out.
#[test]
fn a_live_frame_takes_and_gives_pictures() {
    let Some(mut checker) = Checker::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (index, model) in [starter(), fixture("tiny-sdxs")].iter().enumerate() {
        let graph = live_frame(model);
        let weights = model.weights(&["unet", "vae"]).unwrap();
        let mut given = inputs(&graph);
        let bytes = mapped(&given[0], |v| (v * 127.5 + 127.5).round());
        given[0] = mapped(&bytes, |v| v / 127.5 - 1.0);
        let mut expected = reference::run(&graph, &weights, &given).unwrap();
        expected[0] = mapped(&expected[0], |v| (v * 127.5 + 127.5).clamp(0.0, 255.0));
        given[0] = bytes;

        let path = folder.path().join(format!("{index}.mlpackage"));
        let entries = [function(&graph, &["image"])];
        let summary = write(&path, &entries, &weights, &forms()[0]).unwrap();
        let [made] = summary.functions.as_slice() else { panic!("one function") };
        assert!(made.inputs[0].image && made.outputs[0].image && made.unread.is_empty());
        let named = made.inputs.iter().zip(&given);
        let named = named.map(|(input, x)| (input.value.name.to_string(), x.clone())).collect();
        let mut found = checker.run(&path, &[], &named).unwrap();
        let found = made.outputs.iter().map(|output| found.remove(&*output.value.name).unwrap());
        differences(&graph, &expected, &found.collect::<Vec<_>>(), TOLERANCE).unwrap();
    }
}

fn mapped(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let values = x.as_f32().unwrap().iter().map(|&v| f(v)).collect();
    Tensor::from_f32(x.shape(), values).unwrap()
}
