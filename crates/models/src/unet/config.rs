//! The configuration of a UNet2DConditionModel, as diffusers writes it.

use laterna_graph::op::Activation;
use serde_json::Value;

use super::TIME_IDS;

use crate::config::{ConfigError, Fields, Fixed, extent, list, whole};

/// A UNet2DConditionModel (Rombach et al. 2022, arXiv 2112.10752).
#[derive(Clone, Debug, PartialEq)]
pub struct UnetConfig {
    /// Height and width that the network was trained for, in latent pixels.
    pub sample_size: Option<[usize; 2]>,
    /// Channels of the input; more than the latent's for edit models.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Whether the input is mapped by `2 x - 1` first.
    pub center_input_sample: bool,
    /// Levels from the finest to the coarsest.
    pub levels: Vec<Level>,
    /// Between the way down and the way up.
    pub mid: Option<Mid>,
    /// The embedding of the timestep.
    pub time: TimeEmbedding,
    /// SDXL's embedding of sizes and pooled text.
    pub text_time: Option<TextTime>,
    /// Channels of the text's tokens.
    pub text_width: usize,
    /// Activation of the residual blocks.
    pub activation: Activation,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Added to the variance in residual blocks.
    pub norm_eps: f32,
    /// Kernel of the first convolution.
    pub conv_in_kernel: usize,
    /// Kernel of the last convolution.
    pub conv_out_kernel: usize,
    /// Zeros around the input of a downsampling convolution; none means one
    /// row and column at the bottom right.
    pub downsample_padding: usize,
    /// Whether transformers project tokens rather than pictures.
    pub linear_projection: bool,
}

/// One resolution of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Channels.
    pub channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub layers: usize,
    /// Attention behind each residual block on the way down.
    pub down: Option<Transformer>,
    /// Attention behind each residual block on the way up.
    pub up: Option<Transformer>,
}

/// What stands between the way down and the way up.
#[derive(Clone, Debug, PartialEq)]
pub struct Mid {
    /// Attention, followed by a second residual block.
    pub transformer: Option<Transformer>,
    /// Every residual block's output is divided by this.
    pub scale: f32,
}

/// Attention to the picture and to the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transformer {
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks of each layer.
    pub blocks: Vec<usize>,
    /// Whether the first attention of a block looks at the text as well.
    pub only_cross_attention: bool,
}

/// The embedding of the timestep.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeEmbedding {
    /// Channels of the embedding.
    pub dim: usize,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the exponent's denominator.
    pub freq_shift: f32,
    /// After the second linear layer.
    pub post_activation: Option<Activation>,
    /// Once on the embedding, before the blocks read it.
    pub activation: Option<Activation>,
    /// Channels of a guidance embedding (latent consistency models).
    pub condition_dim: Option<usize>,
}

/// SDXL's embedding of sizes and pooled text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextTime {
    /// Sinusoidal channels of each size.
    pub time_dim: usize,
    /// Channels of the pooled text and all sizes together.
    pub input_dim: usize,
}

impl TextTime {
    /// Channels of the pooled text; `None` if the sizes leave it no room.
    pub fn pooled_width(&self) -> Option<usize> {
        self.input_dim.checked_sub(TIME_IDS * self.time_dim).filter(|&width| width > 0)
    }
}

/// Fields of which one value alone is implemented.
const FIXED: &[(&str, Fixed)] = &[
    ("attention_type", Fixed::Text("default")),
    ("class_embed_type", Fixed::Null),
    ("class_embeddings_concat", Fixed::False),
    ("cross_attention_norm", Fixed::Null),
    ("dual_cross_attention", Fixed::False),
    ("encoder_hid_dim", Fixed::Null),
    ("encoder_hid_dim_type", Fixed::Null),
    ("num_class_embeds", Fixed::Null),
    ("resnet_out_scale_factor", Fixed::One),
    ("resnet_skip_time_act", Fixed::False),
    ("resnet_time_scale_shift", Fixed::Text("default")),
    ("time_embedding_type", Fixed::Text("positional")),
];

