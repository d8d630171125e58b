//! Transformers on feature maps: attention to the picture, then to the text.

use laterna_graph::op::Conv2d;
use laterna_graph::{BuildError, Builder, ValueId};

use super::UnetConfig;

/// Added to the variance of the group normalisation before a transformer,
/// whatever the configuration says for the rest (diffusers).
const GROUP_NORM_EPS: f32 = 1e-6;

/// The same for the layer normalisations inside.
const LAYER_NORM_EPS: f32 = 1e-5;

/// Width of the feed-forward layers in widths of the transformer.
const FEED_FORWARD: usize = 4;

/// One transformer of the network.
pub(super) struct Attention<'a> {
    pub(super) config: &'a UnetConfig,
    /// `[batch, tokens, text_width]`.
    pub(super) text: ValueId,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    pub(super) only_cross_attention: bool,
}

type Built = Result<ValueId, BuildError>;

impl Attention<'_> {
    /// `x + proj_out(blocks(proj_in(norm(x))))`, the blocks working on pixels
    /// as tokens. x: `[batch, channels, h, w]`.
    pub(super) fn build(&self, b: &mut Builder, path: &str, x: ValueId) -> Built {
        let shape = b.shape(x);
        let (channels, height, width) = (shape[1], shape[2], shape[3]);
        // Channels that no head takes are dropped: 20 channels make 8 heads of 2.
        let inner = self.heads * (channels / self.heads);
        let groups = self.config.norm_groups;
        let y = b.group_norm(&format!("{path}.norm"), x, groups, GROUP_NORM_EPS)?;
        let mut y = self.project_in(b, path, y, inner)?;
        for index in 0..self.blocks {
            y = self.block(b, &format!("{path}.transformer_blocks.{index}"), y)?;
        }
        let y = self.project_out(b, path, y, [channels, height, width])?;
        b.add(&format!("{path}.residual"), y, x)
    }

    fn project_in(&self, b: &mut Builder, path: &str, x: ValueId, inner: usize) -> Built {
        let proj = format!("{path}.proj_in");
        if self.config.linear_projection {
            let tokens = b.to_tokens(&format!("{path}.tokens"), x)?;
            return b.linear(&proj, tokens, inner, true);
        }
        let y = b.conv2d(&proj, x, inner, 1, Conv2d::same(0))?;
        b.to_tokens(&format!("{path}.tokens"), y)
    }

    fn project_out(
        &self,
        b: &mut Builder,
        path: &str,
        x: ValueId,
        [channels, height, width]: [usize; 3],
    ) -> Built {
        let proj = format!("{path}.proj_out");
        let picture = format!("{path}.picture");
        if self.config.linear_projection {
            let tokens = b.linear(&proj, x, channels, true)?;
            return b.from_tokens(&picture, tokens, height, width);
        }
        let y = b.from_tokens(&picture, x, height, width)?;
        b.conv2d(&proj, y, channels, 1, Conv2d::same(0))
    }

    /// x: `[batch, h * w, inner]`.
    fn block(&self, b: &mut Builder, path: &str, x: ValueId) -> Built {
        let normed = b.layer_norm(&format!("{path}.norm1"), x, LAYER_NORM_EPS)?;
        let first = if self.only_cross_attention { self.text } else { normed };
        let y = self.attend(b, &format!("{path}.attn1"), normed, first)?;
        let x = b.add(&format!("{path}.attn1.residual"), y, x)?;

        let normed = b.layer_norm(&format!("{path}.norm2"), x, LAYER_NORM_EPS)?;
        let y = self.attend(b, &format!("{path}.attn2"), normed, self.text)?;
        let x = b.add(&format!("{path}.attn2.residual"), y, x)?;

        let normed = b.layer_norm(&format!("{path}.norm3"), x, LAYER_NORM_EPS)?;
        let y = feed_forward(b, &format!("{path}.ff"), normed)?;
        b.add(&format!("{path}.ff.residual"), y, x)
    }

    fn attend(&self, b: &mut Builder, path: &str, x: ValueId, source: ValueId) -> Built {
        let inner = b.shape(x)[2];
        let q = b.linear(&format!("{path}.to_q"), x, inner, false)?;
        let k = b.linear(&format!("{path}.to_k"), source, inner, false)?;
        let v = b.linear(&format!("{path}.to_v"), source, inner, false)?;
        let y = b.attention(path, [q, k, v], self.heads, false)?;
        b.linear(&format!("{path}.to_out.0"), y, inner, true)
    }
}

fn feed_forward(b: &mut Builder, path: &str, x: ValueId) -> Built {
    let inner = b.shape(x)[2];
    let y = b.linear(&format!("{path}.net.0.proj"), x, 2 * FEED_FORWARD * inner, true)?;
    let y = b.geglu(&format!("{path}.net.0"), y)?;
    b.linear(&format!("{path}.net.2"), y, inner, true)
}
