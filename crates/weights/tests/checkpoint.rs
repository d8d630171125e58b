//! Checkpoints against the reference reader and writer, and against files that
//! are broken in every way the format allows.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use laterna_tensor::{DType, Shape, Tensor, TensorData, TensorView, bf16, f16};
use laterna_weights::{
    BuiltIn, Checkpoint, Header, Keys, ModelFolder, Precision, write_safetensors,
};
use safetensors::SafeTensors;

fn ramp(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let values = (0..shape.elements()).map(|i| i as f32 / 3.0 - 1.0).collect();
    Tensor::from_f32(shape, values).unwrap()
}

/// One tensor of each element type that can be written.
fn samples() -> Vec<(&'static str, Tensor)> {
    let raw = |shape: [usize; 1], data| Tensor::new(shape.into(), data).unwrap();
    vec![
        ("half", raw([3], TensorData::F16(vec![f16::from_f32(0.5), f16::NAN, f16::MAX]))),
        ("brain", raw([2], TensorData::BF16(vec![bf16::from_f32(-2.0), bf16::ONE]))),
        ("full", ramp([2, 3, 1, 1])),
        ("ids", raw([2], TensorData::I64(vec![i64::MIN, 49407]))),
        ("bytes", raw([5], TensorData::U8(vec![0, 1, 2, 3, 255]))),
        ("a \"quoted\" näme", ramp([1])),
        ("scalar", ramp(Shape::SCALAR)),
        ("empty", ramp([0, 4])),
    ]
}

fn write(path: &Path, tensors: &[(&str, Tensor)]) {
    let views: Vec<(&str, TensorView<'_>)> = tensors.iter().map(|(n, t)| (*n, t.view())).collect();
    write_safetensors(path, &views).unwrap();
}

fn open_error(path: &Path) -> String {
    Checkpoint::open(path, Keys::AsStored).unwrap_err().to_string()
}

#[test]
fn the_reference_reader_agrees_with_writer_and_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.safetensors");
    write(&path, &samples());
    let bytes = fs::read(&path).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let checkpoint = Checkpoint::open(&path, Keys::AsStored).unwrap();
    assert_eq!(checkpoint.names().len(), samples().len());
    for (name, tensor) in samples() {
        let (expected, read) = (reference.tensor(name).unwrap(), checkpoint.read(name).unwrap());
        assert_eq!(expected.data(), &*read.bytes, "{name}");
        assert_eq!(expected.shape(), &*read.shape, "{name}");
        assert_eq!(checkpoint.info(name), Some((tensor.dtype(), tensor.shape())), "{name}");
    }
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|n| folder.path().join(n));
    let mut tensors = samples();
    write(&paths[0], &tensors);
    tensors.reverse();
    write(&paths[1], &tensors);
    assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
}

#[test]
fn files_of_the_reference_writer_are_read() {
    use safetensors::tensor::{Dtype, TensorView as View};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.safetensors");
    let tensors = [
        ("f8", View::new(Dtype::F8_E4M3, vec![2], &[0x38, 0xb8]).unwrap()),
        ("f64", View::new(Dtype::F64, vec![1], &[0; 8]).unwrap()),
    ];
    fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&path, Keys::AsStored).unwrap();
    assert_eq!(checkpoint.info("f8"), Some((DType::F8E4M3, [2].into())));
    assert_eq!(checkpoint.read("f8").unwrap().to_f32(), [1.0, -1.0]);
    assert_eq!(checkpoint.info("f64"), None);
    let error = checkpoint.read("f64").unwrap_err().to_string();
    assert!(error.ends_with("reference.safetensors: f64: element type F64 is not supported (F32, F16, BF16, F8_E4M3, I64 and U8 are)"), "{error}");
    let error = checkpoint.read("absent").unwrap_err().to_string();
    assert!(error.ends_with("reference.safetensors: absent: no such tensor"), "{error}");
}

#[test]
fn released_weights_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &[("a", ramp([5000])), ("b", ramp([5000]))]);
    let checkpoint = Checkpoint::open(&path, Keys::AsStored).unwrap();
    let before = checkpoint.read("b").unwrap().to_f32();
    checkpoint.release("a");
    checkpoint.release("b");
    assert_eq!(checkpoint.read("b").unwrap().to_f32(), before);
}

