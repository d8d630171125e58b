//! Convolutions, linear layers and matrix products, with every epilogue.

use laterna_graph::op::{Activation, Conv2d, Epilogue, Padding};
use laterna_graph::{BuildError, Builder, Op, ValueId};

use super::{Case, SUM, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all: Vec<_> = CONVOLUTIONS.iter().map(convolution).collect();
    all.extend(LINEARS.iter().map(|&(rows, out)| linear(rows, out)));
    all.extend(MATMULS.iter().flat_map(matmul));
    for epilogue in epilogues() {
        all.push(convolution_with(&epilogue));
        all.push(linear_with(&epilogue));
    }
    all.extend(activations().map(|epilogue| linear_with(&epilogue)));
    all
}

/// The extents of a convolution and how it walks over its input.
struct Convolution {
    what: &'static str,
    /// `[batch, channels, height, width]`
    x: [usize; 4],
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    groups: usize,
    upsample: usize,
}

/// A 1x1 convolution of one pixel; each case says how it differs.
const PLAIN: Convolution = Convolution {
    what: "one pixel",
    x: [1, 8, 1, 1],
    out: 4,
    kernel: [1, 1],
    stride: [1, 1],
    padding: Padding::all(0),
    groups: 1,
    upsample: 1,
};

/// A 3x3 convolution that keeps the size.
const SAME: Convolution = Convolution { kernel: [3, 3], padding: Padding::all(1), ..PLAIN };

/// What AutoencoderKL pads before it halves.
const BOTTOM_RIGHT: Padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };

const CONVOLUTIONS: &[Convolution] = &[
    PLAIN,
    Convolution { what: "1x1", x: [1, 16, 8, 8], out: 32, ..PLAIN },
    Convolution { what: "1x1, tails everywhere", x: [2, 33, 5, 7], out: 17, ..PLAIN },
    Convolution { what: "1x1, many channels", x: [1, 320, 3, 3], out: 80, ..PLAIN },
    Convolution { what: "1x1, stride 2", x: [2, 5, 7, 6], stride: [2, 2], ..PLAIN },
    Convolution { what: "1x1, padded", x: [1, 5, 3, 4], padding: Padding::all(1), ..PLAIN },
    Convolution { what: "3x3 of one pixel", ..SAME },
    Convolution { what: "3x3", x: [1, 16, 16, 16], out: 16, ..SAME },
    Convolution { what: "3x3, wide", x: [1, 64, 12, 20], out: 64, ..SAME },
    Convolution { what: "3x3, batch 2, tails everywhere", x: [2, 33, 9, 7], out: 17, ..SAME },
    Convolution { what: "3x3 of a picture", x: [1, 3, 13, 10], out: 64, ..SAME },
    Convolution { what: "3x3 to a picture", x: [1, 64, 13, 10], out: 3, ..SAME },
    Convolution { what: "3x3 of a latent", x: [2, 4, 8, 8], out: 40, ..SAME },
    Convolution { what: "3x3 of a column", x: [1, 4, 7, 1], ..SAME },
    Convolution { what: "3x3 of a row", x: [1, 4, 1, 9], ..SAME },
    Convolution { what: "3x3, no padding", x: [2, 6, 5, 8], padding: Padding::all(0), ..SAME },
    Convolution { what: "3x3, more padding", x: [1, 6, 5, 4], padding: Padding::all(2), ..SAME },
    Convolution { what: "3x3, stride 2, odd", x: [2, 8, 9, 7], stride: [2, 2], ..SAME },
    Convolution { what: "3x3, stride 2, even", x: [1, 24, 8, 10], out: 24, stride: [2, 2], ..SAME },
    Convolution {
        what: "3x3, stride 2, padded below and to the right",
        x: [2, 8, 6, 8],
        stride: [2, 2],
        padding: BOTTOM_RIGHT,
        ..SAME
    },
    Convolution { what: "3x3, stride 2 by 1", x: [1, 5, 8, 6], stride: [2, 1], ..SAME },
    Convolution { what: "3x3, stride 1 by 3", x: [1, 5, 8, 6], stride: [1, 3], ..SAME },
    Convolution { what: "3x3, enlarged 2", x: [2, 16, 4, 5], out: 16, upsample: 2, ..SAME },
    Convolution { what: "3x3, enlarged 4", x: [1, 5, 3, 2], upsample: 4, ..SAME },
    Convolution { what: "1x1, enlarged 2", x: [1, 5, 3, 2], upsample: 2, ..PLAIN },
    Convolution { what: "5x5", x: [1, 4, 8, 9], kernel: [5, 5], padding: Padding::all(2), ..PLAIN },
    Convolution {
        what: "1x3",
        x: [1, 6, 4, 5],
        kernel: [1, 3],
        padding: Padding { left: 1, right: 1, ..Padding::all(0) },
        ..PLAIN
    },
    Convolution { what: "4x2, no padding", x: [2, 3, 6, 5], kernel: [4, 2], ..PLAIN },
    Convolution {
        what: "8x8, stride 8",
        x: [1, 3, 16, 24],
        kernel: [8, 8],
        stride: [8, 8],
        ..PLAIN
    },
    Convolution { what: "3x3, 2 groups", x: [2, 6, 5, 5], out: 8, groups: 2, ..SAME },
    Convolution { what: "3x3, depthwise", x: [1, 19, 7, 6], out: 19, groups: 19, ..SAME },
    Convolution { what: "3x3, depthwise, two each", x: [1, 5, 4, 6], out: 10, groups: 5, ..SAME },
    Convolution { what: "1x1, 4 groups", x: [1, 16, 4, 4], out: 16, groups: 4, ..PLAIN },
];

