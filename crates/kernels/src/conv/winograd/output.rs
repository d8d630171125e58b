//! The last step: products transformed to pixels, and the epilogue.

use super::Task;
use super::tiles::Place;
use super::transform::{Columns, MAX_IN, MAX_OUT, Transform};
use crate::aligned::LINE_BYTES;
use crate::gemm::epilogue::{load_lanes, store_lanes};
use crate::gemm::micro::Words;
use crate::isa::{MAX_LANES, Simd, SimdOp};
use crate::math::Activation;

impl<T: Transform, W: Words> Task<'_, T, W> {
    /// A^T m A of one tile and panel, through the epilogue and to the output.
    #[inline(always)]
    pub(super) fn transform_output<S: Simd>(&self, s: S, slot: usize, tile: usize, panel: usize) {
        let (layout, place) = (&self.layout, self.tiles.place(T::OUT, tile));
        let products = self.products.wrapping_add(slot * layout.product_row);
        let first = panel * layout.product_row;
        let last = (first + layout.product_row).min(self.job.shape.out_channels);
        for column in (first..last).step_by(S::LANES) {
            let products = products.wrapping_add(column - first);
            let tile = transform_columns::<S, T>(s, products, layout.product_step);
            let span = Span { start: column, lanes: S::LANES.min(last - column) };
            self.finish(s, place, span, &tile);
        }
    }

    /// Asks for what the epilogue of a tile will touch, while the products are computed.
    #[inline(always)]
    pub(super) fn prefetch<S: Simd>(&self, s: S, tile: usize, panel: usize) {
        let (job, place) = (self.job, self.tiles.place(T::OUT, tile));
        let [height, width] = self.tiles.size;
        let first = panel * self.layout.product_row;
        let last = (first + self.layout.product_row).min(job.shape.out_channels);
        let line = LINE_BYTES / size_of::<f32>();
        for y in place.y..(place.y + T::OUT).min(height) {
            let row = place.picture * height + y;
            for x in place.x..(place.x + T::OUT).min(width) {
                for rows in [Some(job.out), job.residual].into_iter().flatten() {
                    for column in (first..last).step_by(line) {
                        s.prefetch_far(rows.at(row, x).wrapping_add(column));
                    }
                }
            }
        }
    }

    /// Transforms the rows of a tile, and stores the pixels that are inside the picture.
    #[inline(always)]
    fn finish<S: Simd>(&self, s: S, place: Place, span: Span, tile: &Columns<T, [S::V; MAX_OUT]>) {
        let [height, width] = self.tiles.size;
        let bias = self.bias(s, place.picture, span);
        let count = T::OUT.min(width - place.x);
        for i in 0..T::OUT.min(height - place.y) {
            // SAFETY: `transform_columns` sets all columns.
            let row = T::output(s, unsafe { tile.row(s.zero(), i) });
            let y = place.picture * height + place.y + i;
            // The common case as one of its own, whose loops have a constant length.
            if count == T::OUT && span.lanes == S::LANES {
                let span = Span { lanes: S::LANES, ..span };
                self.finish_row(s, [y, place.x], T::OUT, span, bias, row);
            } else {
                self.finish_row(s, [y, place.x], count, span, bias, row);
            }
        }
    }

    /// What is added to every pixel of a picture.
    #[inline(always)]
    fn bias<S: Simd>(&self, s: S, picture: usize, span: Span) -> S::V {
        let epilogue = self.job.epilogue;
        let mut sum = s.zero();
        if let Some(bias) = epilogue.bias {
            sum = s.read(&bias[span.start..span.start + span.lanes]);
        }
        if let Some(batch) = epilogue.batch_bias {
            let start = picture * self.job.shape.out_channels + span.start;
            sum = s.add(sum, s.read(&batch.values[start..start + span.lanes]));
        }
        sum
    }

    /// `count` pixels from row y, column x on, side by side.
    #[inline(always)]
    fn finish_row<S: Simd>(
        &self,
        s: S,
        [y, x]: [usize; 2],
        count: usize,
        span: Span,
        bias: S::V,
        mut row: [S::V; MAX_OUT],
    ) {
        let epilogue = self.job.epilogue;
        for v in &mut row[..count] {
            *v = s.add(*v, bias);
        }
        activate(s, epilogue.pre, &mut row);
        if let Some(residual) = self.job.residual {
            let residual_row = residual.at(y, x).wrapping_add(span.start);
            for (j, v) in row[..count].iter_mut().enumerate() {
                let start = residual_row.wrapping_add(j * residual.stride());
                // SAFETY: the pixel's columns are inside the residual, which the public entry
                // checked, and nobody writes them meanwhile.
                *v = s.add(*v, unsafe { load_lanes(s, start, span.lanes) });
            }
        }
        activate(s, epilogue.post, &mut row);
        let out_row = self.job.out.at(y, x).wrapping_add(span.start);
        for (j, &v) in row[..count].iter().enumerate() {
            let out = out_row.wrapping_add(j * self.job.out.stride());
            // SAFETY: the pixel's columns are inside the output, which the public entry checked,
            // and this task alone writes this tile's columns of this panel.
            unsafe { store_lanes(s, out, span.lanes, v) };
        }
    }
}

/// Output channels of one vector.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    lanes: usize,
}

/// A^T m, where m has a vector every `step` floats.
#[inline(always)]
fn transform_columns<S: Simd, T: Transform>(
    s: S,
    products: *const f32,
    step: usize,
) -> Columns<T, [S::V; MAX_OUT]> {
    let mut columns = Columns::unset();
    for j in 0..T::IN {
        let mut m = [s.zero(); MAX_IN];
        for (i, v) in m[..T::IN].iter_mut().enumerate() {
            // SAFETY: every position has a row of products for each tile of the block.
            *v = unsafe { s.load(products.add((i * T::IN + j) * step)) };
        }
        columns.set(j, T::output(s, m));
    }
    columns
}

/// Applies the activation to every lane.
#[inline(always)]
fn activate<S: Simd>(s: S, activation: Activation, row: &mut [S::V; MAX_OUT]) {
    match activation {
        Activation::Identity => (),
        Activation::Relu => {
            for v in row {
                *v = Activation::Relu.apply(s, *v);
            }
        }
        other => other_activation(s, other, row),
    }
}

/// Out of line, since the models end few 3x3 convolutions with one of these.
#[inline(never)]
fn other_activation<S: Simd>(s: S, activation: Activation, row: &mut [S::V; MAX_OUT]) {
    let mut values = [0.0; MAX_OUT * MAX_LANES];
    let values = &mut values[..MAX_OUT * S::LANES];
    for (v, values) in row.iter().zip(values.chunks_exact_mut(S::LANES)) {
        s.write(values, *v);
    }
    s.vectorize(Apply { activation, values });
    for (v, values) in row.iter_mut().zip(values.chunks_exact(S::LANES)) {
        *v = s.read(values);
    }
}

struct Apply<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl SimdOp for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for values in self.values.chunks_exact_mut(S::LANES) {
            let v = self.activation.apply(s, s.read(values));
            s.write(values, v);
        }
    }
}
