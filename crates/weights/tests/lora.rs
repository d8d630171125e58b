//! LoRA files in each spelling, merged into a checkpoint and compared with the
//! formula; and files that do not fit.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use laterna_tensor::{DType, Shape, Tensor, TensorData, TensorView, f16};
use laterna_weights::{
    Checkpoint, Keys, Lora, MergeReport, ModelFolder, Precision, write_safetensors,
};

const LINEAR: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
const OUT: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.weight";
const CONV: &str = "down_blocks.0.resnets.0.conv1.weight";
const PROJ: &str = "down_blocks.0.attentions.0.proj_in.weight";

fn noise(shape: impl Into<Shape>, seed: usize) -> Tensor {
    let shape = shape.into();
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    Tensor::from_f32(shape, (0..shape.elements()).map(value).collect()).unwrap()
}

fn write(path: PathBuf, tensors: &[(&str, Tensor)]) -> PathBuf {
    let views: Vec<(&str, TensorView<'_>)> = tensors.iter().map(|(n, t)| (*n, t.view())).collect();
    write_safetensors(&path, &views).unwrap();
    path
}

/// A few weights of a UNet.
fn base(folder: &Path) -> Checkpoint {
    let tensors = [
        (LINEAR, noise([6, 5], 1)),
        (OUT, noise([6, 6], 2)),
        (CONV, noise([4, 3, 3, 3], 3)),
        (PROJ, noise([6, 6, 1, 1], 4)),
        ("conv_in.bias", noise([4], 5)),
    ];
    Checkpoint::open(&write(folder.join("unet.safetensors"), &tensors), Keys::AsStored).unwrap()
}

fn lora(folder: &Path, tensors: &[(&str, Tensor)]) -> Arc<Lora> {
    Arc::new(Lora::open(&write(folder.join("lora.safetensors"), tensors)).unwrap())
}

/// weight + factor * up * down, all seen as matrices, in f64.
fn merged(weight: &Tensor, up: &Tensor, down: &Tensor, factor: f64) -> Vec<f64> {
    let [weight, up_values, down_values] = [weight, up, down].map(|t| t.as_f32().unwrap());
    let rank = down.shape()[0];
    let columns = down_values.len() / rank;
    let term = |row: usize, column: usize, k: usize| {
        f64::from(up_values[row * rank + k]) * f64::from(down_values[k * columns + column])
    };
    let element = |(i, &w): (usize, &f32)| {
        let sum: f64 = (0..rank).map(|k| term(i / columns, i % columns, k)).sum();
        f64::from(w) + factor * sum
    };
    weight.iter().enumerate().map(element).collect()
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{what}: {found} for {expected}");
    }
}

#[test]
fn every_spelling_merges_into_the_same_weight() {
    let flat = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    let dots = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
    let old = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q";
    let original = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q";
    for (down_key, up_key) in [
        (format!("{flat}.lora_down.weight"), format!("{flat}.lora_up.weight")),
        (format!("{original}.lora_down.weight"), format!("{original}.lora_up.weight")),
        (format!("{dots}.lora_A.weight"), format!("{dots}.lora_B.weight")),
        (format!("{dots}.lora.down.weight"), format!("{dots}.lora.up.weight")),
        (format!("{old}_lora.down.weight"), format!("{old}_lora.up.weight")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut unet = base(folder.path());
        let (down, up) = (noise([2, 5], 10), noise([6, 2], 11));
        let expected = merged(&noise([6, 5], 1), &up, &down, 0.5);
        let lora = lora(folder.path(), &[(&down_key, down), (&up_key, up)]);
        let report = unet.merge(&lora, "unet", 0.5).unwrap();
        assert_eq!(report, MergeReport { merged: 1, unmatched: vec![] }, "{down_key}");
        assert_close(&unet.read(LINEAR).unwrap().to_f32(), &expected, &down_key);
    }
}

#[test]
fn the_old_output_projection_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut unet = base(folder.path());
    let layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora";
    let keys = ["down", "up"].map(|f| format!("{layer}.{f}.weight"));
    let (down, up) = (noise([2, 6], 10), noise([6, 2], 11));
    let expected = merged(&noise([6, 6], 2), &up, &down, 1.0);
    unet.merge(&lora(folder.path(), &[(&keys[0], down), (&keys[1], up)]), "unet", 1.0).unwrap();
    assert_close(&unet.read(OUT).unwrap().to_f32(), &expected, "to_out");
}

