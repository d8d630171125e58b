//! Names of weights: how the same weight is spelled by files of different
//! ages, as tables.

use laterna_tensor::Shape;

/// Whose names a checkpoint uses, and with that the spellings that are
/// brought to one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Names are taken as they are stored.
    AsStored,
    /// AutoencoderKL: attention named as today's diffusers does
    /// (`to_q`, `to_k`, `to_v`, `to_out.0`), with linear weights.
    AutoencoderKl,
    /// CLIPTextModel and CLIPTextModelWithProjection: with the `text_model.`
    /// prefix, without the constant `position_ids`.
    ClipText,
}

/// Old and new names of an attention's layers
/// (diffusers, `_convert_deprecated_attention_blocks`).
const ATTENTION_LAYERS: &[(&str, &str)] = &[
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
];

/// What follows the prefix in the text model's names; transformers 5 saves
/// without the prefix, earlier versions with it.
const CLIP_MODULES: &[&str] = &["embeddings.", "encoder.", "final_layer_norm."];

const CLIP_PREFIX: &str = "text_model.";

/// Saved by old versions of transformers: 0, 1, 2 ... 76, not a weight.
const CLIP_POSITION_IDS: &str = "embeddings.position_ids";

impl Keys {
    /// The name that stands for `stored`; `None` for a tensor that is no weight.
    pub(crate) fn canonical(self, stored: &str) -> Option<String> {
        match self {
            Self::AsStored => Some(stored.to_owned()),
            Self::AutoencoderKl => Some(modern_attention(stored)),
            Self::ClipText if stored.ends_with(CLIP_POSITION_IDS) => None,
            Self::ClipText if CLIP_MODULES.iter().any(|m| stored.starts_with(m)) => {
                Some(format!("{CLIP_PREFIX}{stored}"))
            }
            Self::ClipText => Some(stored.to_owned()),
        }
    }

    /// The shape in which the weight called `canonical` is read: the oldest
    /// autoencoders store the attention's linear weights as 1x1 convolutions,
    /// `[out, in, 1, 1]`.
    pub(crate) fn shape(self, canonical: &str, stored: Shape) -> Shape {
        match *stored {
            [out, input, 1, 1] if self == Self::AutoencoderKl && is_projection(canonical) => {
                Shape::from([out, input])
            }
            _ => stored,
        }
    }
}

fn in_attention(name: &str) -> bool {
    name.contains(".attentions.")
}

fn modern_attention(stored: &str) -> String {
    let row = ATTENTION_LAYERS.iter().find(|(old, _)| in_attention(stored) && stored.contains(old));
    row.map_or_else(|| stored.to_owned(), |(old, new)| stored.replace(old, new))
}

fn is_projection(canonical: &str) -> bool {
    in_attention(canonical) && ATTENTION_LAYERS.iter().any(|(_, new)| canonical.contains(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_comes_to_one_name() {
        use Keys::{AsStored, AutoencoderKl, ClipText};
        let attention = "decoder.mid_block.attentions.0";
        for (keys, stored, expected) in [
            (AutoencoderKl, format!("{attention}.query.bias"), format!("{attention}.to_q.bias")),
            (AutoencoderKl, format!("{attention}.to_k.bias"), format!("{attention}.to_k.bias")),
            (
                AutoencoderKl,
                format!("{attention}.proj_attn.weight"),
                format!("{attention}.to_out.0.weight"),
            ),
            (AutoencoderKl, "decoder.key.weight".into(), "decoder.key.weight".into()),
            (AsStored, format!("{attention}.query.bias"), format!("{attention}.query.bias")),
            (ClipText, "final_layer_norm.bias".into(), "text_model.final_layer_norm.bias".into()),
            (ClipText, "text_model.encoder.x".into(), "text_model.encoder.x".into()),
            (ClipText, "text_projection.weight".into(), "text_projection.weight".into()),
        ] {
            assert_eq!(keys.canonical(&stored), Some(expected), "{stored}");
        }
        assert_eq!(ClipText.canonical("text_model.embeddings.position_ids"), None);
    }

    #[test]
    fn only_attention_projections_change_shape() {
        let keys = Keys::AutoencoderKl;
        let stored = Shape::from([8, 8, 1, 1]);
        let projection = "encoder.mid_block.attentions.0.to_q.weight";
        assert_eq!(keys.shape(projection, stored), Shape::from([8, 8]));
        assert_eq!(keys.shape("quant_conv.weight", stored), stored);
    }
}
