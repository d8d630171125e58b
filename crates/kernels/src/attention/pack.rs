//! Keys and values of each head in the order of the micro-kernel.

use super::{AttentionShape, Tokens};
use crate::gemm::micro::{Bf16Pairs, Floats, Words};
use crate::gemm::{Precision, SendPointer};
use crate::isa::{Isa, MAX_LANES, Simd, SimdOp, Variant, pick, pick_bf16, run, variants};
use crate::pool::Pool;
use std::marker::PhantomData;

/// Where the packed keys and values of one head lie.
///
/// Keys: panels `[words of head_dim, vectors * lanes]`, transposed and multiplied by the scale, so
/// that scores come out ready for the power of two. Values: panels `[words of keys, vectors * lanes]`
/// of channels. The last panel of each is as narrow as it can be; missing keys and channels are zero.
pub(crate) struct HeadLayout {
    pub lanes: usize,
    /// Keys, or channels, of one full panel.
    pub panel_width: usize,
    pub keys: usize,
    pub head_dim: usize,
    /// Channels, or keys, in a word.
    per_word: usize,
    /// Words of a head's channels.
    pub head_words: usize,
}

impl HeadLayout {
    pub fn new(isa: Isa, shape: &AttentionShape) -> Self {
        let AttentionShape { keys, head_dim, .. } = *shape;
        let lanes = isa.lanes();
        let panel_width = lanes * isa.tile_vectors();
        let per_word = shape.rounding().channels_per_word();
        let head_words = head_dim.div_ceil(per_word);
        Self { lanes, panel_width, keys, head_dim, per_word, head_words }
    }

    /// Words of one head.
    pub fn len(&self) -> usize {
        self.values_start() + self.key_words() * self.head_dim.next_multiple_of(self.lanes)
    }

    /// Words of a channel of all keys.
    fn key_words(&self) -> usize {
        self.keys.div_ceil(self.per_word)
    }

    /// Where the panel of keys from `key` on, a multiple of the panel width, starts.
    pub fn key_panel(&self, key: usize) -> usize {
        key * self.head_words
    }

    /// Where the row of words of `key`, the first of a word, starts in the panel of channels from
    /// `channel` on, a multiple of the panel width.
    pub fn value_row(&self, key: usize, channel: usize) -> usize {
        let row = key / self.per_word * self.value_width(channel);
        self.values_start() + self.key_words() * channel + row
    }

    /// Width of the panel of channels from `channel` on: whole vectors.
    pub fn value_width(&self, channel: usize) -> usize {
        (self.head_dim - channel).next_multiple_of(self.lanes).min(self.panel_width)
    }

    /// Width of the panel of keys from `key` on: whole vectors.
    pub fn key_width(&self, key: usize) -> usize {
        (self.keys - key).next_multiple_of(self.lanes).min(self.panel_width)
    }

    fn values_start(&self) -> usize {
        self.keys.next_multiple_of(self.lanes) * self.head_words
    }
}

/// Packs keys and values of every sample and head to `packed`.
pub(crate) fn pack_keys(
    isa: Isa,
    pool: &Pool,
    shape: &AttentionShape,
    layout: &HeadLayout,
    k: Tokens<'_>,
    v: Tokens<'_>,
    packed: SendPointer,
) {
    let panels = shape.keys.div_ceil(layout.panel_width);
    let heads = shape.batch * shape.heads;
    let pack = match shape.rounding() {
        Precision::Bf16 => pick_bf16!(isa, pack_pairs: Entry),
        _ => pick(VARIANTS, isa),
    };
    pool.run(heads * panels, &|index| {
        let (head, first) = (index / panels, index % panels * layout.panel_width);
        pack(&Source { shape, layout, head, first, k, v, packed });
    });
}

type Entry = fn(&Source<'_>);

static VARIANTS: &[Variant<Entry>] = variants!(pack_floats: Entry);

fn pack_floats<S: Simd>(source: &Source<'_>) {
    run::<S, _>(Packing::<Floats> { source, words: PhantomData });
}

fn pack_pairs<S: Simd>(source: &Source<'_>) {
    run::<S, _>(Packing::<Bf16Pairs> { source, words: PhantomData });
}

/// The tokens of one panel of keys.
struct Source<'a> {
    shape: &'a AttentionShape,
    layout: &'a HeadLayout,
    /// Head, counted over the batch.
    head: usize,
    /// The panel's first key.
    first: usize,
    k: Tokens<'a>,
    v: Tokens<'a>,
    /// A layout for each head.
    packed: SendPointer,
}