const EMA: &str = "how training averaged the weights";

/// Fields that cannot change the result, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("addition_embed_type_num_heads", "read by the unsupported embedding `text` alone"),
    ("dropout", "training alone drops"),
    ("mid_block_only_cross_attention", "read by an unsupported mid block alone"),
    ("upcast_attention", "attention is computed in f32 anyway"),
    ("decay", EMA),
    ("inv_gamma", EMA),
    ("min_decay", EMA),
    ("optimization_step", EMA),
    ("power", EMA),
    ("update_after_step", EMA),
    ("use_ema_warmup", EMA),
];

/// Residual or transformer blocks in a row; published networks stay below 20.
const MAX_LAYERS: usize = 64;

const DOWN: [&str; 2] = ["DownBlock2D", "CrossAttnDownBlock2D"];
const UP: [&str; 2] = ["UpBlock2D", "CrossAttnUpBlock2D"];

impl UnetConfig {
    /// Reads a config.json; `file` is named in errors. Absent fields have
    /// diffusers' defaults.
    ///
    /// # Errors
    /// If a field is unknown, malformed, or has a value that is not implemented.
    pub fn parse(file: &str, json: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, json)?;
        f.fixed(FIXED)?;
        f.ignore(IGNORED);
        let (levels, mid) = levels(&mut f)?;
        let first = levels[0].channels;
        let config = Self {
            sample_size: sample_size(&mut f)?,
            in_channels: f.extent("in_channels", 4)?,
            out_channels: f.extent("out_channels", 4)?,
            center_input_sample: f.flag("center_input_sample", false)?,
            time: time_embedding(&mut f, first)?,
            text_time: text_time(&mut f)?,
            text_width: text_width(&mut f)?,
            levels,
            mid,
            activation: f.activation("act_fn", Activation::Silu)?,
            norm_groups: f.extent("norm_num_groups", 32)?,
            norm_eps: f.positive("norm_eps", 1e-5)?,
            conv_in_kernel: kernel(&mut f, "conv_in_kernel")?,
            conv_out_kernel: kernel(&mut f, "conv_out_kernel")?,
            downsample_padding: f.whole("downsample_padding", 1, 1)?,
            linear_projection: f.flag("use_linear_projection", false)?,
        };
        f.finish()?;
        Ok(config)
    }

    /// Latent sides that are a multiple of this pass every level undivided.
    pub fn factor(&self) -> usize {
        1 << (self.levels.len() - 1)
    }
}

fn sample_size(f: &mut Fields) -> Result<Option<[usize; 2]>, ConfigError> {
    let read = |value: &Value| match value {
        Value::Null => Some(None),
        Value::Array(_) => list(value, extent)?.try_into().ok().map(Some),
        value => extent(value).map(|side| Some([side, side])),
    };
    f.read("sample_size", None, read, "a whole number, a list of two, or null")
}

fn kernel(f: &mut Fields, field: &str) -> Result<usize, ConfigError> {
    let odd = |value: &Value| whole(value, 31).filter(|n| n % 2 == 1);
    f.read(field, 3, odd, "an odd number up to 31")
}

fn time_embedding(f: &mut Fields, first: usize) -> Result<TimeEmbedding, ConfigError> {
    Ok(TimeEmbedding {
        dim: f.optional_extent("time_embedding_dim")?.unwrap_or(4 * first),
        flip_sin_to_cos: f.flag("flip_sin_to_cos", true)?,
        freq_shift: f.number("freq_shift", 0.0)?,
        post_activation: f.optional_activation("timestep_post_act")?,
        activation: f.optional_activation("time_embedding_act_fn")?,
        condition_dim: f.optional_extent("time_cond_proj_dim")?,
    })
}