#[test]
fn the_first_non_finite_weight_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &samples());
    let checkpoint = Checkpoint::open(&path, Keys::AsStored).unwrap();
    assert_eq!(checkpoint.first_non_finite(), Some("half"));
}

#[test]
fn a_file_cut_anywhere_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    write(&path, &samples());
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open_error(&path);
        assert!(error.contains("cut.safetensors: ") && !error.contains('\n'), "{length}: {error}");
    }
}

#[test]
fn what_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open_error(folder.path()).contains("is a directory"));
    assert!(open_error(&folder.path().join("absent.safetensors")).contains("absent.safetensors: "));
}

/// Writes two shards and an index with this weight map.
fn write_shards(folder: &Path, weight_map: &str) -> std::path::PathBuf {
    write(&folder.join("m-1.safetensors"), &[("a", ramp([1])), ("b", ramp([2]))]);
    write(&folder.join("m-2.safetensors"), &[("c", ramp([3]))]);
    let index = folder.join("model.safetensors.index.json");
    fs::write(&index, format!(r#"{{"weight_map":{weight_map}}}"#)).unwrap();
    index
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let map = r#"{"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}"#;
    let checkpoint = Checkpoint::open(&write_shards(folder.path(), map), Keys::AsStored).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(checkpoint.read("c").unwrap().to_f32(), ramp([3]).as_f32().unwrap());
}

#[test]
fn an_index_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (map, expected) in [
        (r#"{"c":"m-1.safetensors"}"#, "m-1.safetensors: c: no such tensor"),
        (r#"{"c":"m-3.safetensors"}"#, "m-3.safetensors: "),
        (r#"{"c":"../m.safetensors"}"#, "index.json: c: shard"),
    ] {
        let error = open_error(&write_shards(folder.path(), map));
        assert!(error.contains(expected), "{map}: {error}");
    }
}

#[test]
fn old_autoencoders_read_as_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.safetensors");
    let old = "mid_block.attentions.0.query.weight";
    write(&path, &[(old, ramp([4, 4, 1, 1])), ("conv.weight", ramp([4, 4, 1, 1]))]);
    let checkpoint = Checkpoint::open(&path, Keys::AutoencoderKl).unwrap();
    let new = "mid_block.attentions.0.to_q.weight";
    assert_eq!(checkpoint.info(new), Some((DType::F32, [4, 4].into())));
    assert_eq!(checkpoint.read(new).unwrap().shape, [4, 4].into());
    assert_eq!(checkpoint.read("conv.weight").unwrap().shape, [4, 4, 1, 1].into());
}

#[test]
fn two_spellings_of_one_weight_collide() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.safetensors");
    let names = ["final_layer_norm.bias", "text_model.final_layer_norm.bias"];
    write(&path, &names.map(|n| (n, ramp([1]))));
    let error = Checkpoint::open(&path, Keys::ClipText).unwrap_err().to_string();
    assert!(error.ends_with(&format!("{}: the same weight as {}", names[1], names[0])), "{error}");
}

#[test]
fn a_component_is_found_under_each_of_its_names() {
    for precision in [Precision::Full, Precision::Half] {
        for name in precision.file_names() {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("unet");
            fs::create_dir(&folder).unwrap();
            if name.ends_with(".json") {
                write(&folder.join("m-1.safetensors"), &[("a", ramp([1]))]);
                let map = r#"{"weight_map":{"a":"m-1.safetensors"}}"#;
                fs::write(folder.join(&name), map).unwrap();
            } else {
                write(&folder.join(&name), &[("a", ramp([1]))]);
            }
            let model = ModelFolder::open(root.path()).unwrap();
            let checkpoint = model.checkpoint("unet", Keys::AsStored, Precision::Full).unwrap();
            assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a"], "{name}");
        }
    }
}

#[test]
fn the_precision_decides_between_variants() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("vae");
    fs::create_dir(&folder).unwrap();
    for (name, tensor) in [("", "full"), (".fp16", "half")] {
        let path = folder.join(format!("diffusion_pytorch_model{name}.safetensors"));
        write(&path, &[(tensor, ramp([1]))]);
    }
    let model = ModelFolder::open(root.path()).unwrap();
    for (precision, expected) in [(Precision::Full, "full"), (Precision::Half, "half")] {
        let checkpoint = model.checkpoint("vae", Keys::AsStored, precision).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn missing_components_and_weights_are_named() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("unet")).unwrap();
    fs::write(root.path().join("unet/diffusion_pytorch_model.bin"), "").unwrap();
    let model = ModelFolder::open(root.path()).unwrap();
    let error = |c| model.checkpoint(c, Keys::AsStored, Precision::Full).unwrap_err().to_string();
    assert!(error("unet").contains("unet: no safetensors weights (looked for diffusion_"));
    assert!(error("vae").contains("no component `vae`"));
    assert!(ModelFolder::open(&root.path().join("absent")).is_err());
}

/// A lone component, as published autoencoders are laid out.
#[test]
fn a_root_may_be_the_component_itself() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("config.json"), "{}").unwrap();
    write(&root.path().join("model.safetensors"), &[("a", ramp([1]))]);
    let model = ModelFolder::open(root.path()).unwrap();
    assert!(model.checkpoint("vae", Keys::AsStored, Precision::Half).is_ok());
}

