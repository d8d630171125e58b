//! Text encoders against transformers, and the tokenizer's ids.

use std::fs;
use std::path::Path;

use crate::common::{Cases, config, model, weights};
use laterna_models::clip::text::{self, Output};
use laterna_models::clip::{ClipTextConfig, ClipTokenizer, TokenizerFiles};
use laterna_tensor::Tensor;
use laterna_weights::Keys;
use serde_json::Value;

fn check(name: &str, component: &str, pooled: Output) {
    let config = ClipTextConfig::parse("config.json", &config(name, component)).unwrap();
    let weights = weights(name, component, Keys::ClipText);
    let cases = Cases::open(name, component);
    for case in cases.names() {
        let ids = cases.tensor(&case, "input_ids");
        let &[batch, tokens] = &*ids.shape() else { panic!("{case}") };
        let eos = config.eos_positions(ids.as_i64().unwrap(), tokens);
        let eos = Tensor::from_i64([batch], eos).unwrap();
        let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
        let graph = text::graph(component, &config, batch, tokens, &outputs).unwrap();
        cases.check(&case, &graph, &weights, &[ids, eos]);
    }
}

#[test]
fn text_models() {
    for name in ["tiny-sdxs", "tiny-sd15", "tiny-sd21", "tiny-ip2p", "tiny-sdxl"] {
        check(name, "text_encoder", Output::PoolerOutput);
    }
}

#[test]
fn text_model_with_projection() {
    check("tiny-sdxl", "text_encoder_2", Output::TextEmbeds);
}

fn tokenizer(folder: &Path) -> ClipTokenizer {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    ClipTokenizer::from_files(TokenizerFiles {
        vocab: &read("vocab.json"),
        merges: &read("merges.txt"),
        config: Some(&read("tokenizer_config.json")),
        special_tokens: Some(&read("special_tokens_map.json")),
    })
    .unwrap()
}

fn check_ids(tokenizer: &ClipTokenizer, cases: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let json = fs::read_to_string(root.join("fixtures/tokenizer").join(cases)).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let text = case[0].as_str().unwrap();
        let expected: Vec<u64> =
            case[1].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        let found: Vec<u64> = tokenizer.encode(text).unwrap().into_iter().map(u64::from).collect();
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn ids_of_a_small_vocabulary() {
    check_ids(&tokenizer(&model("tiny-sdxs").join("tokenizer")), "small.json");
}

#[test]
fn ids_of_the_published_vocabulary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("../shared/data/tokenizer");
    if !folder.is_dir() {
        println!("skipped: the published CLIP vocabulary is not part of the repository");
        return;
    }
    let tokenizer = tokenizer(&folder);
    check_ids(&tokenizer, "clip.json");
    let ids = tokenizer.encode_padded("a photo of a cat", 8).unwrap();
    assert_eq!(ids, [49406, 320, 1125, 539, 320, 2368, 49407, 49407]);
}

#[test]
fn texts_are_cut_and_padded() {
    let padded_with_zero = tokenizer(&model("tiny-sdxs").join("tokenizer"));
    assert_eq!(padded_with_zero.max_length(), 77);
    assert_eq!(padded_with_zero.encode_padded("a", 5).unwrap(), [1012, 320, 1013, 0, 0]);
    assert_eq!(padded_with_zero.encode_padded("a a a a", 4).unwrap(), [1012, 320, 320, 1013]);
    let padded_with_end = tokenizer(&model("tiny-sd15").join("tokenizer"));
    assert_eq!(padded_with_end.encode_padded("a", 5).unwrap(), [1012, 320, 1013, 1013, 1013]);
}

#[test]
fn broken_files_are_errors() {
    let files = |vocab| TokenizerFiles { vocab, merges: "", config: None, special_tokens: None };
    for (vocab, expected) in [
        ("[]", "vocab.json: invalid type"),
        (r#"{"a": -1}"#, "tokenizer: "),
        (r#"{"a": 0}"#, "tokenizer: "),
    ] {
        let error = ClipTokenizer::from_files(files(vocab)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
