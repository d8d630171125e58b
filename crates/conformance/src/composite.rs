//! Blocks of the networks that this engine runs, as their builders write them:
//! what the fusions are for.

use laterna_graph::op::{Activation, Binary, Conv2d, Epilogue, Padding, TimestepEmbedding};
use laterna_graph::{BuildError, Builder, Op, Rate, TensorType, ValueId};
use laterna_tensor::Tensor;

use crate::cases::{COMPOSITE, Case, SUM, input};

type Built = Result<ValueId, BuildError>;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::of("resnet block, varying timestep", COMPOSITE, |b| resnet(b, varying_timestep)),
        Case::of("resnet block, fixed timestep", COMPOSITE, |b| resnet(b, fixed_timestep)),
        Case::of("transformer block", COMPOSITE, |b| transformer(b, false)),
        Case::of("transformer block, linear projections", COMPOSITE, |b| transformer(b, true)),
        Case::of("CLIP layer", COMPOSITE, clip_layer),
        Case::of("tiny autoencoder", COMPOSITE, tiny_autoencoder),
        Case::of("autoencoder's middle attention", COMPOSITE, middle_attention),
        Case::of("conv after enlarging by 3", SUM, enlarged_by_three),
        Case::of("gated layer, activated", COMPOSITE, activated_gate),
        Case::of("down, up and skip", COMPOSITE, down_up_skip),
        Case::of("noise, guidance and prediction", COMPOSITE, step),
        Case::new("conv read by three", SUM, conv_read_by_three),
    ]
}

fn varying_timestep(b: &mut Builder) -> Built {
    let t = input(b, "t", [2]);
    b.affine("t", t, 5.0, 10.0)
}

fn fixed_timestep(b: &mut Builder) -> Built {
    let t = Tensor::from_f32([2], vec![999.0; 2]).expect("two elements");
    Ok(b.constant("t", t))
}

/// With a shortcut of its own, because the channels change.
fn resnet(b: &mut Builder, timestep: impl FnOnce(&mut Builder) -> Built) -> Built {
    let t = timestep(b)?;
    let embedding =
        TimestepEmbedding { dim: 16, flip_sin_to_cos: true, freq_shift: 0.0, max_period: 10_000.0 };
    let t = b.timestep_embedding("time.sines", t, embedding)?;
    let t = b.linear("time.linear_1", t, 24, true)?;
    let t = b.activation("time.act", t, Activation::Silu)?;
    let t = b.linear("time.linear_2", t, 24, true)?;
    let t = b.activation("time.nonlinearity", t, Activation::Silu)?;
    let t = b.linear("time.proj", t, 18, true)?;
    let t = b.reshape("time.channels", t, [2, 18, 1, 1])?;

    let x = input(b, "x", [2, 12, 9, 6]);
    let h = b.group_norm("norm1", x, 4, 1e-5)?;
    let h = b.activation("silu1", h, Activation::Silu)?;
    let h = b.conv2d("conv1", h, 18, 3, Conv2d::same(1))?;
    let h = b.add("time.add", h, t)?;
    let h = b.group_norm("norm2", h, 6, 1e-5)?;
    let h = b.activation("silu2", h, Activation::Silu)?;
    let h = b.conv2d("conv2", h, 18, 3, Conv2d::same(1))?;
    let shortcut = b.conv2d("shortcut", x, 18, 1, Conv2d::same(0))?;
    let y = b.add("add", shortcut, h)?;
    b.affine("output_scale", y, 1.0, 0.0)
}

fn attend(b: &mut Builder, path: &str, x: ValueId, context: ValueId) -> Built {
    let channels = b.shape(x)[2];
    let norm = b.layer_norm(&format!("{path}.norm"), x, 1e-5)?;
    let context = if context == x { norm } else { context };
    let q = b.linear(&format!("{path}.q"), norm, channels, false)?;
    let k = b.linear(&format!("{path}.k"), context, channels, false)?;
    let v = b.linear(&format!("{path}.v"), context, channels, false)?;
    let y = b.attention(path, [q, k, v], 2, false)?;
    let y = b.linear(&format!("{path}.out"), y, channels, true)?;
    b.add(path, y, x)
}