/// 3x3 and 1x1 convolutions, with an alpha, in half precision.
#[test]
fn convolutions_merge() {
    let folder = tempfile::tempdir().unwrap();
    for (weight, layer, shape, down_shape) in [
        (
            CONV,
            "down_blocks_0_resnets_0_conv1",
            Shape::from([4, 3, 3, 3]),
            Shape::from([2, 3, 3, 3]),
        ),
        (PROJ, "down_blocks_0_attentions_0_proj_in", [6, 6, 1, 1].into(), [2, 6, 1, 1].into()),
        (PROJ, "down_blocks_0_attentions_0_proj_in", [6, 6, 1, 1].into(), [2, 6].into()),
    ] {
        let mut unet = base(folder.path());
        let stored = unet.read(weight).unwrap().to_f32();
        let stored = Tensor::from_f32(shape, stored).unwrap();
        let (down, up) = (noise(down_shape, 10), noise([shape[0], 2, 1, 1], 11));
        let expected = merged(&stored, &rounded(&up), &rounded(&down), 0.75 * 8.0 / 2.0);
        let keys = ["lora_down.weight", "lora_up.weight", "alpha"]
            .map(|end| format!("lora_unet_{layer}.{end}"));
        let alpha = Tensor::from_f32(Shape::SCALAR, vec![8.0]).unwrap();
        let tensors = [(&*keys[0], half(&down)), (&*keys[1], half(&up)), (&*keys[2], alpha)];
        unet.merge(&lora(folder.path(), &tensors), "unet", 0.75).unwrap();
        let read = unet.read(weight).unwrap();
        assert_eq!((read.dtype, read.shape), (DType::F32, shape));
        assert_close(&read.to_f32(), &expected, layer);
    }
}

fn half(tensor: &Tensor) -> Tensor {
    let values = tensor.as_f32().unwrap().iter().map(|&v| f16::from_f32(v)).collect();
    Tensor::new(tensor.shape(), TensorData::F16(values)).unwrap()
}

fn rounded(tensor: &Tensor) -> Tensor {
    let values = tensor.as_f32().unwrap().iter().map(|&v| f16::from_f32(v).to_f32()).collect();
    Tensor::from_f32(tensor.shape(), values).unwrap()
}

#[test]
fn several_loras_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut unet = base(folder.path());
    let keys = ["A", "B"].map(|f| format!("unet.{}.lora_{f}.weight", &LINEAR[..LINEAR.len() - 7]));
    let (down, up) = (noise([2, 5], 10), noise([6, 2], 11));
    let expected = merged(&noise([6, 5], 1), &up, &down, 0.75);
    let lora = lora(folder.path(), &[(&keys[0], down), (&keys[1], up)]);
    unet.merge(&lora, "unet", 0.5).unwrap();
    unet.merge(&lora, "unet", 0.25).unwrap();
    assert_close(&unet.read(LINEAR).unwrap().to_f32(), &expected, "twice");
    assert_eq!(unet.read(OUT).unwrap().to_f32(), noise([6, 6], 2).as_f32().unwrap());
}

#[test]
fn text_encoders_are_found_under_either_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let name = "text_model.encoder.layers.0.self_attn.q_proj";
    for (component, layer) in [
        ("text_encoder", "lora_te_text_model_encoder_layers_0_self_attn_q_proj"),
        ("text_encoder", "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"),
        ("text_encoder_2", "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"),
        ("text_encoder", "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"),
        ("text_encoder", "text_encoder.encoder.layers.0.self_attn.q_proj"),
        ("text_encoder", "text_encoder.text_model.encoder.layers.0.self_attn.to_q"),
    ] {
        let weight = format!("{name}.weight");
        let stored = write(folder.path().join("te.safetensors"), &[(&weight, noise([4, 4], 1))]);
        let mut text = Checkpoint::open(&stored, Keys::ClipText).unwrap();
        let keys = ["down", "up"].map(|f| format!("{layer}.lora_{f}.weight"));
        let (down, up) = (noise([1, 4], 2), noise([4, 1], 3));
        let expected = merged(&noise([4, 4], 1), &up, &down, 1.0);
        let lora = lora(folder.path(), &[(&keys[0], down), (&keys[1], up)]);
        assert!(lora.is_for(component) && !lora.is_for("unet"));
        assert_eq!(text.merge(&lora, "unet", 1.0).unwrap(), MergeReport::default());
        assert_eq!(text.merge(&lora, component, 1.0).unwrap().merged, 1, "{layer}");
        assert_close(&text.read(&weight).unwrap().to_f32(), &expected, layer);
    }
}

