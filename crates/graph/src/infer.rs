//! Element type and shape of each operation's output, from its inputs.

use laterna_tensor::{DType, Shape};
use thiserror::Error;

use crate::op::{Attention, Conv2d, Epilogue};
use crate::{Op, TensorType};

/// Why an operation does not fit its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{op}: {reason} (inputs: {inputs})")]
pub struct InferError {
    /// The operation's name.
    pub op: &'static str,
    /// What does not fit.
    pub reason: String,
    /// The inputs' types, for the message.
    pub inputs: String,
}

/// The type of `op`'s output for inputs of these types.
///
/// # Errors
/// If the number, element type or extents of the inputs do not fit.
pub fn infer(op: &Op, inputs: &[TensorType]) -> Result<TensorType, InferError> {
    check(op, inputs).map_err(|reason| InferError {
        op: op.name(),
        reason,
        inputs: inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    })
}

type Checked<T = TensorType> = Result<T, String>;

fn check(op: &Op, inputs: &[TensorType]) -> Checked {
    require_float_operands(op, inputs)?;
    match op {
        Op::Conv2d(conv) => conv2d(conv, inputs),
        Op::Linear(epilogue) => linear(epilogue, inputs),
        Op::MatMul { transpose_b } => matmul(*transpose_b, exactly(inputs)?),
        Op::Attention(attention) => self::attention(attention, exactly(inputs)?),
        Op::GroupNorm(norm) => group_norm(norm.groups, exactly(inputs)?),
        Op::LayerNorm { .. } => layer_norm(exactly(inputs)?),
        Op::Softmax | Op::Activation(_) | Op::Affine { .. } | Op::Clamp { .. } => {
            let [x] = exactly(inputs)?;
            Ok(x)
        }
        Op::CausalMask => causal_mask(exactly(inputs)?),
        Op::Binary(_) => binary(exactly(inputs)?),
        Op::Concat { axis } => concat(*axis, inputs),
        Op::Slice { axis, start, end } => slice(*axis, *start, *end, exactly(inputs)?),
        Op::Reshape { shape } => reshape(*shape, exactly(inputs)?),
        Op::Transpose(order) => {
            let [x] = exactly(inputs)?;
            require(order.axes().len() == x.shape.rank(), || "rank differs from the order".into())?;
            Ok(TensorType { shape: order.apply(&x.shape), ..x })
        }
        Op::UpsampleNearest { factor } => upsample(*factor, exactly(inputs)?),
        Op::Embedding => embedding(exactly(inputs)?),
        Op::SelectToken => select_token(exactly(inputs)?),
        Op::TimestepEmbedding(embedding) => {
            let [t] = exactly(inputs)?;
            let [n] = extents(&t)?;
            Ok(TensorType::f32([n, embedding.dim]))
        }
        Op::Cast { dtype } => {
            let [x] = exactly(inputs)?;
            Ok(TensorType { dtype: *dtype, ..x })
        }
        Op::Relayout { .. } => {
            let [x] = exactly(inputs)?;
            let [_, _, _, _] = extents(&x)?;
            Ok(x)
        }
    }
}

fn conv2d(conv: &Conv2d, inputs: &[TensorType]) -> Checked {
    let &[x, weight, ref operands @ ..] = inputs else {
        return Err("needs x and a weight".into());
    };
    let [batch, channels, height, width] = extents(&x)?;
    let [out, per_group, kernel_h, kernel_w] = extents(&weight)?;
    let groups_fit = conv.groups > 0 && out % conv.groups == 0;
    require(groups_fit && per_group * conv.groups == channels, || {
        format!("{channels} channels do not fit {} groups of {per_group}", conv.groups)
    })?;
    require(conv.upsample.is_power_of_two(), || {
        format!("cannot enlarge by {}, which is no power of two", conv.upsample)
    })?;
    let pad = conv.padding;
    let rows = height * conv.upsample + pad.top + pad.bottom;
    let columns = width * conv.upsample + pad.left + pad.right;
    let extent = |size: usize, kernel: usize, stride: usize| {
        require(stride > 0 && kernel > 0 && size >= kernel, || {
            format!("a kernel of {kernel} with stride {stride} does not fit {size} pixels")
        })?;
        Ok::<_, String>((size - kernel) / stride + 1)
    };
    let rows = extent(rows, kernel_h, conv.stride[0])?;
    let columns = extent(columns, kernel_w, conv.stride[1])?;
    let out = apply_epilogue(&conv.epilogue, batch, out, operands, |out| {
        Shape::from([batch, out, rows, columns])
    })?;
    Ok(TensorType::f32([batch, out, rows, columns]))
}