fn transformer(b: &mut Builder, linear_projections: bool) -> Built {
    let x = input(b, "x", [2, 16, 5, 3]);
    let text = b.input("text", Rate::Prompt, TensorType::f32([2, 7, 10]));
    let h = b.group_norm("norm", x, 4, 1e-6)?;
    let mut tokens = if linear_projections {
        let h = b.to_tokens("tokens", h)?;
        b.linear("proj_in", h, 16, true)?
    } else {
        let h = b.conv2d("proj_in", h, 16, 1, Conv2d::same(0))?;
        b.to_tokens("tokens", h)?
    };
    tokens = attend(b, "attn1", tokens, tokens)?;
    tokens = attend(b, "attn2", tokens, text)?;
    let h = b.layer_norm("norm3", tokens, 1e-5)?;
    let h = b.linear("ff.proj", h, 128, true)?;
    let h = b.geglu("ff.geglu", h)?;
    let h = b.linear("ff.out", h, 16, true)?;
    tokens = b.add("ff.add", h, tokens)?;
    let y = if linear_projections {
        let tokens = b.linear("proj_out", tokens, 16, true)?;
        b.from_tokens("picture", tokens, 5, 3)?
    } else {
        let h = b.from_tokens("picture", tokens, 5, 3)?;
        b.conv2d("proj_out", h, 16, 1, Conv2d::same(0))?
    };
    b.add("add", y, x)
}

fn clip_layer(b: &mut Builder) -> Built {
    let ids = b.input("ids", Rate::Prompt, TensorType::i64([2, 11]));
    let index = b.input("eos", Rate::Prompt, TensorType::i64([2]));
    let table = b.weight("tokens", [29, 24])?;
    let positions = b.weight("positions", [11, 24])?;
    let x = b.node("embed", Op::Embedding, &[ids, table])?;
    let x = b.add("position", x, positions)?;
    let h = b.layer_norm("norm1", x, 1e-5)?;
    let [q, k, v] = ["q", "k", "v"].map(|path| b.linear(path, h, 24, true));
    let h = b.attention("attn", [q?, k?, v?], 3, true)?;
    let h = b.linear("out", h, 24, true)?;
    let x = b.add("add1", x, h)?;
    let h = b.layer_norm("norm2", x, 1e-5)?;
    let h = b.linear("fc1", h, 96, true)?;
    let h = b.activation("act", h, Activation::QuickGelu)?;
    let h = b.linear("fc2", h, 24, true)?;
    let x = b.add("add2", x, h)?;
    b.node("pooled", Op::SelectToken, &[x, index])
}

/// conv, relu, conv, relu, conv, plus the input, relu.
fn tiny_block(b: &mut Builder, path: &str, x: ValueId) -> Built {
    let mut h = x;
    for conv in 0..3 {
        h = b.conv2d(&format!("{path}.conv{conv}"), h, 12, 3, Conv2d::same(1))?;
        if conv < 2 {
            h = b.activation(&format!("{path}.relu{conv}"), h, Activation::Relu)?;
        }
    }
    let y = b.add(&format!("{path}.add"), h, x)?;
    b.activation(&format!("{path}.fuse"), y, Activation::Relu)
}

/// AutoencoderTiny's encoder and decoder with one block each: the picture's
/// normalisation, the latent's soft clamp, and back.
fn tiny_autoencoder(b: &mut Builder) -> Built {
    let no_bias = |conv: Conv2d| Conv2d { epilogue: Epilogue::default(), ..conv };
    let picture = input(b, "picture", [1, 3, 10, 14]);
    let x = b.affine("to_0_1", picture, 0.5, 0.5)?;
    let x = b.conv2d("encoder.in", x, 12, 3, Conv2d::same(1))?;
    let x = tiny_block(b, "encoder", x)?;
    let half = no_bias(Conv2d { stride: [2, 2], ..Conv2d::same(1) });
    let x = b.conv2d("encoder.down", x, 12, 3, half)?;
    let latent = b.conv2d("encoder.out", x, 4, 3, Conv2d::same(1))?;
    let x = b.affine("third", latent, 1.0 / 3.0, 0.0)?;
    let x = b.activation("tanh", x, Activation::Tanh)?;
    let x = b.affine("thrice", x, 3.0, 0.0)?;
    let x = b.conv2d("decoder.in", x, 12, 3, Conv2d::same(1))?;
    let x = b.activation("decoder.relu", x, Activation::Relu)?;
    let x = tiny_block(b, "decoder", x)?;
    let x = b.upsample_nearest("decoder.up", x, 2)?;
    let x = b.conv2d("decoder.conv", x, 12, 3, no_bias(Conv2d::same(1)))?;
    let x = b.conv2d("decoder.out", x, 3, 3, Conv2d::same(1))?;
    let x = b.affine("from_0_1", x, 2.0, -1.0)?;
    b.node("clamp", Op::Clamp { min: -1.0, max: 1.0 }, &[x])
}