#[test]
fn layers_that_are_not_there_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut unet = base(folder.path());
    let pair = |layer: &str| ["A", "B"].map(|f| format!("unet.{layer}.lora_{f}.weight"));
    let (known, unknown) = (pair(&LINEAR[..LINEAR.len() - 7]), pair("up_blocks.9.nothing"));
    let factors = || (noise([2, 5], 10), noise([6, 2], 11));
    let tensors = [
        (&*known[0], factors().0),
        (&*known[1], factors().1),
        (&*unknown[0], factors().0),
        (&*unknown[1], factors().1),
    ];
    let report = unet.merge(&lora(folder.path(), &tensors), "unet", 1.0).unwrap();
    assert_eq!(report, MergeReport { merged: 1, unmatched: vec![unknown[0].clone()] });
    let error = unet.merge(&lora(folder.path(), &tensors[2..]), "unet", 1.0).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(&unknown[0]) && error.contains("no such layer in unet"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let layer = format!("unet.{}", &LINEAR[..LINEAR.len() - 7]);
    let [down, up] = ["A", "B"].map(|f| format!("{layer}.lora_{f}.weight"));
    let alpha = format!("{layer}.alpha");
    let good = || vec![(&*down, noise([2, 5], 10)), (&*up, noise([6, 2], 11))];
    let with = |extra| good().into_iter().chain([extra]).collect::<Vec<_>>();
    let nan = Tensor::from_f32([1], vec![f32::NAN]).unwrap();
    for (tensors, expected) in [
        (good()[..1].to_vec(), "lora_A.weight: its other factor is missing"),
        (vec![(&*alpha, noise([1], 0))], "alpha: its other factor is missing"),
        (
            vec![good().remove(0), (&*up, noise([6, 3], 1))],
            "lora_A.weight: shape [2, 5] does not fit [6, 3]",
        ),
        (vec![(&*down, noise([0, 5], 1)), (&*up, noise([6, 0], 1))], "lora_A.weight: shape [0, 5]"),
        (vec![(&*down, noise([2], 1)), good().remove(1)], "lora_A.weight: shape [2]"),
        (vec![(&*down, noise([2, 4], 1)), good().remove(1)], "do not fit [6, 5] of down_blocks.0"),
        (with((&*alpha, noise([2], 1))), "alpha: not a finite number"),
        (with((&*alpha, nan)), "alpha: not a finite number"),
        (with(("lora_unet_x.hada_w1_a", noise([1], 1))), "lora_unet_x.hada_w1_a: LoHa adapters"),
        (with(("unet.x.dora_scale", noise([1], 1))), "unet.x.dora_scale: DoRA adapters"),
        (with(("conv_in.weight", noise([1], 1))), "conv_in.weight: unknown kind of adapters"),
    ] {
        let path = write(folder.path().join("lora.safetensors"), &tensors);
        let merged = Lora::open(&path)
            .and_then(|lora| base(folder.path()).merge(&Arc::new(lora), "unet", 1.0));
        let error = merged.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert!(error.contains("lora.safetensors: ") && !error.contains('\n'), "{error}");
    }
}

/// The LoRA files written for the fixture model tiny-sd15, in three namings:
/// every layer must find its weight.
#[test]
fn fixture_files_merge_whole() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let model = ModelFolder::open(&fixtures.join("models/tiny-sd15")).unwrap();
    let expected =
        [("unet", Keys::AsStored, [8, 8, 5]), ("text_encoder", Keys::ClipText, [2, 2, 0])];
    for (component, keys, merged) in expected {
        for (file, merged) in ["kohya", "diffusers", "legacy"].iter().zip(merged) {
            let path = fixtures.join(format!("lora/{file}.safetensors"));
            let lora = Arc::new(Lora::open(&path).unwrap());
            let mut weights = model.checkpoint(component, keys, Precision::Full).unwrap();
            let report = weights.merge(&lora, component, 0.7).unwrap();
            assert_eq!(report, MergeReport { merged, unmatched: vec![] }, "{file} {component}");
        }
    }
}

/// Whatever is done to a file's header, it is refused in one line or merges
/// without a panic.
#[test]
fn mutated_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let layer = &LINEAR[..LINEAR.len() - 7];
    let keys = ["lora_A.weight", "lora_B.weight", "alpha"].map(|f| format!("unet.{layer}.{f}"));
    let factors = [noise([2, 5], 1), noise([6, 2], 2), noise([1], 3)];
    let tensors: Vec<_> = keys.iter().map(|k| &**k).zip(factors).collect();
    let path = write(folder.path().join("lora.safetensors"), &tensors);
    let whole = std::fs::read(&path).unwrap();
    let header_bytes = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    base(folder.path());
    let base_path = folder.path().join("unet.safetensors");
    let (mut state, mut opened) = (1usize, 0);
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        // The multiplier is Knuth's (MMIX).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes[(state >> 33) % header_bytes] = b"012345689AB_.[],\""[(state >> 20) % 17];
        std::fs::write(&path, bytes).unwrap();
        match Lora::open(&path) {
            Ok(lora) => {
                opened += 1;
                let mut unet = Checkpoint::open(&base_path, Keys::AsStored).unwrap();
                let _ = unet.merge(&Arc::new(lora), "unet", 1.0);
                assert_eq!(unet.read(LINEAR).unwrap().shape, [6, 5].into());
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
    assert!(opened > 0, "no mutation left a sound file: the test reaches nothing");
}