#[test]
fn a_folder_may_be_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &[("a", ramp([3]))]);
    // One byte further on, so that the data is not aligned.
    let bytes: &[u8] = [&[0][..], &fs::read(&path).unwrap()].concat().leak();
    let model = ModelFolder::built_in(Box::leak(Box::new(BuiltIn {
        root: "built-in m",
        files: Box::leak(Box::new([
            ("model_index.json", b"{}" as &[u8]),
            ("unet/model.safetensors", &bytes[1..]),
            ("vae/model.safetensors", &bytes[..30]),
            ("odd/a/config.json", b"\xff"),
        ])),
    })));
    let open = |component| model.checkpoint(component, Keys::AsStored, Precision::Full);
    let checkpoint = open("unet").unwrap();
    let raw = checkpoint.read("a").unwrap();
    assert_eq!(Tensor::from_raw(&raw).as_f32().unwrap(), ramp([3]).as_f32().unwrap());
    let Cow::Borrowed(data) = raw.bytes else { panic!("the data is copied") };
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));

    assert_eq!(&*model.read_text(&model.index().unwrap()).unwrap(), "{}");
    let error = |component| open(component).unwrap_err().to_string();
    let named = |component: &str| Path::new("built-in m").join(component).display().to_string();
    assert!(error("vae").starts_with(&named("vae/model.safetensors")), "{}", error("vae"));
    assert!(error("odd").contains("no safetensors weights"));
    assert!(error("text").contains("built-in m: no component `text`"));
    assert!(model.read_text(&model.component("odd").unwrap().join("a/config.json")).is_err());
    assert!(model.read_text(Path::new("model_index.json")).is_err());
}

/// A small deterministic generator (xorshift, Marsaglia 2003).
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// Whatever is done to the bytes, the file is refused or every tensor reads.
#[test]
fn mutated_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &samples());
    let whole = fs::read(&path).unwrap();
    let header_bytes = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let (mut state, mut accepted) = (0x9e37_79b9_7f4a_7c15, 0);
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next(&mut state) % 3 {
            let at = next(&mut state) % header_bytes;
            bytes[at] = b"0123456789[]{},:\"\\ \xff"[next(&mut state) % 20];
        }
        let Ok(header) = Header::parse(&bytes) else { continue };
        accepted += 1;
        for (name, entry) in header.tensors() {
            let stored = &bytes[entry.range.clone()];
            if let Ok((dtype, shape)) = &entry.form {
                assert_eq!(shape.elements() * dtype.size_bytes(), stored.len(), "{name}");
            }
        }
    }
    assert!(accepted > 0, "no mutation left a sound file: the test reaches nothing");
}

/// Where every tensor is of a supported form, our header checks are no laxer
/// than the reference's.
#[test]
fn whatever_we_accept_the_reference_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, &[("a", ramp([2])), ("b", ramp([1])), ("ids", ramp([3]))]);
    let whole = fs::read(&path).unwrap();
    let header_bytes = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..header_bytes {
        for byte in *b"0123489ab\" ,[" {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let Ok(header) = Header::parse(&bytes) else { continue };
            let unsupported = header.tensors().values().any(|entry| entry.form.is_err());
            assert!(unsupported || SafeTensors::deserialize(&bytes).is_ok(), "byte {at}: {byte}");
        }
    }
}