fn middle_attention(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 16, 6, 5]);
    let h = b.group_norm("norm", x, 4, 1e-6)?;
    let h = b.to_tokens("tokens", h)?;
    let [q, k, v] = ["q", "k", "v"].map(|path| b.linear(path, h, 16, true));
    let h = b.attention("attn", [q?, k?, v?], 1, false)?;
    let h = b.linear("out", h, 16, true)?;
    let h = b.from_tokens("picture", h, 6, 5)?;
    b.add("add", h, x)
}

/// A factor that a convolution cannot take in.
fn enlarged_by_three(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 5, 3, 2]);
    let x = b.upsample_nearest("up", x, 3)?;
    b.conv2d("conv", x, 4, 3, Conv2d::same(1))
}

/// A gate leaves no place for an activation but the last.
fn activated_gate(b: &mut Builder) -> Built {
    let x = input(b, "x", [2, 5, 6]);
    let y = b.linear("linear", x, 12, true)?;
    let y = b.geglu("geglu", y)?;
    b.activation("tanh", y, Activation::Tanh)
}

fn down_up_skip(b: &mut Builder) -> Built {
    let padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    let down = Conv2d { stride: [2, 2], padding, ..Conv2d::same(0) };
    let x = input(b, "x", [1, 6, 8, 12]);
    let low = b.conv2d("down", x, 10, 3, down)?;
    let up = b.upsample_nearest("up", low, 2)?;
    let up = b.conv2d("up.conv", up, 10, 3, Conv2d::same(1))?;
    let joined = b.concat("skip", &[up, x], 1)?;
    let y = b.group_norm("norm", joined, 4, 1e-5)?;
    let y = b.activation("silu", y, Activation::Silu)?;
    b.conv2d("out", y, 4, 3, Conv2d::same(1))
}

/// `z = a x0 + b noise`, two predictions from one network with batch 2, guided,
/// and the sample recovered.
fn step(b: &mut Builder) -> Built {
    let picture = input(b, "picture", [1, 3, 8, 8]);
    let noise = input(b, "noise", [1, 4, 4, 4]);
    let half = Conv2d { stride: [2, 2], ..Conv2d::same(1) };
    let x0 = b.conv2d("encode", picture, 4, 3, half)?;
    let x0 = b.affine("signal", x0, 0.8, 0.0)?;
    let noise = b.affine("noise", noise, 0.6, 0.0)?;
    let z = b.add("z", x0, noise)?;
    let both = b.concat("both", &[z, z], 0)?;
    let eps = b.conv2d("predict", both, 4, 3, Conv2d::same(1))?;
    let without = b.slice("without", eps, 0, 0, 1)?;
    let with = b.slice("with", eps, 0, 1, 2)?;
    let difference = b.node("difference", Op::Binary(Binary::Sub), &[with, without])?;
    let difference = b.affine("guidance", difference, 7.5, 0.0)?;
    let eps = b.add("guided", without, difference)?;
    let eps = b.affine("eps", eps, -0.75, 0.0)?;
    let z = b.affine("z.scale", z, 1.25, 0.0)?;
    let x0 = b.add("x0", z, eps)?;
    let up = b.upsample_nearest("up", x0, 2)?;
    b.conv2d("decode", up, 3, 3, Conv2d::same(1))
}

/// No fusion may take a value away from its other readers.
fn conv_read_by_three(b: &mut Builder) -> Result<Vec<(&'static str, ValueId)>, BuildError> {
    let x = input(b, "x", [1, 4, 5, 5]);
    let conv = b.conv2d("conv", x, 4, 3, Conv2d::same(1))?;
    let silu = b.activation("silu", conv, Activation::Silu)?;
    let sum = b.add("add", conv, x)?;
    Ok(vec![("conv", conv), ("silu", silu), ("sum", sum)])
}