fn linear(epilogue: &Epilogue, inputs: &[TensorType]) -> Checked {
    let &[x, weight, ref operands @ ..] = inputs else {
        return Err("needs x and a weight".into());
    };
    let [out, features] = extents(&weight)?;
    let last = x.shape.rank().checked_sub(1).ok_or("x is a scalar")?;
    require(x.shape[last] == features, || {
        format!("{} features meet a weight for {features}", x.shape[last])
    })?;
    let batch = if last > 0 { x.shape[0] } else { 1 };
    let out = apply_epilogue(epilogue, batch, out, operands, |out| x.shape.with(last, out))?;
    Ok(TensorType::f32(x.shape.with(last, out)))
}

/// Checks the epilogue's operands; gives the channels that remain.
fn apply_epilogue(
    epilogue: &Epilogue,
    batch: usize,
    out: usize,
    operands: &[TensorType],
    shape: impl Fn(usize) -> Shape,
) -> Checked<usize> {
    require(operands.len() == epilogue.operand_count(), || {
        format!("the epilogue has {} operands, not {}", epilogue.operand_count(), operands.len())
    })?;
    require(!epilogue.geglu || out.is_multiple_of(2), || format!("cannot gate {out} channels"))?;
    require(!epilogue.geglu || epilogue.pre.is_none(), || "the gate is the activation".into())?;
    let kept = if epilogue.geglu { out / 2 } else { out };
    let mut rest = operands.iter();
    let mut expect = |present: bool, role: &str, expected: Shape| match present.then(|| rest.next())
    {
        Some(Some(found)) if found.shape != expected => {
            Err(format!("{role} is {}, not {expected}", found.shape))
        }
        _ => Ok(()),
    };
    expect(epilogue.bias, "bias", Shape::from([out]))?;
    expect(epilogue.batch_bias, "batch bias", Shape::from([batch, out]))?;
    expect(epilogue.residual, "residual", shape(kept))?;
    Ok(kept)
}

fn matmul(transpose_b: bool, [a, b]: [TensorType; 2]) -> Checked {
    let rank = a.shape.rank();
    require(rank >= 2 && b.shape.rank() == rank, || "ranks differ or are below 2".into())?;
    require(a.shape[..rank - 2] == b.shape[..rank - 2], || "batch extents differ".into())?;
    let (k, n) = if transpose_b { (rank - 1, rank - 2) } else { (rank - 2, rank - 1) };
    require(a.shape[rank - 1] == b.shape[k], || "inner extents differ".into())?;
    Ok(TensorType::f32(a.shape.with(rank - 1, b.shape[n])))
}

fn attention(op: &Attention, [q, k, v]: [TensorType; 3]) -> Checked {
    let heads = op.heads;
    let [batch, queries, channels] = extents(&q)?;
    let [k_batch, keys, k_channels] = extents(&k)?;
    require(k.shape == v.shape, || "k and v differ".into())?;
    require(batch == k_batch && channels == k_channels, || "q and k differ".into())?;
    require(heads > 0 && channels % heads == 0, || {
        format!("{channels} channels do not fit {heads} heads")
    })?;
    require(keys > 0, || "there are no keys".into())?;
    require(!op.causal || queries == keys, || {
        format!("a causal mask needs as many keys as queries, not {keys} and {queries}")
    })?;
    Ok(q)
}

fn group_norm(groups: usize, [x, gamma, beta]: [TensorType; 3]) -> Checked {
    require(x.shape.rank() >= 2, || "x needs a channel axis".into())?;
    let channels = x.shape[1];
    require(groups > 0 && channels % groups == 0, || {
        format!("{channels} channels do not fit {groups} groups")
    })?;
    require_vector(&gamma, channels)?;
    require_vector(&beta, channels)?;
    Ok(x)
}

fn layer_norm([x, gamma, beta]: [TensorType; 3]) -> Checked {
    let &channels = x.shape.last().ok_or("x is a scalar")?;
    require_vector(&gamma, channels)?;
    require_vector(&beta, channels)?;
    Ok(x)
}

