//! Why a configuration was refused: the file, the field and its value.

use serde_json::Value;
use thiserror::Error;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields are the file, field and value that failed")]
pub enum ConfigError {
    /// The file is not a JSON object.
    #[error("{file}: not a JSON object: {reason}")]
    Json { file: String, reason: String },
    /// A field is needed and absent.
    #[error("{file}: {field}: missing")]
    Missing { file: String, field: String },
    /// A field has another type or an impossible value.
    #[error("{file}: {field}: {value} is not {expected}")]
    Value { file: String, field: String, value: String, expected: String },
    /// A field has a value that is legal but not implemented.
    #[error("{file}: {field}: {value} is not supported, only {supported}")]
    Unsupported { file: String, field: String, value: String, supported: String },
    /// Nobody knows the field.
    #[error("{file}: {field}: unknown field (its value is {value})")]
    Unknown { file: String, field: String, value: String },
}

/// Characters of a value that a message shows.
const SHOWN: usize = 60;

/// A value as a message shows it: JSON, cut if it is long.
pub(super) fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