struct Packing<'a, W> {
    source: &'a Source<'a>,
    words: PhantomData<W>,
}

impl<W: Words> SimdOp for Packing<'_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Source { layout, head, first, packed, .. } = *self.source;
        let packed = packed.get().wrapping_add(head * layout.len());
        // SAFETY: `attention` checked that the scratch holds a layout for each head, and each task
        // writes its own panel of keys and rows of values.
        unsafe {
            self.source.pack_key_panel::<S, W>(s, packed.wrapping_add(layout.key_panel(first)));
            self.source.pack_values::<S, W>(s, packed);
        }
    }
}

impl Source<'_> {
    /// The channels of key `key`, if there is such a key.
    fn token<'t>(&self, tokens: Tokens<'t>, key: usize) -> Option<&'t [f32]> {
        let (sample, head) = (self.head / self.shape.heads, self.head % self.shape.heads);
        let start = (sample * self.shape.keys + key) * tokens.stride + head * self.shape.head_dim;
        (key < self.shape.keys).then(|| &tokens.values[start..start + self.shape.head_dim])
    }

    /// # Safety
    /// `out` has a panel of keys writable, which no other thread uses.
    #[inline(always)]
    unsafe fn pack_key_panel<S: Simd, W: Words>(&self, s: S, out: *mut f32) {
        let HeadLayout { head_dim, head_words, .. } = *self.layout;
        let width = self.layout.key_width(self.first);
        // SAFETY: the caller vouches for the panel; the scratch holds floats of any content.
        let out = unsafe { std::slice::from_raw_parts_mut(out, width * head_words) };
        let scale = self.shape.scale * std::f32::consts::LOG2_E;
        for lane in 0..width {
            let mut column = out[lane..].iter_mut().step_by(width);
            let Some(token) = self.token(self.k, self.first + lane) else {
                column.for_each(|out| *out = 0.0);
                continue;
            };
            if W::CHANNELS == 1 {
                column.zip(token).for_each(|(out, &x)| *out = x * scale);
                continue;
            }
            for channel in (0..head_dim).step_by(S::LANES) {
                let scaled = s.mul(s.read(&token[channel..]), s.splat(scale));
                let mut words = [0.0; MAX_LANES];
                // SAFETY: a vector has no more words than lanes.
                unsafe { W::store(s, words.as_mut_ptr(), scaled) };
                let len = (S::LANES.min(head_dim - channel)).div_ceil(W::CHANNELS);
                column.by_ref().zip(&words[..len]).for_each(|(out, &word)| *out = word);
            }
        }
    }

    /// # Safety
    /// `packed` has a head's layout writable, and no other thread uses these keys' values.
    #[inline(always)]
    unsafe fn pack_values<S: Simd, W: Words>(&self, s: S, packed: *mut f32) {
        let HeadLayout { panel_width, head_dim, .. } = *self.layout;
        for key in (self.first..self.first + panel_width).step_by(W::CHANNELS) {
            let Some(token) = self.token(self.v, key) else { return };
            let second = self.token(self.v, key + 1);
            for channel in (0..head_dim).step_by(panel_width) {
                let row = self.layout.value_row(key, channel);
                let width = self.layout.value_width(channel);
                // SAFETY: the caller vouches for the layout, which contains this row.
                let out = unsafe { std::slice::from_raw_parts_mut(packed.add(row), width) };
                for (at, out) in (channel..).step_by(S::LANES).zip(out.chunks_exact_mut(S::LANES)) {
                    let first = s.read(&token[at..]);
                    let words = match (W::CHANNELS, second) {
                        (1, _) => first,
                        (_, Some(second)) => s.pack_pairs(first, s.read(&second[at..])),
                        (_, None) => s.pack_pairs(first, s.zero()),
                    };
                    s.write(out, words);
                }
            }
        }
    }
}
