//! Operations that move numbers without changing them, and outputs that no
//! operation computes.

use laterna_graph::{Layout, Op};
use laterna_tensor::Tensor;

use super::{Case, EXACT, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all: Vec<_> = CONCATS.iter().map(|&(axis, extents)| concat(axis, extents)).collect();
    all.extend(SLICES.iter().map(|&(shape, axis, start, end)| slice(shape, axis, start, end)));
    all.extend(RESHAPES.iter().map(|(from, to)| reshape(from, to)));
    all.extend(TRANSPOSES.iter().map(|(shape, axes)| transpose(shape, axes)));
    all.extend([([1, 3, 4, 5], 2), ([2, 5, 3, 2], 3), ([1, 16, 4, 4], 2)].map(upsample));
    all.extend([tokens_and_back(), relayout(), untouched_outputs(), shared_output()]);
    all
}

/// The axis of `[2, 3, 4, 5]` and its extents.
const CONCATS: &[(usize, &[usize])] =
    &[(0, &[1, 2]), (1, &[3, 1, 2]), (1, &[16, 16]), (2, &[4, 4]), (3, &[1, 6]), (1, &[4])];

fn concat(axis: usize, extents: &[usize]) -> Case {
    Case::of(format!("concat {extents:?} along axis {axis}"), EXACT, |b| {
        let inputs: Vec<_> = extents
            .iter()
            .enumerate()
            .map(|(index, &extent)| {
                let mut shape = [2, 3, 4, 5];
                shape[axis] = extent;
                input(b, &format!("x{index}"), shape)
            })
            .collect();
        b.concat("y", &inputs, axis)
    })
}

const SLICES: &[(&[usize], usize, usize, usize)] = &[
    (&[4, 3, 5, 2], 0, 1, 3),
    (&[2, 9, 3, 5], 1, 0, 4),
    (&[2, 9, 3, 5], 1, 4, 9),
    (&[2, 3, 6, 5], 2, 5, 6),
    (&[2, 3, 4, 7], 3, 2, 6),
    (&[2, 5, 24], 2, 8, 16),
    (&[2, 5, 6], 1, 0, 5),
    (&[9], 0, 3, 7),
];

fn slice(shape: &[usize], axis: usize, start: usize, end: usize) -> Case {
    Case::of(format!("slice {start}..{end} of axis {axis} of {shape:?}"), EXACT, |b| {
        let x = input(b, "x", shape);
        b.slice("y", x, axis, start, end)
    })
}

const RESHAPES: &[(&[usize], &[usize])] = &[
    (&[2, 3, 4], &[4, 6]),
    (&[2, 6], &[2, 3, 1, 2]),
    (&[2, 3, 4, 5], &[2, 12, 5]),
    (&[1], &[1, 1, 1, 1]),
];

fn reshape(from: &[usize], to: &[usize]) -> Case {
    Case::of(format!("reshape {from:?} to {to:?}"), EXACT, |b| {
        let x = input(b, "x", from);
        b.reshape("y", x, to)
    })
}

const TRANSPOSES: &[(&[usize], &[usize])] = &[
    (&[5, 7], &[1, 0]),
    (&[2, 5, 7], &[0, 2, 1]),
    (&[2, 5, 7], &[2, 0, 1]),
    (&[2, 3, 4, 5], &[0, 2, 1, 3]),
    (&[2, 3, 4, 5], &[0, 2, 3, 1]),
    (&[2, 3, 4, 5], &[0, 3, 1, 2]),
    (&[2, 3, 4, 5], &[3, 2, 1, 0]),
    (&[2, 3, 4, 5], &[0, 1, 3, 2]),
    (&[2, 3, 2, 4, 2], &[0, 1, 4, 2, 3]),
    (&[2, 2, 3, 2, 2, 3], &[0, 3, 1, 4, 2, 5]),
];

fn transpose(shape: &[usize], axes: &[usize]) -> Case {
    Case::of(format!("transpose {shape:?} by {axes:?}"), EXACT, |b| {
        let x = input(b, "x", shape);
        b.transpose("y", x, axes)
    })
}

fn upsample((shape, factor): ([usize; 4], usize)) -> Case {
    Case::of(format!("upsample_nearest {shape:?} by {factor}"), EXACT, |b| {
        let x = input(b, "x", shape);
        b.upsample_nearest("y", x, factor)
    })
}

fn tokens_and_back() -> Case {
    Case::of("picture to tokens and back", EXACT, |b| {
        let x = input(b, "x", [2, 3, 4, 5]);
        // Makes the picture channels-last where a device has it so.
        let x = b.upsample_nearest("up", x, 2)?;
        let tokens = b.to_tokens("tokens", x)?;
        let cut = b.slice("cut", tokens, 1, 0, 40)?;
        b.from_tokens("picture", cut, 4, 10)
    })
}

fn relayout() -> Case {
    Case::of("relayout there and back", EXACT, |b| {
        let x = input(b, "x", [2, 3, 4, 5]);
        let x = b.node("there", Op::Relayout { to: Layout::ChannelsLast }, &[x])?;
        b.node("back", Op::Relayout { to: Layout::RowMajor }, &[x])
    })
}

/// An input and a constant as outputs: folding and simplification make such.
fn untouched_outputs() -> Case {
    Case::new("an input and a constant returned", EXACT, |b| {
        let x = input(b, "x", [2, 3]);
        let tensor = Tensor::from_f32([2], vec![0.5, -3.0]).expect("two elements");
        let c = b.constant("c", tensor);
        Ok(vec![("x", x), ("c", c)])
    })
}

fn shared_output() -> Case {
    Case::new("one value returned twice and read", EXACT, |b| {
        let x = input(b, "x", [1, 2, 3, 4]);
        let y = b.upsample_nearest("y", x, 2)?;
        let z = b.slice("z", y, 1, 0, 1)?;
        Ok(vec![("y", y), ("z", z), ("again", y)])
    })
}
