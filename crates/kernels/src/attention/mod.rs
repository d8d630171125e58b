//! Attention of many heads in tiles with an online softmax: the matrix of queries by keys never
//! exists in memory (Dao et al., "FlashAttention", 2022; Milakov and Gimelshein, "Online normalizer
//! calculation for softmax", 2018).
//!
//! Keys and values of each head are first packed for the micro-kernel. Then every tile of queries
//! walks the keys in blocks: scores, their exponentials, and the sum of values so far, which is
//! kept in the output and rescaled when a larger score appears.

mod pack;
pub mod reference;
mod scores;
mod tile;

use crate::aligned::LINE_BYTES;
use crate::gemm::bf16::to_pairs;
use crate::gemm::micro::{Bf16Pairs, Floats, Words};
use crate::gemm::{Precision, SendPointer, check_matrix};
use crate::isa::{Isa, Simd, Variant, pick, pick_bf16, variants};
use crate::pool::{Pool, part};
use pack::{HeadLayout, pack_keys};
use tile::attend;

/// Tiles of queries in one task: they share each block of keys while it is in cache.
const TILES_PER_TASK: usize = 16;

/// Tasks for each thread, so that a thread that was held up leaves little behind.
const TASKS_PER_THREAD: usize = 8;

/// The extents of one attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Samples.
    pub batch: usize,
    /// Heads; the channels of a token are `heads * head_dim`, head by head.
    pub heads: usize,
    /// Query tokens of each sample.
    pub queries: usize,
    /// Key and value tokens of each sample.
    pub keys: usize,
    /// Channels of one head.
    pub head_dim: usize,
    /// Multiplies the scores; usually `head_dim^-0.5`.
    pub scale: f32,
    /// Query i attends only to keys 0..=i, as far as there are.
    pub causal: bool,
    /// How queries, keys, weights and values are rounded before they are multiplied: f32 or bf16.
    pub precision: Precision,
}

impl AttentionShape {
    /// How operands are rounded: heads of an odd number of channels stay in f32.
    pub(crate) fn rounding(&self) -> Precision {
        if self.head_dim.is_multiple_of(2) { self.precision } else { Precision::F32 }
    }
}

/// Tokens in memory: `[batch, tokens, heads * head_dim]` with `stride` floats from token to token,
/// so that it may be a part of a wider tensor.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// From the first token's first channel on.
    pub values: &'a [f32],
    /// Floats from one token to the next.
    pub stride: usize,
}

/// Floats of scratch memory that [`attention`] needs.
pub fn attention_scratch_len(isa: Isa, shape: &AttentionShape) -> usize {
    let heads = shape.batch * shape.heads;
    let packed = heads * HeadLayout::new(isa, shape).len();
    packed + query_words(shape) + LINE_BYTES / size_of::<f32>()
}

/// Words that queries take where they are not read as they are.
fn query_words(shape: &AttentionShape) -> usize {
    match shape.rounding() {
        Precision::F32 => 0,
        other => {
            let channels = shape.heads * shape.head_dim;
            shape.batch * shape.queries * channels / other.channels_per_word()
        }
    }
}

/// out = softmax(scale * q k^T) v for every head.
///
/// q: `[batch, queries, heads * head_dim]`; k, v: `[batch, keys, heads * head_dim]`;
/// scratch: [`attention_scratch_len`] floats of any content; out: like q, with `out_stride` floats
/// from token to token.
///
/// # Panics
/// When a slice is too short for its extents, or there are no keys.
pub fn attention(
    isa: Isa,
    pool: &Pool,
    shape: &AttentionShape,
    q: Tokens<'_>,
    k: Tokens<'_>,
    v: Tokens<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
    out_stride: usize,
) {
    let channels = shape.heads * shape.head_dim;
    let (tokens, keys) = (shape.batch * shape.queries, shape.batch * shape.keys);
    assert!(shape.keys > 0, "attention to no keys has no value");
    check_matrix("q", q.values.len(), tokens, channels, q.stride);
    check_matrix("k", k.values.len(), keys, channels, k.stride);
    check_matrix("v", v.values.len(), keys, channels, v.stride);
    check_matrix("out", out.len(), tokens, channels, out_stride);
    let needed = attention_scratch_len(isa, shape);
    assert!(scratch.len() >= needed, "scratch: {} floats of {needed}", scratch.len());
    let layout = HeadLayout::new(isa, shape);
    let start = scratch.as_ptr().align_offset(LINE_BYTES);
    let (packed, rest) = scratch[start..].split_at_mut(shape.batch * shape.heads * layout.len());
    let packed = SendPointer(packed.as_mut_ptr());
    let queries = match shape.rounding() {
        Precision::F32 => q,
        _ => {
            let extents = [shape.batch * shape.queries, channels];
            let values = to_pairs(isa, pool, extents, q.values, q.stride, rest);
            Tokens { values, stride: channels / 2 }
        }
    };
    pack_keys(isa, pool, shape, &layout, k, v, packed);
    let job = Job {
        shape,
        layout: &layout,
        queries,
        packed,
        out: SendPointer(out.as_mut_ptr()),
        out_stride,
        tiles: shape.queries.div_ceil(isa.tile_rows()),
        blocks: query_blocks(shape, isa, pool.threads()),
    };
    let task = match shape.rounding() {
        Precision::F32 => pick(TASKS, isa),
        Precision::Bf16 => pick_bf16!(isa, task_of_pairs: Entry),
        Precision::Int8 => panic!("attention has no products of int8"),
    };
    pool.run(shape.batch * shape.heads * job.blocks, &|index| task(&job, index));
}

/// Parts of a head's queries: each a task.
fn query_blocks(shape: &AttentionShape, isa: Isa, threads: usize) -> usize {
    let tiles = shape.queries.div_ceil(isa.tile_rows());
    let wanted = (threads * TASKS_PER_THREAD).div_ceil((shape.batch * shape.heads).max(1));
    tiles.div_ceil(TILES_PER_TASK).max(wanted.min(tiles))
}

/// What all tasks of one attention share.
pub(crate) struct Job<'a> {
    pub shape: &'a AttentionShape,
    pub layout: &'a HeadLayout,
    /// In words, head by head.
    pub queries: Tokens<'a>,
    /// A [`HeadLayout`] for each sample and head.
    pub packed: SendPointer,
    pub out: SendPointer,
    pub out_stride: usize,
    /// Tiles of a head's queries, and the tasks they are divided into.
    pub tiles: usize,
    pub blocks: usize,
}

type Entry = fn(&Job<'_>, usize);

static TASKS: &[Variant<Entry>] = variants!(task_of_floats: Entry);

fn task_of_floats<S: Simd>(job: &Job<'_>, index: usize) {
    task::<S, Floats>(job, index);
}

fn task_of_pairs<S: Simd>(job: &Job<'_>, index: usize) {
    task::<S, Bf16Pairs>(job, index);
}

fn task<S: Simd, W: Words>(job: &Job<'_>, index: usize) {
    let s = S::detect().expect("an entry is picked only for an available Isa");
    let (head, block) = (index / job.blocks, index % job.blocks);
    attend::<S, W>(s, job, head, part(job.tiles, job.blocks, block));
}

#[cfg(test)]
mod tests;
