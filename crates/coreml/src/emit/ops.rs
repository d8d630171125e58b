//! MIL's operations, one method each: the operands that Core ML wants (it takes
//! no default for any) and the type of the result.
//!
//! Parameters and their types are those of coremltools' operation sets
//! iOS 15 to iOS 18.

use laterna_tensor::Shape;

use super::block::{Block, Var};
use super::error::EmitError;
use super::mil::{Constant, DataType, Literal, ValueType};

/// What a convolution does beside multiplying.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvShape {
    pub strides: [usize; 2],
    /// Top, bottom, left, right.
    pub pad: [usize; 4],
    pub groups: usize,
}

impl ConvShape {
    /// One pixel in, one pixel out.
    pub const POINTWISE: Self = Self { strides: [1, 1], pad: [0; 4], groups: 1 };
}

impl Block<'_, '_> {
    /// x `[batch, channels, h, w]`; weight and bias must be fixed.
    pub fn conv(&mut self, x: &Var, weight: &Var, bias: Option<&Var>, shape: ConvShape) -> Var {
        let ConvShape { strides, pad, groups } = shape;
        let pad_type = self.text("pad_type", "custom");
        let pad_sizes = self.ints("pad", &pad);
        let stride_sizes = self.ints("strides", &strides);
        let dilations = self.ints("dilations", &[1, 1]);
        let group_count = self.int("groups", groups as i32);
        let kernel = weight.shape();
        let extent = |axis: usize| {
            let side = x.shape()[axis + 2] + pad[2 * axis] + pad[2 * axis + 1];
            (side - kernel[axis + 2]) / strides[axis] + 1
        };
        let out = Shape::from([x.shape()[0], kernel[0], extent(0), extent(1)]);
        let mut inputs = vec![
            ("x", x),
            ("weight", weight),
            ("strides", &stride_sizes),
            ("pad_type", &pad_type),
            ("pad", &pad_sizes),
            ("dilations", &dilations),
            ("groups", &group_count),
        ];
        inputs.extend(bias.map(|bias| ("bias", bias)));
        self.op("conv", inputs, like(x, out))
    }

    /// x `[.., in]`; weight `[out, in]` and bias `[out]` must be fixed.
    pub fn linear(&mut self, x: &Var, weight: &Var, bias: &Var) -> Var {
        let shape = x.shape().with(x.rank() - 1, weight.shape()[0]);
        self.op("linear", vec![("x", x), ("weight", weight), ("bias", bias)], like(x, shape))
    }

    /// Over the last two axes; the others broadcast.
    pub fn matmul(&mut self, x: &Var, y: &Var, transpose_y: bool) -> Var {
        let transpose = [false, transpose_y].map(|value| self.bool("transpose", value));
        let columns = y.shape()[y.rank() - if transpose_y { 2 } else { 1 }];
        let shape = x.shape().with(x.rank() - 1, columns);
        let [transpose_x, transpose_y] = &transpose;
        let inputs =
            vec![("x", x), ("y", y), ("transpose_x", transpose_x), ("transpose_y", transpose_y)];
        self.op("matmul", inputs, like(x, shape))
    }

    /// `softmax(query key^T / sqrt(d) + mask) value`, each `[.., tokens, d]`.
    pub fn sdpa(&mut self, [query, key, value]: [&Var; 3], mask: Option<&Var>) -> Var {
        let mut inputs = vec![("query", query), ("key", key), ("value", value)];
        inputs.extend(mask.map(|mask| ("attn_mask", mask)));
        let shape = query.shape().with(query.rank() - 1, value.shape()[value.rank() - 1]);
        self.op("scaled_dot_product_attention", inputs, like(query, shape))
    }

    /// x `[n, c, h, w]`, y `[n, w, h, u]`; gives `[n, c, h, u]`: products without
    /// leaving the Neural Engine's layout.
    pub fn einsum(&mut self, x: &Var, y: &Var) -> Var {
        let equation = self.text("equation", "nchw,nwhu->nchu");
        let ty = like(x, x.shape().with(3, y.shape()[3]));
        let values = [x.clone(), y.clone()];
        self.op_on_tuple("einsum", &values, vec![("equation", &equation)], ty)
    }

