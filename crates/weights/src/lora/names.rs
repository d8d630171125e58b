//! The names in LoRA files: which component, which layer, which of the
//! factors; every trainer has its own spelling, and here are the tables.
//!
//! kohya's spelling writes `_` for every `.`, which cannot be undone. So all
//! names, ours too, are compared in that flat form.

/// What a tensor of a LoRA file is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `[rank, in, ...]`.
    Down,
    /// `[out, rank, ...]`.
    Up,
    /// The scalar that the product is multiplied by, times 1 / rank.
    Alpha,
}

/// A key of a LoRA file, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// diffusers' name of the component: `unet`, `text_encoder`, ...
    pub component: &'static str,
    /// The layer's name in flat form, as the file spells it.
    pub layer: String,
    /// What the tensor is.
    pub role: Role,
}

/// Endings of keys: kohya, PEFT (a named adapter or not), diffusers before
/// PEFT, and diffusers' first attention processors.
const ROLES: &[(&str, Role)] = &[
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

/// Beginnings of keys.
const COMPONENTS: &[(&str, &str)] = &[
    ("lora_unet_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("unet.", "unet"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
];

/// Adapters that share LoRA's file format and nothing else, by a part of
/// their keys.
const OTHER_ADAPTERS: &[(&str, &str)] = &[
    (".dora_scale", "DoRA"),
    (".lora_magnitude_vector", "DoRA"),
    (".hada_", "LoHa"),
    (".lokr_", "LoKr"),
    (".lora_mid.", "Tucker-decomposed LoRA"),
    (".oft_", "OFT"),
    (".diff", "full-weight difference"),
    (".lora_B.bias", "LoRA with biases"),
];

/// The key's meaning, or the name of what it is instead.
pub(super) fn parse(key: &str) -> Result<Key, &'static str> {
    if let Some((_, what)) = OTHER_ADAPTERS.iter().find(|(part, _)| key.contains(part)) {
        return Err(what);
    }
    let key = key.strip_prefix("base_model.model.").unwrap_or(key);
    let (layer, role) = ROLES
        .iter()
        .find_map(|&(ending, role)| Some((key.strip_suffix(ending)?, role)))
        .ok_or("unknown kind of")?;
    let (component, layer) = COMPONENTS
        .iter()
        .find_map(|&(start, component)| Some((component, layer.strip_prefix(start)?)))
        // diffusers' first LoRAs were for the UNet alone and do not name it.
        .unwrap_or(("unet", layer));
    Ok(Key { component, layer: flat(&layer.replace(".processor.", ".")), role })
}

/// A name in flat form.
pub(super) fn flat(name: &str) -> String {
    name.replace('.', "_")
}

/// The flat names that the weight may have whose layer a file calls `layer`.
pub(super) fn candidates(layer: &str) -> Vec<String> {
    let mut names = vec![layer.to_owned(), format!("text_model_{layer}")];
    names.extend(from_original(layer));
    let aliases: Vec<_> = names.iter().flat_map(|name| aliases(name)).collect();
    names.extend(aliases);
    names
}

/// Ends of layer names in diffusers' first LoRAs, and what they stand for in
/// a UNet or a text encoder.
const ALIASES: &[(&str, &str)] = &[
    ("_to_out", "_to_out_0"),
    ("_to_q", "_q_proj"),
    ("_to_k", "_k_proj"),
    ("_to_v", "_v_proj"),
    ("_to_out", "_out_proj"),
];

fn aliases(layer: &str) -> impl Iterator<Item = String> {
    ALIASES.iter().filter_map(move |(end, other)| {
        layer.strip_suffix(end).map(|start| format!("{start}{other}"))
    })
}

/// Layers outside the blocks: the original code base's names and diffusers'.
const ORIGINAL_LAYERS: &[(&str, &str)] = &[
    ("input_blocks_0_0", "conv_in"),
    ("out_2", "conv_out"),
    ("time_embed_0", "time_embedding_linear_1"),
    ("time_embed_2", "time_embedding_linear_2"),
    ("label_emb_0_0", "add_embedding_linear_1"),
    ("label_emb_0_2", "add_embedding_linear_2"),
];

/// Layers of a residual block, likewise.
const ORIGINAL_RESNET: &[(&str, &str)] = &[
    ("in_layers_2", "conv1"),
    ("out_layers_3", "conv2"),
    ("emb_layers_1", "time_emb_proj"),
    ("skip_connection", "conv_shortcut"),
];

/// Modules of the original UNet's block lists per diffusers block: two layers
/// and a resampler going down, three layers going up.
const MODULES_PER_BLOCK: usize = 3;

/// diffusers' name of a layer that goes by its name in the original UNet
/// (`input_blocks_4_1_...`), as kohya's files for SDXL do.
fn from_original(layer: &str) -> Option<String> {
    if let Some((_, name)) = ORIGINAL_LAYERS.iter().find(|(original, _)| *original == layer) {
        return Some((*name).to_owned());
    }
    if let Some(rest) = layer.strip_prefix("input_blocks_") {
        let (module, rest) = number(rest)?;
        let module = module.checked_sub(1)?;
        return in_block("down_blocks", module, rest);
    }
    if let Some(rest) = layer.strip_prefix("output_blocks_") {
        let (module, rest) = number(rest)?;
        return in_block("up_blocks", module, rest);
    }
    let (part, rest) = number(layer.strip_prefix("middle_block_")?)?;
    match part {
        0 | 2 => Some(format!("mid_block_resnets_{}_{}", part / 2, in_resnet(rest)?)),
        1 => Some(format!("mid_block_attentions_0_{rest}")),
        _ => None,
    }
}

fn in_block(blocks: &str, module: usize, rest: &str) -> Option<String> {
    let (block, layer) = (module / MODULES_PER_BLOCK, module % MODULES_PER_BLOCK);
    match number(rest)? {
        (0, "op") => Some(format!("{blocks}_{block}_downsamplers_0_conv")),
        (1 | 2, "conv") => Some(format!("{blocks}_{block}_upsamplers_0_conv")),
        (0, rest) => Some(format!("{blocks}_{block}_resnets_{layer}_{}", in_resnet(rest)?)),
        (1, rest) => Some(format!("{blocks}_{block}_attentions_{layer}_{rest}")),
        _ => None,
    }
}

fn in_resnet(original: &str) -> Option<&'static str> {
    ORIGINAL_RESNET.iter().find(|(name, _)| *name == original).map(|(_, name)| *name)
}

