//! Layers that the UNet and the autoencoders share.

use laterna_graph::op::{Activation, Conv2d, Epilogue, Padding};
use laterna_graph::{BuildError, Builder, ValueId};

/// What all residual blocks of a network have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resnet {
    /// Groups of the normalisations.
    pub(crate) groups: usize,
    /// Added to the variance.
    pub(crate) eps: f32,
    /// After each normalisation.
    pub(crate) activation: Activation,
    /// The block's output is divided by this.
    pub(crate) scale: f32,
}

impl Resnet {
    /// `(shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))) + time)))) / scale`.
    /// x: `[batch, channels, h, w]`; time: the activated embedding `[batch, dim]`.
    pub(crate) fn build(
        &self,
        b: &mut Builder,
        path: &str,
        x: ValueId,
        out: usize,
        time: Option<ValueId>,
    ) -> Result<ValueId, BuildError> {
        let mut y = self.norm_conv(b, path, "1", x, out)?;
        if let Some(time) = time {
            let shift = b.linear(&format!("{path}.time_emb_proj"), time, out, true)?;
            let rows = b.shape(shift)[0];
            let shift = b.reshape(&format!("{path}.time_emb"), shift, [rows, out, 1, 1])?;
            y = b.add(&format!("{path}.time"), y, shift)?;
        }
        let y = self.norm_conv(b, path, "2", y, out)?;
        let shortcut = if b.shape(x)[1] == out {
            x
        } else {
            b.conv2d(&format!("{path}.conv_shortcut"), x, out, 1, Conv2d::same(0))?
        };
        let sum = b.add(&format!("{path}.residual"), shortcut, y)?;
        if self.scale == 1.0 {
            return Ok(sum);
        }
        b.affine(&format!("{path}.scale"), sum, 1.0 / self.scale, 0.0)
    }

    fn norm_conv(
        &self,
        b: &mut Builder,
        path: &str,
        index: &str,
        x: ValueId,
        out: usize,
    ) -> Result<ValueId, BuildError> {
        let norm = format!("{path}.norm{index}");
        let y = b.group_norm(&norm, x, self.groups, self.eps)?;
        let y = b.activation(&format!("{norm}.act"), y, self.activation)?;
        b.conv2d(&format!("{path}.conv{index}"), y, out, 3, Conv2d::same(1))
    }
}

/// Halves a picture: a 3x3 convolution with stride 2. Without padding, the
/// input gets one row and column of zeros at the bottom right.
pub(crate) fn downsample(
    b: &mut Builder,
    path: &str,
    x: ValueId,
    padding: usize,
) -> Result<ValueId, BuildError> {
    let zeros = match padding {
        0 => Padding { top: 0, left: 0, bottom: 1, right: 1 },
        all => Padding::all(all),
    };
    let conv = Conv2d { stride: [2, 2], padding: zeros, ..Conv2d::same(0) };
    let channels = b.shape(x)[1];
    b.conv2d(&format!("{path}.conv"), x, channels, 3, conv)
}

/// A 3x3 convolution without a bias.
pub(crate) fn conv_without_bias(stride: usize) -> Conv2d {
    Conv2d {
        stride: [stride; 2],
        padding: Padding::all(1),
        epilogue: Epilogue::with_bias(false),
        ..Conv2d::same(1)
    }
}
