//! The levels of the network: down, between, and up.

use laterna_graph::op::Conv2d;
use laterna_graph::{Builder, ValueId};

use super::attention::Attention;
use super::config::{Level, Mid, Transformer, UnetConfig};
use crate::error::ModelError;
use crate::layers::{Resnet, downsample};

/// What every level reads.
pub(super) struct Blocks<'a> {
    pub(super) b: &'a mut Builder,
    pub(super) prefix: &'a str,
    pub(super) config: &'a UnetConfig,
    /// The activated embedding, `[batch, dim]`.
    pub(super) time: ValueId,
    /// `[batch, tokens, text_width]`.
    pub(super) text: ValueId,
}

type Built = Result<ValueId, ModelError>;

impl Blocks<'_> {
    /// One level on the way down; what the way up will read is pushed onto
    /// `skips`.
    pub(super) fn down(&mut self, index: usize, x: ValueId, skips: &mut Vec<ValueId>) -> Built {
        let config = self.config;
        let level = &config.levels[index];
        let path = format!("{}.down_blocks.{index}", self.prefix);
        let mut x = x;
        for layer in 0..level.layers {
            x = self.layer(&path, layer, x, level, level.down.as_ref())?;
            skips.push(x);
        }
        if index + 1 < config.levels.len() {
            let path = format!("{path}.downsamplers.0");
            x = downsample(self.b, &path, x, config.downsample_padding)?;
            skips.push(x);
        }
        Ok(x)
    }

    pub(super) fn mid(&mut self, mid: &Mid, x: ValueId) -> Built {
        let channels = self.b.shape(x)[1];
        let path = format!("{}.mid_block", self.prefix);
        let resnet = Resnet { scale: mid.scale, ..self.resnet() };
        let time = Some(self.time);
        let x = resnet.build(self.b, &format!("{path}.resnets.0"), x, channels, time)?;
        let Some(transformer) = &mid.transformer else { return Ok(x) };
        let x = self.attention(&format!("{path}.attentions.0"), x, transformer, 0)?;
        Ok(resnet.build(self.b, &format!("{path}.resnets.1"), x, channels, time)?)
    }

    /// One level on the way up, which ends with the size that the next finer
    /// level had on the way down. `index` counts from the finest level.
    pub(super) fn up(&mut self, index: usize, x: ValueId, skips: &mut Vec<ValueId>) -> Built {
        let config = self.config;
        let level = &config.levels[index];
        let path = format!("{}.up_blocks.{}", self.prefix, config.levels.len() - 1 - index);
        let mut x = x;
        for layer in 0..=level.layers {
            if let Some(skip) = skips.pop() {
                x = self.b.concat(&format!("{path}.resnets.{layer}.concat"), &[x, skip], 1)?;
            }
            x = self.layer(&path, layer, x, level, level.up.as_ref())?;
        }
        match skips.last() {
            Some(&skip) if index > 0 => self.upsample(&format!("{path}.upsamplers.0"), x, skip),
            _ => Ok(x),
        }
    }

    fn layer(
        &mut self,
        path: &str,
        layer: usize,
        x: ValueId,
        level: &Level,
        transformer: Option<&Transformer>,
    ) -> Built {
        let resnet = format!("{path}.resnets.{layer}");
        let time = Some(self.time);
        let x = self.resnet().build(self.b, &resnet, x, level.channels, time)?;
        match transformer {
            Some(t) => self.attention(&format!("{path}.attentions.{layer}"), x, t, layer),
            None => Ok(x),
        }
    }

    fn attention(&mut self, path: &str, x: ValueId, t: &Transformer, layer: usize) -> Built {
        let attention = Attention {
            config: self.config,
            text: self.text,
            heads: t.heads,
            blocks: t.blocks[layer],
            only_cross_attention: t.only_cross_attention,
        };
        Ok(attention.build(self.b, path, x)?)
    }

    /// Doubles x, then cuts it to the size of `skip`. For a side of `2 n - 1`
    /// pixels that is what nearest-neighbour interpolation to that side gives.
    fn upsample(&mut self, path: &str, x: ValueId, skip: ValueId) -> Built {
        let target = self.b.shape(skip);
        let mut y = self.b.upsample_nearest(path, x, 2)?;
        for axis in [2, 3] {
            let side = self.b.shape(y)[axis];
            match side.checked_sub(target[axis]) {
                Some(0) => {}
                Some(1) => y = self.b.slice(path, y, axis, 0, target[axis])?,
                _ => return Err(self.wrong_size(&target)),
            }
        }
        let channels = self.b.shape(y)[1];
        Ok(self.b.conv2d(&format!("{path}.conv"), y, channels, 3, Conv2d::same(1))?)
    }

    fn wrong_size(&self, level: &[usize]) -> ModelError {
        let factor = self.config.factor();
        ModelError::Size {
            network: self.prefix.to_owned(),
            height: level[2],
            width: level[3],
            reason: format!("latent sides must be multiples of {factor} for this network"),
        }
    }

    fn resnet(&self) -> Resnet {
        Resnet {
            groups: self.config.norm_groups,
            eps: self.config.norm_eps,
            activation: self.config.activation,
            scale: 1.0,
        }
    }
}
