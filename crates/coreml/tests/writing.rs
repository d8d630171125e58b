//! What a written package is, as far as that can be said without Core ML or
//! Python: its text, its bytes, and what becomes of a failure.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use laterna_coreml::emit::{
    self, Attention, EmitError, Entry, GroupNorm, Options, Package, Target, WeightFormat,
};
use laterna_graph::op::{Activation, Conv2d};
use laterna_graph::{Builder, Graph, MemoryWeights, Rate, TensorType, ValueId};
use laterna_tensor::{Shape, Tensor};

fn wave(name: &str, shape: &Shape) -> Tensor {
    let phase: usize = name.bytes().map(usize::from).sum();
    let number = |i: usize| ((i + phase) as f32 * 0.7).sin();
    Tensor::from_f32(*shape, (0..shape.elements()).map(number).collect()).unwrap()
}

fn weights(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    graph.weights().for_each(|(name, ty)| weights.insert(&**name, &wave(name, &ty.shape)));
    weights
}

fn attend(b: &mut Builder, path: &str, x: ValueId, context: ValueId) -> ValueId {
    let channels = b.shape(x)[2];
    let norm = b.layer_norm(&format!("{path}.norm"), x, 1e-5).unwrap();
    let context = if context == x { norm } else { context };
    let q = b.linear(&format!("{path}.q"), norm, channels, false).unwrap();
    let k = b.linear(&format!("{path}.k"), context, channels, false).unwrap();
    let v = b.linear(&format!("{path}.v"), context, channels, false).unwrap();
    let y = b.attention(path, [q, k, v], 2, false).unwrap();
    let y = b.linear(&format!("{path}.out"), y, channels, true).unwrap();
    b.add(path, y, x).unwrap()
}

/// A block of a UNet in small: what every form and format has something to do in.
fn block() -> Graph {
    let mut b = Builder::new("block");
    let x = b.input("x", Rate::Frame, TensorType::f32([1, 8, 4, 4]));
    let text = b.input("text", Rate::Prompt, TensorType::f32([1, 5, 6]));
    let h = b.group_norm("norm", x, 4, 1e-5).unwrap();
    let h = b.activation("act", h, Activation::Silu).unwrap();
    let h = b.conv2d("conv", h, 8, 3, Conv2d::same(1)).unwrap();
    let mut tokens = b.to_tokens("tokens", h).unwrap();
    tokens = attend(&mut b, "attn", tokens, text);
    let wide = b.linear("ff", tokens, 16, true).unwrap();
    tokens = b.geglu("geglu", wide).unwrap();
    let h = b.from_tokens("picture", tokens, 4, 4).unwrap();
    let up = b.upsample_nearest("up", h, 2).unwrap();
    b.finish(&[("y", up)])
}

fn text(options: &Options) -> String {
    let graph = block();
    let entries = [Entry::new("main", &graph)];
    let package = Package { description: "a test", entries: &entries };
    emit::text(&package, &weights(&graph), options).unwrap()
}

#[test]
fn programs_for_each_system() {
    insta::assert_snapshot!("macos_14", text(&Options::new(Target::MacOs14)));
    insta::assert_snapshot!("macos_15", text(&Options::new(Target::MacOs15)));
}

#[test]
fn programs_for_the_neural_engine() {
    let options = Options {
        attention: Attention::SplitEinsum,
        group_norm: GroupNorm::Steps,
        ..Options::new(Target::MacOs14)
    };
    insta::assert_snapshot!("neural_engine", text(&options));
}

#[test]
fn weights_in_each_format() {
    let layers = |target, weights| {
        let options = Options { weights, min_elements: 0, ..Options::new(target) };
        let text = text(&options);
        let is_layer = |line: &&str| line.contains("] conv_weight =");
        text.lines().filter(is_layer).collect::<Vec<_>>().join("\n")
    };
    let palette = |group| WeightFormat::Palette { bits: 4, group };
    let all = [
        layers(Target::MacOs14, WeightFormat::Int8 { symmetric: true }),
        layers(Target::MacOs14, palette(None)),
        layers(Target::MacOs14, WeightFormat::Sparse { density: 0.5 }),
        layers(Target::MacOs15, WeightFormat::Int8 { symmetric: false }),
        layers(Target::MacOs15, palette(Some(2))),
        layers(Target::MacOs15, WeightFormat::Int4 { block: 4 }),
        layers(Target::MacOs15, WeightFormat::Sparse { density: 0.5 }),
    ];
    insta::assert_snapshot!("formats", all.join("\n"));
}

