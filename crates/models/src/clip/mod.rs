//! CLIP's text side (Radford et al. 2021, arXiv 2103.00020): the tokenizer and
//! the text model.

mod config;
pub mod text;
mod tokenizer;

pub use config::ClipTextConfig;
pub use tokenizer::{ClipTokenizer, TokenizerError, TokenizerFiles};
