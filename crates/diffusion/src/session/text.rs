//! Prompts to embeddings: one text encoder (SD 1 and 2), or two whose tokens are
//! joined channel-wise, the last giving the pooled text too (SDXL).

use std::sync::Arc;

use laterna_graph::{Backend, CompileOptions, Program, WeightSource};
use laterna_models::clip::text::{self, Output};
use laterna_models::clip::{ClipTextConfig, ClipTokenizer};
use laterna_tensor::Tensor;

use super::{PromptEmbeddings, SessionError};

/// Tokens of a prompt when no tokenizer says otherwise.
const DEFAULT_TOKENS: usize = 77;

/// One text encoder of a checkpoint.
pub struct TextPart {
    /// Prefix of its weights: `text_encoder` or `text_encoder_2`.
    pub prefix: String,
    /// Its configuration.
    pub config: ClipTextConfig,
    /// Whether its class projects the pooled text.
    pub projects: bool,
    /// Its tokenizer.
    pub tokenizer: ClipTokenizer,
}

/// The text encoders of a checkpoint, compiled.
pub struct TextEncoders {
    encoders: Vec<Encoder>,
}

struct Encoder {
    config: ClipTextConfig,
    tokenizer: ClipTokenizer,
    program: Arc<dyn Program>,
}

impl TextEncoders {
    /// Compiles the encoders.
    pub fn new(
        parts: Vec<TextPart>,
        backend: &dyn Backend,
        weights: &dyn WeightSource,
    ) -> Result<Self, SessionError> {
        let outputs = |part: &TextPart, joined: bool| match (joined, part.projects) {
            (false, _) => vec![Output::LastHiddenState],
            (true, false) => vec![Output::PenultimateHiddenState],
            (true, true) => vec![Output::PenultimateHiddenState, Output::TextEmbeds],
        };
        let joined = parts.len() > 1 || parts.iter().any(|part| part.projects);
        let compile = |part: TextPart| {
            let tokens = part.tokenizer.max_length();
            let outputs = outputs(&part, joined);
            let graph = text::graph(&part.prefix, &part.config, 1, tokens, &outputs)?;
            let program = backend.compile(&graph, weights, &CompileOptions::default())?;
            Ok(Encoder { config: part.config, tokenizer: part.tokenizer, program })
        };
        let encoders = parts.into_iter().map(compile).collect::<Result<_, SessionError>>()?;
        Ok(Self { encoders })
    }

    /// Tokens of an encoded prompt.
    pub fn tokens(&self) -> usize {
        self.encoders.first().map_or(DEFAULT_TOKENS, |e| e.tokenizer.max_length())
    }

    /// Encodes one text.
    pub fn encode(&self, text: &str) -> Result<PromptEmbeddings, SessionError> {
        let mut tokens = Vec::new();
        let mut pooled = None;
        for encoder in &self.encoders {
            let mut outputs = encoder.run(text)?.into_iter();
            tokens.extend(outputs.next());
            pooled = outputs.next().or(pooled);
        }
        match tokens.len() {
            0 => Err(SessionError::NoTextEncoder),
            1 => Ok(PromptEmbeddings { tokens: tokens.remove(0), pooled }),
            _ => Ok(PromptEmbeddings { tokens: join_channels(&tokens)?, pooled }),
        }
    }
}

impl Encoder {
    fn run(&self, text: &str) -> Result<Vec<Tensor>, SessionError> {
        let tokens = self.tokenizer.max_length();
        let ids = self.tokenizer.encode_padded(text, tokens)?;
        let eos = Tensor::from_i64([1], self.config.eos_positions(&ids, tokens))?;
        let ids = Tensor::from_i64([1, tokens], ids)?;
        let inputs = [ids.view(), eos.view()];
        let inputs = &inputs[..self.program.inputs().len()];
        let ports = self.program.outputs().iter();
        let mut outputs: Vec<_> = ports.map(|port| Tensor::zeros(port.ty.shape)).collect();
        let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
        self.program.spawn()?.run(inputs, &mut views)?;
        Ok(outputs)
    }
}

/// Tensors `[1, tokens, width]` side by side.
fn join_channels(parts: &[Tensor]) -> Result<Tensor, SessionError> {
    let tokens = parts[0].shape()[1];
    let total: usize = parts.iter().map(|part| part.shape()[2]).sum();
    let mut joined = Vec::with_capacity(tokens * total);
    for token in 0..tokens {
        for part in parts {
            let width = part.shape()[2];
            joined.extend_from_slice(&part.as_f32()?[token * width..][..width]);
        }
    }
    Ok(Tensor::from_f32([1, tokens, total], joined)?)
}