fn convolution(c: &Convolution) -> Case {
    Case::of(format!("conv2d {}", c.what), SUM, |b| {
        let x = input(b, "x", c.x);
        let conv = Conv2d {
            stride: c.stride,
            padding: c.padding,
            groups: c.groups,
            upsample: c.upsample,
            epilogue: Epilogue::with_bias(true),
        };
        let weight = [c.out, c.x[1] / c.groups, c.kernel[0], c.kernel[1]];
        let weight = b.weight("conv.weight", weight)?;
        let bias = b.weight("conv.bias", [c.out])?;
        b.node("conv", Op::Conv2d(conv), &[x, weight, bias])
    })
}

/// Shapes of x and features of the output.
const LINEARS: &[(&[usize], usize)] = &[
    (&[4], 3),
    (&[1, 4], 3),
    (&[1, 320], 1280),
    (&[7, 33], 17),
    (&[2, 77, 64], 50),
    (&[1, 256, 40], 40),
    (&[3, 5, 1], 1),
    (&[1, 2, 3, 4], 6),
];

fn linear(x: &[usize], out: usize) -> Case {
    Case::of(format!("linear {x:?} to {out}"), SUM, |b| {
        let x = input(b, "x", x);
        b.linear("linear", x, out, true)
    })
}

/// Batch extents, m, k and n.
const MATMULS: &[(&[usize], [usize; 3])] = &[
    (&[], [1, 1, 1]),
    (&[], [5, 7, 3]),
    (&[2], [16, 16, 16]),
    (&[3], [9, 33, 17]),
    (&[2, 3], [7, 5, 77]),
];

fn matmul((batch, [m, k, n]): &(&[usize], [usize; 3])) -> [Case; 2] {
    [false, true].map(|transpose_b| {
        let shape = |last: [usize; 2]| [batch, &last[..]].concat();
        let b_shape = if transpose_b { shape([*n, *k]) } else { shape([*k, *n]) };
        let order = if transpose_b { "a b^T" } else { "a b" };
        Case::of(format!("matmul {batch:?} {m}x{k}x{n} {order}"), SUM, |g| {
            let a = input(g, "a", &shape([*m, *k])[..]);
            let b = input(g, "b", &b_shape[..]);
            g.node("matmul", Op::MatMul { transpose_b }, &[a, b])
        })
    })
}

/// Every set of parts that an epilogue can have: a gate excludes the activation
/// before the residual.
fn epilogues() -> impl Iterator<Item = Epilogue> {
    let all = (0u32..64).map(|parts| {
        let has = |part: u32| parts >> part & 1 == 1;
        Epilogue {
            bias: has(0),
            batch_bias: has(1),
            geglu: has(2),
            pre: has(3).then_some(Activation::Silu),
            residual: has(4),
            post: has(5).then_some(Activation::Relu),
        }
    });
    all.filter(|e| !e.geglu || e.pre.is_none())
}

/// Every activation but the one of [`epilogues`].
fn activations() -> impl Iterator<Item = Epilogue> {
    let others = Activation::ALL.into_iter().filter(|&a| a != Activation::Silu);
    others.map(|a| Epilogue { bias: true, pre: Some(a), ..Epilogue::default() })
}

fn describe(e: &Epilogue) -> String {
    let part = |present: bool, name: &str| present.then(|| name.to_owned());
    let parts = [
        part(e.bias, "bias"),
        part(e.batch_bias, "batch bias"),
        part(e.geglu, "geglu"),
        e.pre.map(|a| a.name().to_owned()),
        part(e.residual, "residual"),
        e.post.map(|a| format!("at last {}", a.name())),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}

const OUT: usize = 22;

fn convolution_with(epilogue: &Epilogue) -> Case {
    Case::of(format!("conv2d then {}", describe(epilogue)), SUM, |b| {
        let x = input(b, "x", [2, 5, 4, 7]);
        let weight = b.weight("conv.weight", [OUT, 5, 3, 3])?;
        let kept = kept_channels(epilogue);
        let operands = operands(b, epilogue, &[2, kept, 4, 7])?;
        let conv = Conv2d { epilogue: epilogue.clone(), ..Conv2d::same(1) };
        b.node("conv", Op::Conv2d(conv), &[&[x, weight], &operands[..]].concat())
    })
}

fn linear_with(epilogue: &Epilogue) -> Case {
    Case::of(format!("linear then {}", describe(epilogue)), SUM, |b| {
        let x = input(b, "x", [2, 9, 13]);
        let weight = b.weight("linear.weight", [OUT, 13])?;
        let operands = operands(b, epilogue, &[2, 9, kept_channels(epilogue)])?;
        b.node("linear", Op::Linear(epilogue.clone()), &[&[x, weight], &operands[..]].concat())
    })
}

fn kept_channels(epilogue: &Epilogue) -> usize {
    if epilogue.geglu { OUT / 2 } else { OUT }
}

/// y: shape of the output
fn operands(b: &mut Builder, e: &Epilogue, y: &[usize]) -> Result<Vec<ValueId>, BuildError> {
    let mut operands = Vec::new();
    if e.bias {
        operands.push(b.weight("bias", [OUT])?);
    }
    if e.batch_bias {
        operands.push(input(b, "batch_bias", [2, OUT]));
    }
    if e.residual {
        operands.push(input(b, "residual", y));
    }
    Ok(operands)
}
