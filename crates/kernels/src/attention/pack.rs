//! Keys and values of each head in the order of the micro-kernel.

use super::{AttentionShape, Tokens};
use crate::gemm::SendPointer;
use crate::isa::Isa;
use crate::pool::Pool;

/// Where the packed keys and values of one head lie.
///
/// Keys: panels `[head_dim, vectors * lanes]`, transposed and multiplied by the scale, so that scores
/// come out ready for the power of two. Values: panels `[keys, vectors * lanes]` of channels. The
/// last panel of each is as narrow as it can be; missing keys and channels are zero.
pub(crate) struct HeadLayout {
    pub lanes: usize,
    /// Keys, or channels, of one full panel.
    pub panel_width: usize,
    pub keys: usize,
    pub head_dim: usize,
}

impl HeadLayout {
    pub fn new(isa: Isa, shape: &AttentionShape) -> Self {
        let lanes = isa.lanes();
        let panel_width = lanes * isa.tile_vectors();
        Self { lanes, panel_width, keys: shape.keys, head_dim: shape.head_dim }
    }

    /// Floats of one head.
    pub fn len(&self) -> usize {
        self.values_start() + self.keys * self.head_dim.next_multiple_of(self.lanes)
    }

    /// Where the panel of keys from `key` on, a multiple of the panel width, starts.
    pub fn key_panel(&self, key: usize) -> usize {
        key * self.head_dim
    }

    /// Where the row of `key` starts in the panel of channels from `channel` on, a multiple of
    /// the panel width.
    pub fn value_row(&self, key: usize, channel: usize) -> usize {
        self.values_start() + self.keys * channel + key * self.value_width(channel)
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
        self.keys.next_multiple_of(self.lanes) * self.head_dim
    }
}

/// Packs keys and values of every sample and head to `packed`.
pub(crate) fn pack_keys(
    pool: &Pool,
    shape: &AttentionShape,
    layout: &HeadLayout,
    k: Tokens<'_>,
    v: Tokens<'_>,
    packed: SendPointer,
) {
    let panels = shape.keys.div_ceil(layout.panel_width);
    let heads = shape.batch * shape.heads;
    pool.run(heads * panels, &|index| {
        let (head, key) = (index / panels, index % panels * layout.panel_width);
        let source = Source { shape, layout, head, first: key };
        // SAFETY: `attention` checked that the scratch holds a layout for each head, and each
        // task writes its own panel of keys and rows of values.
        unsafe {
            let packed = packed.get().add(head * layout.len());
            source.pack_key_panel(k, packed.add(layout.key_panel(key)));
            source.pack_values(v, packed);
        }
    });
}

/// The tokens of one panel of keys.
struct Source<'a> {
    shape: &'a AttentionShape,
    layout: &'a HeadLayout,
    /// Head, counted over the batch.
    head: usize,
    /// The panel's first key.
    first: usize,
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
    unsafe fn pack_key_panel(&self, k: Tokens<'_>, out: *mut f32) {
        let (width, depth) = (self.layout.key_width(self.first), self.layout.head_dim);
        // SAFETY: the caller vouches for the panel; the scratch holds floats of any content.
        let out = unsafe { std::slice::from_raw_parts_mut(out, width * depth) };
        let scale = self.shape.scale * std::f32::consts::LOG2_E;
        for lane in 0..width {
            let column = out[lane..].iter_mut().step_by(width);
            match self.token(k, self.first + lane) {
                Some(token) => column.zip(token).for_each(|(out, &x)| *out = x * scale),
                None => column.for_each(|out| *out = 0.0),
            }
        }
    }

    /// # Safety
    /// `packed` has a head's layout writable, and no other thread uses these keys' values.
    unsafe fn pack_values(&self, v: Tokens<'_>, packed: *mut f32) {
        let HeadLayout { panel_width, head_dim, .. } = *self.layout;
        for key in self.first..self.first + panel_width {
            let Some(token) = self.token(v, key) else { return };
            for channel in (0..head_dim).step_by(panel_width) {
                let row = self.layout.value_row(key, channel);
                let width = self.layout.value_width(channel);
                // SAFETY: the caller vouches for the layout, which contains this row.
                let out = unsafe { std::slice::from_raw_parts_mut(packed.add(row), width) };
                let lanes = width.min(head_dim - channel);
                out[..lanes].copy_from_slice(&token[channel..channel + lanes]);
                out[lanes..].fill(0.0);
            }
        }
    }
}
