//! Attention: heads, tails of its tiles, masks and extreme scores.

use laterna_graph::op::Attention;
use laterna_graph::{Builder, Op, ValueId};

use super::{Case, SUM, input};

pub(super) fn cases() -> Vec<Case> {
    let mut all: Vec<_> = EXTENTS.iter().map(|e| fused(e, false)).collect();
    let square = EXTENTS.iter().filter(|e| e.queries == e.keys);
    all.extend(square.map(|e| fused(e, true)));
    all.extend([false, true].map(written_out));
    all.push(sharp());
    all
}

struct Extents {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    /// Channels of a head.
    d: usize,
}

const fn extents(batch: usize, queries: usize, keys: usize, heads: usize, d: usize) -> Extents {
    Extents { batch, queries, keys, heads, d }
}

const EXTENTS: &[Extents] = &[
    extents(1, 1, 1, 1, 5),
    extents(2, 7, 7, 2, 5),
    // A prompt's tokens, and one token.
    extents(2, 33, 77, 8, 40),
    extents(1, 64, 1, 2, 8),
    extents(1, 77, 77, 3, 64),
    // Fewer keys than queries, and more.
    extents(1, 9, 5, 2, 16),
    extents(1, 5, 9, 2, 16),
    extents(1, 130, 130, 2, 64),
    extents(1, 257, 259, 1, 40),
    extents(1, 19, 19, 1, 160),
    // The only head of an autoencoder's middle.
    extents(1, 20, 20, 1, 512),
];

fn qkv(b: &mut Builder, e: &Extents) -> [ValueId; 3] {
    let channels = e.heads * e.d;
    [("q", e.queries), ("k", e.keys), ("v", e.keys)]
        .map(|(name, tokens)| input(b, name, [e.batch, tokens, channels]))
}

fn fused(e: &Extents, causal: bool) -> Case {
    let Extents { batch, queries, keys, heads, d } = e;
    let mask = if causal { ", causal" } else { "" };
    let name = format!("attention {batch}x{queries}x{keys}, {heads} heads of {d}{mask}");
    Case::of(name, SUM, |b| {
        let qkv = qkv(b, e);
        let scale = 1.0 / (*d as f32).sqrt();
        b.node("attention", Op::Attention(Attention { heads: *heads, scale, causal }), &qkv)
    })
}

fn written_out(causal: bool) -> Case {
    let mask = if causal { ", causal" } else { "" };
    Case::of(format!("attention written out{mask}"), SUM, |b| {
        let qkv = qkv(b, &extents(2, 11, 11, 3, 8));
        b.attention("attention", qkv, 3, causal)
    })
}

/// Scores of hundreds, whose exponentials overflow unless the largest is
/// subtracted. The products' rounding is then multiplied by as much.
fn sharp() -> Case {
    Case::of("attention with large scores", 2e-4, |b| {
        let qkv = qkv(b, &extents(1, 12, 70, 2, 16));
        b.node("attention", Op::Attention(Attention { heads: 2, scale: 25.0, causal: false }), &qkv)
    })
}