fn text_time(f: &mut Fields) -> Result<Option<TextTime>, ConfigError> {
    let time_dim = f.optional_extent("addition_time_embed_dim")?;
    let input_dim = f.optional_extent("projection_class_embeddings_input_dim")?;
    match f.optional_text("addition_embed_type")?.as_deref() {
        None => Ok(None),
        Some("text_time") => Ok(Some(TextTime {
            time_dim: time_dim.ok_or_else(|| f.missing("addition_time_embed_dim"))?,
            input_dim: input_dim
                .ok_or_else(|| f.missing("projection_class_embeddings_input_dim"))?,
        })),
        Some(other) => Err(f.unsupported("addition_embed_type", &other.into(), "\"text_time\"")),
    }
}

/// Channels of the text: one number, or a list of equal ones.
fn text_width(f: &mut Fields) -> Result<usize, ConfigError> {
    let read = |value: &Value| match extent(value) {
        Some(width) => Some(width),
        None => {
            let widths = list(value, extent)?;
            widths.iter().all(|width| *width == widths[0]).then_some(widths[0])
        }
    };
    f.read("cross_attention_dim", 1280, read, "a whole number or a list of equal ones")
}

fn levels(f: &mut Fields) -> Result<(Vec<Level>, Option<Mid>), ConfigError> {
    let channels = f.extents("block_out_channels", &[320, 640, 1280, 1280])?;
    let count = channels.len();
    let down = blocks(f, "down_block_types", DOWN, count, [1, 1, 1, 0])?;
    let mut up = blocks(f, "up_block_types", UP, count, [0, 1, 1, 1])?;
    up.reverse();
    let layers = f.per_level("layers_per_block", 2, count, positive, "a whole number")?;
    let only = f.per_level("only_cross_attention", false, count, Value::as_bool, "a flag")?;
    let heads = heads(f, &channels)?;
    let depths = depths(f, count)?;

    let level = |i: usize| {
        let transformer = |attends: bool, layers: usize, depth: &Depth| {
            let blocks = if attends { depth.for_layers(layers)? } else { return Some(None) };
            Some(Some(Transformer { heads: heads[i], blocks, only_cross_attention: only[i] }))
        };
        Some(Level {
            channels: channels[i],
            layers: layers[i],
            down: transformer(down[i], layers[i], &depths.down[i])?,
            up: transformer(up[i], layers[i] + 1, &depths.up[i])?,
        })
    };
    let levels: Option<Vec<_>> = (0..count).map(level).collect();
    let levels = levels.ok_or_else(|| {
        let expected = "a number for each layer of a level";
        f.wrong("transformer_layers_per_block", &depths.shown, expected)
    })?;
    let last = count - 1;
    let mid = mid(f, heads[last], depths.down[last].first())?;
    Ok((levels, mid))
}

fn positive(value: &Value) -> Option<usize> {
    whole(value, MAX_LAYERS).filter(|&n| n > 0)
}

/// Which blocks attend, from their class names `[plain, attending]`.
fn blocks(
    f: &mut Fields,
    field: &str,
    classes: [&str; 2],
    count: usize,
    default: [usize; 4],
) -> Result<Vec<bool>, ConfigError> {
    let names = f.texts(field, &default.map(|attends| classes[attends]))?;
    if names.len() != count {
        let expected = format!("a list of {count}, as block_out_channels is");
        return Err(f.wrong(field, &names.into(), &expected));
    }
    let attends = |name: &String| match classes.iter().position(|class| class == name) {
        Some(index) => Ok(index == 1),
        None => Err(f.unsupported(field, &name.as_str().into(), &classes.join(", "))),
    };
    names.iter().map(attends).collect()
}