    pub fn softmax(&mut self, x: &Var, axis: i32) -> Var {
        let axis = self.int("axis", axis);
        self.op("softmax", vec![("x", x), ("axis", &axis)], x.ty)
    }

    /// gamma and beta must be fixed.
    pub fn layer_norm(
        &mut self,
        x: &Var,
        axis: usize,
        affine: Option<[&Var; 2]>,
        eps: f32,
    ) -> Result<Var, EmitError> {
        let axes = self.ints("axes", &[axis]);
        let epsilon = self.half("epsilon", eps.max(SMALLEST_HALF))?;
        let mut inputs = vec![("x", x), ("axes", &axes), ("epsilon", &epsilon)];
        inputs.extend(
            affine.into_iter().flat_map(|[gamma, beta]| [("gamma", gamma), ("beta", beta)]),
        );
        Ok(self.op("layer_norm", inputs, x.ty))
    }

    pub fn reduce_mean(&mut self, x: &Var, axes: &[usize]) -> Var {
        self.reduce("reduce_mean", x, axes)
    }

    pub fn reduce_max(&mut self, x: &Var, axes: &[usize]) -> Var {
        self.reduce("reduce_max", x, axes)
    }

    fn reduce(&mut self, kind: &'static str, x: &Var, axes: &[usize]) -> Var {
        let shape = axes.iter().fold(x.shape(), |shape, &axis| shape.with(axis, 1));
        let (axes, keep) = (self.ints("axes", axes), self.bool("keep_dims", true));
        self.op(kind, vec![("x", x), ("axes", &axes), ("keep_dims", &keep)], like(x, shape))
    }

    /// A function of each element without further operands: `relu`, `silu`, `sin`...
    pub fn unary(&mut self, kind: &'static str, x: &Var) -> Var {
        self.op(kind, vec![("x", x)], x.ty)
    }

    /// mode: `EXACT` or `TANH_APPROXIMATION`.
    pub fn gelu(&mut self, x: &Var, mode: &str) -> Var {
        let mode = self.text("mode", mode);
        self.op("gelu", vec![("x", x), ("mode", &mode)], x.ty)
    }

    /// `1 / sqrt(x)`; x is not negative.
    pub fn rsqrt(&mut self, x: &Var) -> Result<Var, EmitError> {
        let epsilon = self.half("epsilon", SMALLEST_HALF)?;
        Ok(self.op("rsqrt", vec![("x", x), ("epsilon", &epsilon)], x.ty))
    }

    /// `add`, `sub`, `mul`, `real_div` or `maximum`, with NumPy's broadcasting.
    pub fn binary(&mut self, kind: &'static str, x: &Var, y: &Var) -> Var {
        let ty = ValueType::new(x.ty.dtype, broadcast(&x.shape(), &y.shape()));
        self.op(kind, vec![("x", x), ("y", y)], ty)
    }

    pub fn add(&mut self, x: &Var, y: &Var) -> Var {
        self.binary("add", x, y)
    }

    pub fn mul(&mut self, x: &Var, y: &Var) -> Var {
        self.binary("mul", x, y)
    }

    pub fn clip(&mut self, x: &Var, min: &Var, max: &Var) -> Var {
        self.op("clip", vec![("x", x), ("alpha", min), ("beta", max)], x.ty)
    }

    pub fn concat(&mut self, values: &[Var], axis: usize) -> Var {
        if let [only] = values {
            return only.clone();
        }
        let total = values.iter().map(|var| var.shape()[axis]).sum();
        let ty = like(&values[0], values[0].shape().with(axis, total));
        let (axis, interleave) = (self.int("axis", axis as i32), self.bool("interleave", false));
        self.op_on_tuple("concat", values, vec![("axis", &axis), ("interleave", &interleave)], ty)
    }

    /// Pieces of these sizes along an axis.
    pub fn split(&mut self, x: &Var, sizes: &[usize], axis: usize) -> Vec<Var> {
        if sizes.len() == 1 {
            return vec![x.clone()];
        }
        let types: Vec<_> = sizes.iter().map(|&size| like(x, x.shape().with(axis, size))).collect();
        let (axis, sizes) = (self.int("axis", axis as i32), self.ints("split_sizes", sizes));
        let inputs = vec![("x", x), ("split_sizes", &sizes), ("axis", &axis)];
        self.op_to_many("split", inputs, &types)
    }

