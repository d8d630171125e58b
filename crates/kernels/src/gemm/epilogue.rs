//! What happens to a finished tile of sums before it is stored: biases, activations, a residual.

use crate::isa::{MAX_LANES, MAX_TILE_ROWS, MAX_TILE_VECTORS, Simd, SimdOp};
use crate::math::{Activation, gelu};
use std::mem::MaybeUninit;

/// The operations fused into a product, in the order in which they are applied:
/// `out = post(pre(sum + bias + batch_bias) + residual)`.
///
/// With gated weights `pre` is replaced by the gate: `value * gelu(gate)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `[outputs]`
    pub bias: Option<&'a [f32]>,
    /// `[batch, outputs]`, for a bias that depends on the sample, such as a time embedding.
    pub batch_bias: Option<BatchBias<'a>>,
    /// Applied before the residual is added.
    pub pre: Activation,
    /// Added after `pre`; must not overlap the output.
    pub residual: Option<Residual<'a>>,
    /// Applied last.
    pub post: Activation,
}

/// A bias for each sample of the batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchBias<'a> {
    /// `[batch, outputs]`
    pub values: &'a [f32],
    /// Rows of the product (pixels, tokens) that belong to one sample.
    pub rows: usize,
}

/// A tensor that is added to the product.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// `[rows, columns]` with `stride` floats from row to row.
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

impl<'a> Epilogue<'a> {
    /// Only a bias: `[outputs]`.
    pub fn bias(bias: &'a [f32]) -> Self {
        Self { bias: Some(bias), ..Self::default() }
    }

    /// Whether it adds the same bias to every row and perhaps a residual, and no more.
    pub(crate) fn only_adds(&self) -> bool {
        let is_linear = [self.pre, self.post].iter().all(|&f| f == Activation::Identity);
        is_linear && self.batch_bias.is_none()
    }

    /// Panics when a slice is too short for `[rows, columns]` results of `outputs` outputs.
    pub(crate) fn check(&self, rows: usize, columns: usize, outputs: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), outputs, "bias is [outputs]");
        }
        if let Some(bias) = self.batch_bias {
            let batch = rows.div_ceil(bias.rows);
            assert!(bias.values.len() >= batch * outputs, "batch_bias is [batch, outputs]");
        }
        if let Some(residual) = self.residual {
            super::check_matrix("residual", residual.values.len(), rows, columns, residual.stride);
        }
    }
}

/// Sums of one tile: `[rows, vectors * LANES]`, on the stack and on a cache line. The micro-kernel
/// writes the rows before anything reads them.
#[repr(align(64))]
pub(crate) struct TileBuffer(MaybeUninit<[f32; MAX_TILE_ROWS * MAX_TILE_VECTORS * MAX_LANES]>);

impl TileBuffer {
    pub fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// For sums that are written one by one.
    pub fn zeroed() -> Self {
        Self(MaybeUninit::zeroed())
    }

    /// Writes float `i` of the first row.
    pub fn set(&mut self, i: usize, sum: f32) {
        assert!(i < MAX_TILE_VECTORS * MAX_LANES);
        // SAFETY: the index was checked against one row of the buffer.
        unsafe { self.as_mut_ptr().add(i).write(sum) }
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// Stores a tile through the epilogue. The bounds were checked by `Epilogue::check`.
///
/// Each step is a pass of its own over the tile, which stays in the first-level cache: a choice is
/// then made once a tile and not once a vector.
pub(crate) struct Finish<'a> {
    /// `[rows, vectors * LANES]`, all of them written.
    pub sums: &'a mut TileBuffer,
    pub vectors: usize,
    pub epilogue: &'a Epilogue<'a>,
    /// First row and number of rows.
    pub row: usize,
    pub rows: usize,
    /// First column and number of columns.
    pub column: usize,
    pub columns: usize,
    /// The number of outputs; columns are half of it when gated.
    pub outputs: usize,
    pub gated: bool,
    /// The element (row, column) of the output.
    pub out: *mut f32,
    pub out_stride: usize,
}

impl SimdOp for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        if self.gated && self.epilogue.only_adds() && self.epilogue.residual.is_none() {
            return self.store_gated(s);
        }
        self.add_bias(s);
        if self.gated {
            self.gate(s);
        }
        self.activate(s, self.epilogue.pre);
        self.add_residual(s);
        self.activate(s, self.epilogue.post);
        self.store(s);
    }
}