/// Attention heads of each level. What diffusers calls `attention_head_dim`
/// is the number of heads; `num_attention_heads` has precedence over it.
fn heads(f: &mut Fields, channels: &[usize]) -> Result<Vec<usize>, ConfigError> {
    let count = channels.len();
    let mut field = "attention_head_dim";
    let mut heads = f.per_level(field, 8, count, extent, "a whole number")?;
    match f.take("num_attention_heads") {
        None | Some(Value::Null) => {}
        Some(value) => {
            field = "num_attention_heads";
            let same = extent(&value).map(|n| vec![n; count]);
            heads = same
                .or_else(|| list(&value, extent).filter(|all| all.len() == count))
                .ok_or_else(|| f.wrong(field, &value, "a whole number or one a level"))?;
        }
    }
    let too_many = heads.iter().zip(channels).find(|(heads, channels)| heads > channels);
    too_many.map_or(Ok(heads.clone()), |(&heads, channels)| {
        Err(f.wrong(field, &heads.into(), &format!("at most {channels}, the level's channels")))
    })
}

/// Transformer blocks of a level: the same for each of its layers, or one
/// number a layer.
#[derive(Clone, Debug)]
enum Depth {
    Same(usize),
    Each(Vec<usize>),
}

impl Depth {
    fn read(value: &Value) -> Option<Self> {
        let one = |value: &Value| whole(value, MAX_LAYERS);
        one(value).map(Self::Same).or_else(|| list(value, one).map(Self::Each))
    }

    fn for_layers(&self, layers: usize) -> Option<Vec<usize>> {
        match self {
            Self::Same(blocks) => Some(vec![*blocks; layers]),
            Self::Each(blocks) => (blocks.len() >= layers).then(|| blocks[..layers].to_vec()),
        }
    }

    fn first(&self) -> usize {
        match self {
            Self::Same(blocks) => *blocks,
            Self::Each(blocks) => blocks[0],
        }
    }
}

/// Depths of the levels from the finest, on the way down and on the way up.
struct Depths {
    down: Vec<Depth>,
    up: Vec<Depth>,
    /// The field as it was written, for messages.
    shown: Value,
}

fn depths(f: &mut Fields, count: usize) -> Result<Depths, ConfigError> {
    let field = "transformer_layers_per_block";
    let read = |value: &Value| match value {
        Value::Array(_) => list(value, Depth::read).filter(|all| all.len() == count),
        value => Some(vec![Depth::read(value)?; count]),
    };
    let expected = format!("a whole number or a list of {count}, one a level");
    let shown = f.take(field).unwrap_or_else(|| 1.into());
    let down = read(&shown).ok_or_else(|| f.wrong(field, &shown, &expected))?;
    let reversed =
        match f.take("reverse_transformer_layers_per_block") {
            None | Some(Value::Null) => None,
            Some(value) => Some(read(&value).ok_or_else(|| {
                f.wrong("reverse_transformer_layers_per_block", &value, &expected)
            })?),
        };
    let up = match reversed {
        Some(reversed) => reversed.into_iter().rev().collect(),
        None => down.clone(),
    };
    Ok(Depths { down, up, shown })
}

fn mid(f: &mut Fields, heads: usize, blocks: usize) -> Result<Option<Mid>, ConfigError> {
    let scale = f.positive("mid_block_scale_factor", 1.0)?;
    let field = "mid_block_type";
    let class = match f.take(field) {
        None => "UNetMidBlock2DCrossAttn".to_owned(),
        Some(Value::Null) => return Ok(None),
        Some(Value::String(class)) => class,
        Some(other) => return Err(f.wrong(field, &other, "a string or null")),
    };
    let attention = Transformer { heads, blocks: vec![blocks], only_cross_attention: false };
    match class.as_str() {
        "UNetMidBlock2DCrossAttn" => Ok(Some(Mid { transformer: Some(attention), scale })),
        "UNetMidBlock2D" => Ok(Some(Mid { transformer: None, scale })),
        _ => {
            let supported = "UNetMidBlock2DCrossAttn, UNetMidBlock2D or null";
            Err(f.unsupported(field, &class.into(), supported))
        }
    }
}