    /// `start..end` of one axis.
    pub fn slice(&mut self, x: &Var, axis: usize, start: usize, end: usize) -> Var {
        let shape = x.shape();
        let begin = Shape::new(&vec![0; shape.rank()]).with(axis, start);
        let to_end: Vec<bool> =
            (0..shape.rank()).map(|a| a != axis || end == shape[axis]).collect();
        let begin = self.ints("begin", &begin);
        let end_mask = self.bools("end_mask", &to_end);
        let end_sizes = self.ints("end", &shape.with(axis, end));
        let inputs =
            vec![("x", x), ("begin", &begin), ("end", &end_sizes), ("end_mask", &end_mask)];
        self.op("slice_by_index", inputs, like(x, shape.with(axis, end - start)))
    }

    fn bools(&mut self, hint: &str, values: &[bool]) -> Var {
        let ty = ValueType::new(DataType::Bool, [values.len()]);
        self.constant(hint, Constant { ty, literal: Literal::Bools(values.to_vec()) })
    }

    pub fn reshape(&mut self, x: &Var, shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        if shape == x.shape() {
            return x.clone();
        }
        let sizes = self.ints("shape", &shape);
        self.op("reshape", vec![("x", x), ("shape", &sizes)], like(x, shape))
    }

    /// Output axis i is input axis `axes[i]`.
    pub fn transpose(&mut self, x: &Var, axes: &[usize]) -> Var {
        let extents: Vec<_> = axes.iter().map(|&axis| x.shape()[axis]).collect();
        let perm = self.ints("perm", axes);
        self.op("transpose", vec![("x", x), ("perm", &perm)], like(x, Shape::new(&extents)))
    }

    /// x `[batch, channels, h, w]`.
    pub fn upsample_nearest(&mut self, x: &Var, factor: usize) -> Var {
        let scale = self.float("scale_factor", factor as f32);
        let (height, width) = (x.shape()[2] * factor, x.shape()[3] * factor);
        let ty = like(x, x.shape().with(2, height).with(3, width));
        let inputs =
            vec![("x", x), ("scale_factor_height", &scale), ("scale_factor_width", &scale)];
        self.op("upsample_nearest_neighbor", inputs, ty)
    }

    /// Rows of `x` `[rows, channels]`: `[indices.., channels]`.
    pub fn gather_rows(&mut self, x: &Var, indices: &Var, shape: Shape) -> Var {
        let (axis, batch) = (self.int("axis", 0), self.int("batch_dims", 0));
        let validate = self.bool("validate_indices", false);
        let inputs = vec![
            ("x", x),
            ("indices", indices),
            ("axis", &axis),
            ("batch_dims", &batch),
            ("validate_indices", &validate),
        ];
        self.op("gather", inputs, like(x, shape))
    }

    pub fn cast(&mut self, x: &Var, dtype: DataType) -> Var {
        if x.ty.dtype == dtype {
            return x.clone();
        }
        let name = self.text("dtype", dtype.name());
        let ty = ValueType { dtype, ..x.ty };
        self.op("cast", vec![("x", x), ("dtype", &name)], ty)
    }

    /// The same value under another name, for an output that is no result.
    pub fn identity(&mut self, x: &Var) -> Var {
        self.unary("identity", x)
    }
}

/// The smallest positive number of half precision, where only "not zero" counts.
pub(super) const SMALLEST_HALF: f32 = 5.960_464_5e-8;

fn like(x: &Var, shape: Shape) -> ValueType {
    ValueType { shape, ..x.ty }
}

fn broadcast(a: &Shape, b: &Shape) -> Shape {
    let (long, short) = if a.rank() >= b.rank() { (a, b) } else { (b, a) };
    let missing = long.rank() - short.rank();
    (0..short.rank()).fold(*long, |shape, axis| {
        let extent = short[axis];
        if extent == 1 { shape } else { shape.with(missing + axis, extent) }
    })
}
