//! The index of a sharded checkpoint: which file holds which tensor.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// The largest index accepted: a few times what the largest diffusion models
/// need, and far below what would exhaust memory.
const MAX_INDEX_BYTES: usize = 64 << 20;

/// A parsed `*.safetensors.index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// Why an index was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IndexError {
    /// A size beyond reason.
    #[error("{0} bytes are too many for an index (at most {MAX_INDEX_BYTES})")]
    TooLarge(usize),
    /// Not the JSON expected.
    #[error("{0}")]
    Json(String),
    /// The index maps nothing.
    #[error("weight_map is empty")]
    Empty,
    /// A shard that is not a file beside the index.
    #[error(
        "{}: shard {shard:?} is not the name of a .safetensors file in the same folder",
        tensor.escape_debug()
    )]
    ShardName {
        /// A tensor placed in that shard.
        tensor: String,
        /// The name in the index.
        shard: String,
    },
}

impl ShardIndex {
    /// Parses and checks an index.
    ///
    /// # Errors
    /// If it is not JSON of the right form, or names a shard outside its own
    /// folder.
    pub fn parse(json: &[u8]) -> Result<Self, IndexError> {
        if json.len() > MAX_INDEX_BYTES {
            return Err(IndexError::TooLarge(json.len()));
        }
        let index: Self =
            serde_json::from_slice(json).map_err(|e| IndexError::Json(e.to_string()))?;
        if index.weight_map.is_empty() {
            return Err(IndexError::Empty);
        }
        match index.weight_map.iter().find(|(_, shard)| !is_shard_name(shard)) {
            None => Ok(index),
            Some((tensor, shard)) => {
                Err(IndexError::ShardName { tensor: tensor.clone(), shard: shard.clone() })
            }
        }
    }

    /// File name by tensor name.
    pub fn weight_map(&self) -> &BTreeMap<String, String> {
        &self.weight_map
    }

    /// The shards' file names, each once, sorted.
    pub fn shards(&self) -> Vec<&str> {
        let mut shards: Vec<_> = self.weight_map.values().map(String::as_str).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}

/// Whether `name` is a plain file name: an index comes from strangers and must
/// not make us open files elsewhere. The colon is a drive's or a stream's.
fn is_shard_name(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read() {
        let json = br#"{"metadata":{"total_size":8},"weight_map":{
            "b":"m-2.safetensors","a":"m-1.safetensors","c":"m-1.safetensors"}}"#;
        let index = ShardIndex::parse(json).unwrap();
        assert_eq!(index.shards(), ["m-1.safetensors", "m-2.safetensors"]);
        assert_eq!(index.weight_map()["b"], "m-2.safetensors");
    }

    #[test]
    fn bad_indices_are_refused() {
        for (json, expected) in [
            (r#"{"weight_map":{}}"#, "weight_map is empty"),
            (r#"{"weight_map":{"a":"../m.safetensors"}}"#, "a: shard \"../m.safetensors\""),
            (r#"{"weight_map":{"a":"/m.safetensors"}}"#, "a: shard"),
            (r#"{"weight_map":{"a":"C:m.safetensors"}}"#, "a: shard"),
            (r#"{"weight_map":{"a":"m.bin"}}"#, "a: shard"),
            (r#"{"weight_map":{"a":1}}"#, "invalid type: integer `1`"),
            ("{}", "missing field `weight_map`"),
            ("", "EOF"),
        ] {
            let message = ShardIndex::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{json}: {message}");
        }
    }

    #[test]
    fn mutated_indices_never_lead_elsewhere() {
        let whole = br#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
        let mut accepted = 0;
        for at in 0..whole.len() {
            for byte in *b"/\\:.\"{},\xff\0" {
                let mut json = whole.to_vec();
                json[at] = byte;
                let Ok(index) = ShardIndex::parse(&json) else { continue };
                accepted += 1;
                let shards = index.shards();
                assert!(shards.iter().all(|s| !s.contains(['/', '\\', ':'])), "{shards:?}");
            }
        }
        assert!(accepted > 0, "no mutation left a sound index: the test reaches nothing");
    }
}
