//! The configuration of a CLIPTextModel, as transformers writes it.

use laterna_graph::op::Activation;
use serde_json::Value;

use crate::config::{ConfigError, Fields, Fixed, whole};

/// A CLIPTextModel or CLIPTextModelWithProjection.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipTextConfig {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels inside a feed-forward layer.
    pub intermediate_size: usize,
    /// Channels of the pooled text, if the class projects it.
    pub projection_dim: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads of each layer.
    pub heads: usize,
    /// Longest text in tokens.
    pub max_tokens: usize,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// Added to the variance of every normalisation.
    pub norm_eps: f32,
    /// The token that ends a text.
    pub eos_token: i64,
}

/// The activations of transformers that the graph has, by name.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("quick_gelu", Activation::QuickGelu),
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
];

/// Fields of which one value alone is implemented.
const FIXED: &[(&str, Fixed)] = &[("model_type", Fixed::Text("clip_text_model"))];

const TRAINING: &str = "read by training alone";
const GENERATION: &str = "read by text generation alone";

/// Fields that cannot change the result, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("architectures", "the class is decided by whoever opens the folder"),
    ("attention_dropout", TRAINING),
    ("dropout", TRAINING),
    ("initializer_factor", TRAINING),
    ("initializer_range", TRAINING),
    ("gradient_checkpointing", TRAINING),
    ("bos_token_id", "the tokenizer knows it"),
    ("pad_token_id", "the tokenizer knows it"),
    ("dtype", "the weights know it"),
    ("torch_dtype", "the weights know it"),
    ("transformers_version", "says who wrote the file"),
    ("output_attentions", "asks for outputs that nobody reads"),
    ("output_hidden_states", "every hidden state can be asked for"),
    ("return_dict", "shapes a Python value"),
    ("tie_word_embeddings", GENERATION),
    ("use_cache", GENERATION),
];

/// Layers; the largest published text model has 32.
const MAX_LAYERS: usize = 256;

impl ClipTextConfig {
    /// Reads a config.json; `file` is named in errors. Absent fields have
    /// transformers' defaults.
    ///
    /// # Errors
    /// If a field is unknown, malformed, or has a value that is not implemented.
    pub fn parse(file: &str, json: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, json)?;
        f.fixed(FIXED)?;
        f.ignore(IGNORED);
        let hidden_size = f.extent("hidden_size", 512)?;
        let config = Self {
            vocab_size: f.extent("vocab_size", 49408)?,
            hidden_size,
            intermediate_size: f.extent("intermediate_size", 2048)?,
            projection_dim: f.optional_extent("projection_dim")?.unwrap_or(512),
            layers: f.whole("num_hidden_layers", 12, MAX_LAYERS)?,
            heads: heads(&mut f, hidden_size)?,
            max_tokens: f.extent("max_position_embeddings", 77)?,
            activation: activation(&mut f)?,
            norm_eps: f.positive("layer_norm_eps", 1e-5)?,
            eos_token: f.whole("eos_token_id", 49407, u32::MAX as usize)? as i64,
        };
        f.finish()?;
        Ok(config)
    }

    /// Where the text's meaning is pooled, for each text of `ids`,
    /// `[batch, tokens]` row by row: at its end token.
    ///
    /// Configurations older than the field's correction say 2, whatever the
    /// vocabulary; transformers then takes the first token of the highest number.
    pub fn eos_positions(&self, ids: &[i64], tokens: usize) -> Vec<i64> {
        let position = |text: &[i64]| {
            let end = match self.eos_token {
                2 => text.iter().copied().max().unwrap_or(0),
                id => id,
            };
            text.iter().position(|&id| id == end).unwrap_or(0) as i64
        };
        ids.chunks_exact(tokens.max(1)).map(position).collect()
    }
}

fn heads(f: &mut Fields, hidden_size: usize) -> Result<usize, ConfigError> {
    let divides = |value: &Value| {
        whole(value, hidden_size).filter(|&heads| heads > 0 && hidden_size.is_multiple_of(heads))
    };
    let expected = format!("a divisor of hidden_size {hidden_size}");
    f.read("num_attention_heads", 8, divides, &expected)
}

fn activation(f: &mut Fields) -> Result<Activation, ConfigError> {
    let field = "hidden_act";
    let Some(name) = f.optional_text(field)? else { return Ok(Activation::QuickGelu) };
    let row = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    let supported = || ACTIVATIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    row.map(|&(_, activation)| activation)
        .ok_or_else(|| f.unsupported(field, &name.into(), &supported()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_pooled_at_their_end() {
        let mut config = ClipTextConfig::parse("c", r#"{"eos_token_id": 2}"#).unwrap();
        let ids = [5, 2, 9, 9, 7, 8, 2, 2];
        assert_eq!(config.eos_positions(&ids, 4), [2, 1]);
        config.eos_token = 9;
        assert_eq!(config.eos_positions(&ids, 4), [2, 0]);
    }

    #[test]
    fn heads_divide_the_channels() {
        let error = ClipTextConfig::parse("c", r#"{"hidden_size": 10}"#);
        assert!(error.is_ok(), "an absent field has its default");
        let json = r#"{"hidden_size": 10, "num_attention_heads": 3}"#;
        let error = ClipTextConfig::parse("c", json).unwrap_err().to_string();
        assert_eq!(error, "c: num_attention_heads: 3 is not a divisor of hidden_size 10");
    }
}
