//! CLIP's tokenizer: byte-level byte-pair encoding, giving the ids that
//! transformers' CLIPTokenizer gives.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;
use tokenizers::Tokenizer;

/// Why a tokenizer could not be made or used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// A file does not hold what it should.
    #[error("{file}: {reason}")]
    File {
        /// The file's name.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A special token is not in the vocabulary.
    #[error("vocab.json: no entry for {field} {token:?}")]
    SpecialToken {
        /// The field of tokenizer_config.json that names the token.
        field: &'static str,
        /// The token.
        token: String,
    },
    /// The files do not make a tokenizer.
    #[error("tokenizer: {0}")]
    Inconsistent(tokenizers::Error),
}

/// The contents of a tokenizer's folder, as far as they are read.
#[derive(Clone, Copy, Debug)]
pub struct TokenizerFiles<'a> {
    /// vocab.json: tokens and their ids.
    pub vocab: &'a str,
    /// merges.txt: pairs to merge, the first ones first.
    pub merges: &'a str,
    /// tokenizer_config.json, if there is one.
    pub config: Option<&'a str>,
    /// special_tokens_map.json, if there is one.
    pub special_tokens: Option<&'a str>,
}

/// Tokens that a text is split into before byte pairs are merged: CLIP's own
/// expression (`simple_tokenizer.py` of github.com/openai/CLIP).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Fields that name special tokens, with CLIPTokenizer's defaults.
const SPECIAL: [(&str, &str); 4] = [
    ("bos_token", "<|startoftext|>"),
    ("eos_token", "<|endoftext|>"),
    ("unk_token", "<|endoftext|>"),
    ("pad_token", "<|endoftext|>"),
];

/// Tokens of a text, start and end included, in every published CLIP.
const MAX_LENGTH: usize = 77;

/// A tokenizer.
#[derive(Debug)]
pub struct ClipTokenizer {
    tokenizer: Tokenizer,
    pad: u32,
    end: u32,
    max_length: usize,
}

impl ClipTokenizer {
    /// A tokenizer from vocab.json, merges.txt and its two small files.
    ///
    /// # Errors
    /// If a file is malformed or they do not fit each other.
    pub fn from_files(files: TokenizerFiles<'_>) -> Result<Self, TokenizerError> {
        let vocab = object("vocab.json", files.vocab)?;
        let settings = Settings::read(files.config, files.special_tokens)?;
        let json = description(vocab, merges(files.merges), &settings);
        Self::from_description(&json, &settings)
    }

    /// A tokenizer from tokenizer.json, which describes all but the length and
    /// the padding.
    ///
    /// # Errors
    /// If a file is malformed.
    pub fn from_json(json: &str, config: Option<&str>) -> Result<Self, TokenizerError> {
        Self::from_description(json, &Settings::read(config, None)?)
    }

    /// Longest text in tokens, start and end included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The ids of a text, start and end included, neither cut nor padded.
    ///
    /// # Errors
    /// If the vocabulary has neither a token nor an unknown token for it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.tokenizer.encode(text, true).map_err(TokenizerError::Inconsistent)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text as a text model reads them: cut to `length` with the
    /// end token last, or padded to it.
    ///
    /// # Errors
    /// As [`ClipTokenizer::encode`].
    pub fn encode_padded(&self, text: &str, length: usize) -> Result<Vec<i64>, TokenizerError> {
        let mut ids = self.encode(text)?;
        if ids.len() > length {
            ids.truncate(length.saturating_sub(1));
            ids.push(self.end);
        }
        ids.resize(length, self.pad);
        Ok(ids.into_iter().map(i64::from).collect())
    }

    fn from_description(json: &str, settings: &Settings) -> Result<Self, TokenizerError> {
        let mut tokenizer: Tokenizer = json.parse().map_err(TokenizerError::Inconsistent)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(TokenizerError::Inconsistent)?;
        let id = |index: usize| {
            let token = settings.special[index].content.clone();
            let field = SPECIAL[index].0;
            tokenizer.token_to_id(&token).ok_or(TokenizerError::SpecialToken { field, token })
        };
        let (end, pad) = (id(1)?, id(3)?);
        Ok(Self { pad, end, max_length: settings.max_length, tokenizer })
    }
}

/// What the two small files say.
#[derive(Debug)]
struct Settings {
    /// In the order of [`SPECIAL`].
    special: Vec<SpecialToken>,
    max_length: usize,
}