/// Every file of a folder, by path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(rest, b)| (format!("{name}/{rest}"), b)));
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}

fn write(path: &Path, graph: &Graph, options: &Options) -> Result<emit::Summary, EmitError> {
    let entries = [Entry::new("main", graph)];
    let package = Package { description: "a test", entries: &entries };
    emit::write(path, &package, &weights(graph), options, &mut |_| {})
}

#[test]
fn equal_packages_are_equal_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let graph = block();
    for weights in [WeightFormat::Fp16, WeightFormat::Palette { bits: 4, group: None }] {
        let options = Options { weights, min_elements: 0, ..Options::new(Target::MacOs15) };
        let [first, second] = ["a.mlpackage", "b.mlpackage"].map(|name| {
            let path = folder.path().join(name);
            write(&path, &graph, &options).unwrap();
            files(&path)
        });
        assert_eq!(first, second);
        let names: Vec<_> = first.keys().map(String::as_str).collect();
        let data = "Data/com.apple.CoreML";
        let expected = [format!("{data}/model.mlmodel"), format!("{data}/weights/weight.bin")];
        assert_eq!(names, [&expected[0], &expected[1], "Manifest.json"]);
    }
}

/// The old package stays, and nothing beside it.
#[test]
fn a_failure_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mlpackage");
    let graph = block();
    let options = Options::new(Target::MacOs14);
    write(&path, &graph, &options).unwrap();
    let before = files(folder.path());
    let entries = [Entry::new("main", &graph)];
    let package = Package { description: "a test", entries: &entries };
    let mut unfit = weights(&graph);
    unfit.insert("conv.weight", &Tensor::from_f32([8, 8, 3, 3], vec![1e6; 576]).unwrap());
    let failed = emit::write(&path, &package, &unfit, &options, &mut |_| {});
    let message = failed.unwrap_err().to_string();
    assert_eq!(message, "conv.weight: 1e6 does not fit half precision");
    assert_eq!(files(folder.path()), before);
    let other = Options { group_norm: GroupNorm::Steps, ..options };
    write(&path, &graph, &other).unwrap();
    assert_ne!(files(folder.path()), before, "it is replaced");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn only_a_package_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thesis");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("chapter"), "all of it").unwrap();
    let error = write(&path, &block(), &Options::new(Target::MacOs14)).unwrap_err();
    assert!(error.to_string().ends_with("thesis: is there, and is no package"), "{error}");
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn what_a_system_lacks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mlpackage");
    let old = Options::new(Target::MacOs14);
    let cases = [
        (
            Options { attention: Attention::Sdpa, ..old },
            "attention as one operation: only from macOS 15 on",
        ),
        (
            Options { weights: WeightFormat::Int4 { block: 32 }, ..old },
            "4-bit integers: only from macOS 15 on",
        ),
        (
            Options { weights: WeightFormat::Palette { bits: 5, group: None }, ..old },
            "a palette has 1, 2, 3, 4, 6 or 8 bits, not 5",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(write(&path, &block(), &options).unwrap_err().to_string(), expected);
    }
    let graph = block();
    let both = [Entry::new("a", &graph), Entry::new("b", &graph)];
    let package = Package { description: "a test", entries: &both };
    let error = emit::write(&path, &package, &weights(&graph), &old, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "a package of several functions: only from macOS 15 on");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_weight_of_another_shape_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let graph = block();
    let mut unfit = weights(&graph);
    unfit.insert("conv.weight", &Tensor::zeros([8, 8, 1, 1]));
    let entries = [Entry::new("main", &graph)];
    let package = Package { description: "a test", entries: &entries };
    let path = folder.path().join("a.mlpackage");
    let options = Options::new(Target::MacOs14);
    let error = emit::write(&path, &package, &unfit, &options, &mut |_| {}).unwrap_err();
    let expected = "weight conv.weight: is f32[8, 8, 1, 1], the graph needs f32[8, 8, 3, 3]";
    assert_eq!(error.to_string(), expected);
}

/// Of the numbers of all weights, to the last one.
#[test]
fn progress_reaches_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let graph = block();
    let entries = [Entry::new("main", &graph)];
    let package = Package { description: "a test", entries: &entries };
    let path = folder.path().join("a.mlpackage");
    let options = Options::new(Target::MacOs14);
    let mut seen = Vec::new();
    emit::write(&path, &package, &weights(&graph), &options, &mut |p| seen.push(p)).unwrap();
    let last = seen.last().unwrap();
    assert_eq!(last.done, last.total);
    assert!(seen.windows(2).all(|pair| pair[0].done < pair[1].done));
}