/// The number that `text` begins with and what follows its underscore.
fn number(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.split_once('_')?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_understood() {
        use Role::{Alpha, Down, Up};
        let unet = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
        let text = "text_model_encoder_layers_0_self_attn_q_proj";
        let dots = "down_blocks.0.attentions.0.transformer_blocks.0.attn1";
        for (key, component, layer, role) in [
            (format!("lora_unet_{unet}.lora_down.weight"), "unet", unet, Down),
            (format!("lora_unet_{unet}.alpha"), "unet", unet, Alpha),
            (format!("lora_te_{text}.lora_up.weight"), "text_encoder", text, Up),
            (format!("lora_te2_{text}.lora_up.weight"), "text_encoder_2", text, Up),
            (format!("unet.{dots}.to_q.lora_A.weight"), "unet", unet, Down),
            (format!("unet.{dots}.to_q.lora.up.weight"), "unet", unet, Up),
            (format!("{dots}.processor.to_q_lora.down.weight"), "unet", unet, Down),
            (format!("base_model.model.{dots}.to_q.lora_B.default.weight"), "unet", unet, Up),
            (
                "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight"
                    .into(),
                "text_encoder",
                text,
                Up,
            ),
        ] {
            let expected = Key { component, layer: layer.to_owned(), role };
            assert_eq!(parse(&key), Ok(expected), "{key}");
        }
    }

    #[test]
    fn other_adapters_are_called_by_their_names() {
        for (key, what) in [
            ("lora_unet_x.dora_scale", "DoRA"),
            ("unet.x.lora_magnitude_vector", "DoRA"),
            ("lora_unet_x.hada_w1_a", "LoHa"),
            ("lora_unet_x.lokr_w1", "LoKr"),
            ("lora_unet_x.lora_mid.weight", "Tucker-decomposed LoRA"),
            ("lora_unet_x.diff_b", "full-weight difference"),
            ("unet.x.weight", "unknown kind of"),
        ] {
            assert_eq!(parse(key), Err(what), "{key}");
        }
    }

    #[test]
    fn original_names_become_those_of_diffusers() {
        for (original, expected) in [
            ("input_blocks_0_0", "conv_in"),
            ("input_blocks_1_0_in_layers_2", "down_blocks_0_resnets_0_conv1"),
            ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
            ("input_blocks_8_1_proj_in", "down_blocks_2_attentions_1_proj_in"),
            ("middle_block_1_proj_out", "mid_block_attentions_0_proj_out"),
            ("middle_block_2_out_layers_3", "mid_block_resnets_1_conv2"),
            ("output_blocks_5_1_norm", "up_blocks_1_attentions_2_norm"),
            ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
            ("output_blocks_4_0_emb_layers_1", "up_blocks_1_resnets_1_time_emb_proj"),
            ("label_emb_0_2", "add_embedding_linear_2"),
        ] {
            assert_eq!(from_original(original).as_deref(), Some(expected), "{original}");
        }
        assert_eq!(from_original("down_blocks_0_resnets_0_conv1"), None);
    }
}