/// A token that a text may spell out. One that is `normalized` is looked for
/// in the normalised text, so that capitals match too.
#[derive(Clone, Debug)]
struct SpecialToken {
    content: String,
    normalized: bool,
}

impl Settings {
    fn read(config: Option<&str>, special_map: Option<&str>) -> Result<Self, TokenizerError> {
        let config_file = "tokenizer_config.json";
        let config = config.map_or(Ok(Map::new()), |json| object(config_file, json))?;
        let declared = declared_tokens(&config);
        // transformers reads the map only where the configuration does not
        // declare its tokens; its entries then have precedence.
        let map = match special_map.filter(|_| declared.is_empty()) {
            Some(json) => object("special_tokens_map.json", json)?,
            None => Map::new(),
        };
        let special = SPECIAL.map(|(field, default)| {
            let value = map.get(field).or_else(|| config.get(field));
            special_token(value, &declared).unwrap_or_else(|| special_token_of(default, &declared))
        });
        let max_length = match config.get("model_max_length").and_then(Value::as_f64) {
            // Larger than any text where the length is not limited.
            Some(length) if (2.0..1e6).contains(&length) => length as usize,
            _ => MAX_LENGTH,
        };
        Ok(Self { special: special.to_vec(), max_length })
    }

    /// Every special token once; of equal ones the last given decides.
    fn added_tokens(&self, vocab: &Map<String, Value>) -> Vec<Value> {
        let mut by_id = BTreeMap::new();
        for token in &self.special {
            let Some(id) = vocab.get(&token.content).and_then(Value::as_u64) else { continue };
            let (content, normalized) = (&token.content, token.normalized);
            by_id.insert(
                id,
                json!({
                    "id": id, "content": content, "normalized": normalized, "special": true,
                    "single_word": false, "lstrip": false, "rstrip": false,
                }),
            );
        }
        by_id.into_values().collect()
    }
}

/// The tokens of `added_tokens_decoder`, by content.
fn declared_tokens(config: &Map<String, Value>) -> BTreeMap<String, SpecialToken> {
    let declared = config.get("added_tokens_decoder").and_then(Value::as_object);
    let tokens = declared.into_iter().flat_map(|tokens| tokens.values());
    let read = |value| special_token(Some(value), &BTreeMap::new());
    tokens.filter_map(read).map(|token| (token.content.clone(), token)).collect()
}

/// A token given by its content alone or as an object with properties.
fn special_token(
    value: Option<&Value>,
    declared: &BTreeMap<String, SpecialToken>,
) -> Option<SpecialToken> {
    match value? {
        Value::String(content) => Some(special_token_of(content, declared)),
        Value::Object(properties) => Some(SpecialToken {
            content: properties.get("content")?.as_str()?.to_owned(),
            normalized: properties.get("normalized").and_then(Value::as_bool).unwrap_or(false),
        }),
        _ => None,
    }
}

fn special_token_of(content: &str, declared: &BTreeMap<String, SpecialToken>) -> SpecialToken {
    let plain = || SpecialToken { content: content.to_owned(), normalized: false };
    declared.get(content).cloned().unwrap_or_else(plain)
}

/// The tokenizer in the form of a tokenizer.json.
fn description(vocab: Map<String, Value>, merges: Vec<[&str; 2]>, settings: &Settings) -> String {
    let added = settings.added_tokens(&vocab);
    let [start, end, unknown, _] = [0, 1, 2, 3].map(|i| settings.special[i].content.as_str());
    let id = |token: &str| vocab.get(token).cloned().unwrap_or(Value::Null);
    json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [end, id(end)],
            "cls": [start, id(start)], "trim_offsets": false, "add_prefix_space": false},
        "model": {"type": "BPE", "unk_token": unknown, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
            "vocab": vocab, "merges": merges},
    })
    .to_string()
}

/// The pairs of merges.txt; its first line names the format.
fn merges(text: &str) -> Vec<[&str; 2]> {
    let lines = text.lines().filter(|line| !line.starts_with("#version"));
    lines.filter_map(|line| line.split_once(' ')).map(|(a, b)| [a, b.trim_end()]).collect()
}

fn object(file: &'static str, json: &str) -> Result<Map<String, Value>, TokenizerError> {
    serde_json::from_str(json)
        .map_err(|error| TokenizerError::File { file, reason: error.to_string() })
}