fn causal_mask([x]: [TensorType; 1]) -> Checked {
    require(x.shape.rank() >= 2, || "needs queries and keys".into())?;
    Ok(x)
}

fn binary([a, b]: [TensorType; 2]) -> Checked {
    let rank = a.shape.rank().max(b.shape.rank());
    let extent = |shape: &Shape, axis: usize| {
        let missing = rank - shape.rank();
        if axis < missing { 1 } else { shape[axis - missing] }
    };
    let mut out = if a.shape.rank() == rank { a.shape } else { b.shape };
    for axis in 0..rank {
        let (m, n) = (extent(&a.shape, axis), extent(&b.shape, axis));
        require(m == n || m == 1 || n == 1, || {
            format!("{} does not broadcast with {}", a.shape, b.shape)
        })?;
        out = out.with(axis, if m == 1 { n } else { m });
    }
    Ok(TensorType { shape: out, ..a })
}

fn concat(axis: usize, inputs: &[TensorType]) -> Checked {
    let first = *inputs.first().ok_or("needs an input")?;
    require(axis < first.shape.rank(), || format!("no axis {axis}"))?;
    let mut total = 0;
    for input in inputs {
        let same_rank = input.shape.rank() == first.shape.rank();
        require(same_rank && input.shape.with(axis, 0) == first.shape.with(axis, 0), || {
            format!("{} and {} differ beside axis {axis}", first.shape, input.shape)
        })?;
        total += input.shape[axis];
    }
    Ok(TensorType { shape: first.shape.with(axis, total), ..first })
}

fn slice(axis: usize, start: usize, end: usize, [x]: [TensorType; 1]) -> Checked {
    require(axis < x.shape.rank() && start < end && end <= x.shape[axis], || {
        format!("no {start}..{end} along axis {axis}")
    })?;
    Ok(TensorType { shape: x.shape.with(axis, end - start), ..x })
}

fn reshape(shape: Shape, [x]: [TensorType; 1]) -> Checked {
    require(shape.elements() == x.shape.elements(), || format!("{shape} has other elements"))?;
    Ok(TensorType { shape, ..x })
}

fn upsample(factor: usize, [x]: [TensorType; 1]) -> Checked {
    let [batch, channels, height, width] = extents(&x)?;
    require(factor > 0, || "the factor is 0".into())?;
    Ok(TensorType { shape: Shape::from([batch, channels, height * factor, width * factor]), ..x })
}

fn embedding([indices, table]: [TensorType; 2]) -> Checked {
    let [_, channels] = extents(&table)?;
    require(indices.dtype == DType::I64, || "indices are not i64".into())?;
    let mut extents = indices.shape.to_vec();
    extents.push(channels);
    let shape = Shape::try_new(&extents).ok_or("too many dimensions")?;
    Ok(TensorType { shape, ..table })
}

fn select_token([x, index]: [TensorType; 2]) -> Checked {
    let [batch, _, channels] = extents(&x)?;
    require(index == TensorType::i64([batch]), || format!("the index is not i64 [{batch}]"))?;
    Ok(TensorType { shape: Shape::from([batch, channels]), ..x })
}

/// All operands are f32 except the indices of the operations that look up.
fn require_float_operands(op: &Op, inputs: &[TensorType]) -> Checked<()> {
    let index = match op {
        Op::Embedding => Some(0),
        Op::SelectToken => Some(1),
        Op::Cast { .. } | Op::Reshape { .. } | Op::Slice { .. } | Op::Concat { .. } => {
            return Ok(());
        }
        _ => None,
    };
    for (position, input) in inputs.iter().enumerate() {
        require(Some(position) == index || input.dtype == DType::F32, || {
            format!("input {position} is {}, not f32", input.dtype)
        })?;
    }
    Ok(())
}

fn require_vector(ty: &TensorType, channels: usize) -> Checked<()> {
    require(*ty.shape == [channels], || format!("{} is not [{channels}]", ty.shape))
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err(reason()) }
}

fn exactly<const N: usize>(inputs: &[TensorType]) -> Checked<[TensorType; N]> {
    inputs.try_into().map_err(|_| format!("needs {N} inputs, not {}", inputs.len()))
}

fn extents<const N: usize>(ty: &TensorType) -> Checked<[usize; N]> {
    (*ty.shape).try_into().map_err(|_| format!("{} does not have {N} dimensions", ty.shape))
}