impl Finish<'_> {
    /// Where vector `j` of row `i` is in the tile.
    #[inline(always)]
    fn at<S: Simd>(&mut self, _: S, i: usize, j: usize) -> *mut f32 {
        debug_assert!(i < self.rows && j < self.vectors);
        self.sums.as_mut_ptr().wrapping_add((i * self.vectors + j) * S::LANES)
    }

    /// Replaces every vector v at (row i, vector j) of the tile by f(i, j, v).
    #[inline(always)]
    fn update<S: Simd>(&mut self, s: S, f: impl Fn(usize, usize, S::V) -> S::V) {
        for i in 0..self.rows {
            for j in 0..self.vectors {
                let p = self.at(s, i, j);
                // SAFETY: (i, j) is inside the tile, which the micro-kernel has written.
                unsafe { s.store(p, f(i, j, s.load(p))) };
            }
        }
    }

    /// First output of vector `j`, and how many of its lanes are outputs.
    #[inline(always)]
    fn outputs_of<S: Simd>(&self, _: S, j: usize) -> (usize, usize) {
        let half = self.vectors / 2;
        let (first, j) =
            if self.gated && j >= half { (self.outputs / 2, j - half) } else { (0, j) };
        let rest = self.columns.saturating_sub(j * S::LANES);
        (first + self.column + j * S::LANES, rest.min(S::LANES))
    }

    #[inline(always)]
    fn add_bias<S: Simd>(&mut self, s: S) {
        if self.epilogue.bias.is_some() {
            let mut vectors = [s.zero(); MAX_TILE_VECTORS];
            for (j, v) in vectors.iter_mut().enumerate().take(self.vectors) {
                *v = self.bias_of(s, j);
            }
            self.update(s, |_, j, v| s.add(v, vectors[j]));
        }
        if let Some(bias) = self.epilogue.batch_bias {
            for i in 0..self.rows {
                let sample = (self.row + i) / bias.rows * self.outputs;
                for j in 0..self.vectors {
                    let (start, lanes) = self.outputs_of(s, j);
                    let v = read_lanes(s, bias.values, sample + start, lanes);
                    let p = self.at(s, i, j);
                    // SAFETY: (i, j) is inside the tile, which the micro-kernel has written.
                    unsafe { s.store(p, s.add(s.load(p), v)) };
                }
            }
        }
    }

    #[inline(always)]
    fn activate<S: Simd>(&mut self, s: S, activation: Activation) {
        macro_rules! pass {
            ($($name:ident)*) => {
                match activation {
                    Activation::Identity => (),
                    $(Activation::$name => {
                        self.update(s, |_, _, v| Activation::$name.apply(s, v));
                    })*
                }
            };
        }
        pass!(Relu Silu Gelu GeluTanh QuickGelu Tanh Sigmoid);
    }

    /// Multiplies the first half of the vectors, the values, by gelu of the second, the gates.
    #[inline(always)]
    fn gate<S: Simd>(&mut self, s: S) {
        let half = self.vectors / 2;
        for i in 0..self.rows {
            for j in 0..half {
                let (value, gate) = (self.at(s, i, j), self.at(s, i, half + j));
                // SAFETY: both are inside the tile, which the micro-kernel has written.
                unsafe { s.store(value, s.mul(s.load(value), gelu(s, s.load(gate)))) };
            }
        }
    }

    /// The common gated layer: bias, gate and store in one pass.
    #[inline(always)]
    fn store_gated<S: Simd>(&mut self, s: S) {
        let half = self.vectors / 2;
        for j in 0..half {
            let (bias, bias_gate) = (self.bias_of(s, j), self.bias_of(s, half + j));
            let lanes = S::LANES.min(self.columns.saturating_sub(j * S::LANES));
            let mut out = self.out.wrapping_add(j * S::LANES);
            for i in 0..self.rows {
                let (value, gate) = (self.at(s, i, j), self.at(s, i, half + j));
                // SAFETY: both are inside the tile, which the micro-kernel has written; the columns
                // are inside the output, which the public entry checked, and this task alone writes
                // this tile.
                unsafe {
                    let gate = gelu(s, s.add(s.load(gate), bias_gate));
                    store_lanes(s, out, lanes, s.mul(s.add(s.load(value), bias), gate));
                }
                out = out.wrapping_add(self.out_stride);
            }
        }
    }

    /// The bias of vector `j`, zero without one.
    #[inline(always)]
    fn bias_of<S: Simd>(&self, s: S, j: usize) -> S::V {
        let Some(bias) = self.epilogue.bias else { return s.zero() };
        let (start, lanes) = self.outputs_of(s, j);
        read_lanes(s, bias, start, lanes)
    }

    #[inline(always)]
    fn add_residual<S: Simd>(&mut self, s: S) {
        let Some(residual) = self.epilogue.residual else { return };
        let (row, column, columns) = (self.row, self.column, self.columns);
        self.update(s, |i, j, v| {
            let start = (row + i) * residual.stride + column;
            let columns = &residual.values[start..start + columns];
            s.add(v, s.read(columns.get(j * S::LANES..).unwrap_or(&[])))
        });
    }

    #[inline(always)]
    fn store<S: Simd>(&mut self, s: S) {
        for i in 0..self.rows {
            for (j, column) in (0..self.columns).step_by(S::LANES).enumerate() {
                let p = self.at(s, i, j);
                let out = self.out.wrapping_add(i * self.out_stride + column);
                let lanes = S::LANES.min(self.columns - column);
                // SAFETY: (i, j) is inside the tile; (row + i, column .. + lanes) is inside the
                // output, which the public entry checked, and this task alone writes this tile.
                unsafe { store_lanes(s, out, lanes, s.load(p)) };
            }
        }
    }
}

/// Writes the first `lanes` lanes to `p`; all of them without a mask, which costs tens of cycles on
/// some CPUs.
///
/// # Safety
/// `lanes` floats at `p` are writable.
#[inline(always)]
pub(crate) unsafe fn store_lanes<S: Simd>(s: S, p: *mut f32, lanes: usize, v: S::V) {
    if lanes == S::LANES {
        // SAFETY: the caller's contract, for all lanes.
        unsafe { s.store(p, v) }
    } else {
        // SAFETY: the caller's contract.
        unsafe { s.store_partial(p, lanes, v) }
    }
}

/// The `lanes` floats at `p`, and zero in the other lanes.
///
/// # Safety
/// `lanes` floats at `p` are readable.
#[inline(always)]
pub(crate) unsafe fn load_lanes<S: Simd>(s: S, p: *const f32, lanes: usize) -> S::V {
    if lanes == S::LANES {
        // SAFETY: the caller's contract, for all lanes.
        unsafe { s.load(p) }
    } else {
        // SAFETY: the caller's contract.
        unsafe { s.load_partial(p, lanes) }
    }
}

/// The `lanes` floats of `x` from `start` on, and zero in the other lanes.
#[inline(always)]
fn read_lanes<S: Simd>(s: S, x: &[f32], start: usize, lanes: usize) -> S::V {
    if lanes == 0 { s.zero() } else { s.read(&x[start..start + lanes]) }
}
