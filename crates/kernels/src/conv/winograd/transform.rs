//! The transforms of Winograd's minimal filtering in one dimension, F(m, 3): m outputs of a filter
//! of three taps from m + 2 products (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2016, arXiv 1509.09308). Applied to columns and then to rows they are F(m x m, 3 x 3).
//!
//! A product belongs to a point p at which the polynomials of input and filter are multiplied, and
//! the points decide how rounding errors grow. They come in pairs of opposite sign, whose even and
//! odd parts are computed once for both.

use crate::isa::Simd;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// The longest side of a tile of inputs, or of products.
pub(super) const MAX_IN: usize = 6;

/// The longest side of a tile of outputs.
pub(super) const MAX_OUT: usize = 4;

/// One F(m, 3). Arrays are as long as the longest transform needs; the rest is ignored.
pub(super) trait Transform {
    /// m, the side of a tile of outputs.
    const OUT: usize;
    /// m + 2, the side of a tile of inputs.
    const IN: usize = Self::OUT + 2;
    /// A product that is zero for every input this transform is meant for.
    const ABSENT: Option<usize> = None;

    /// G: the products' filters as sums of the taps.
    fn weights() -> [[f64; 3]; MAX_IN];
    /// B^T d
    fn input<S: Simd>(s: S, d: [S::V; MAX_IN]) -> [S::V; MAX_IN];
    /// A^T m
    fn output<S: Simd>(s: S, m: [S::V; MAX_IN]) -> [S::V; MAX_OUT];
}

/// The columns of a transformed tile, of which the first `Transform::IN` are made. Not cleared, since
/// that would take as long as a quarter of the transform.
pub(super) struct Columns<T, C>([MaybeUninit<C>; MAX_IN], PhantomData<T>);

impl<T: Transform, C: Copy> Columns<T, C> {
    /// Column j is `f(j)`.
    #[inline(always)]
    pub fn new(f: impl Fn(usize) -> C) -> Self {
        let mut columns = [MaybeUninit::uninit(); MAX_IN];
        for (j, column) in columns[..T::IN].iter_mut().enumerate() {
            column.write(f(j));
        }
        Self(columns, PhantomData)
    }

    /// `f(column)` of every column; `none` beyond.
    #[inline(always)]
    pub fn row<V: Copy>(&self, none: V, f: impl Fn(&C) -> V) -> [V; MAX_IN] {
        let mut row = [none; MAX_IN];
        for (v, column) in row[..T::IN].iter_mut().zip(&self.0) {
            // SAFETY: `new` wrote the first IN columns.
            *v = f(unsafe { column.assume_init_ref() });
        }
        row
    }
}

/// F(2, 3) with the points 0, 1, -1 and infinity.
pub(super) struct F2;

impl Transform for F2 {
    const OUT: usize = 2;

    fn weights() -> [[f64; 3]; MAX_IN] {
        let none = [0.0; 3];
        [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0], none, none]
    }

    #[inline(always)]
    fn input<S: Simd>(s: S, [d0, d1, d2, d3, ..]: [S::V; MAX_IN]) -> [S::V; MAX_IN] {
        let zero = s.zero();
        [s.sub(d0, d2), s.add(d1, d2), s.sub(d2, d1), s.sub(d3, d1), zero, zero]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, [m0, m1, m2, m3, ..]: [S::V; MAX_IN]) -> [S::V; MAX_OUT] {
        let y0 = s.add(m0, s.add(m1, m2));
        let y1 = s.add(m3, s.sub(m1, m2));
        [y0, y1, s.zero(), s.zero()]
    }
}

/// F(4, 3) with the points 0, ±5/8, ±3/2 and infinity: half the rounding error of the usual
/// 0, ±1, ±2, and every coefficient is exact in f32.
pub(super) struct F4;

impl Transform for F4 {
    const OUT: usize = 4;

    fn weights() -> [[f64; 3]; MAX_IN] {
        quartic_weights(0.625, 1.5)
    }

    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::V; MAX_IN]) -> [S::V; MAX_IN] {
        quartic_input(s, d, 0.625, 1.5)
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::V; MAX_IN]) -> [S::V; MAX_OUT] {
        quartic_output(s, m, 0.625, 1.5)
    }
}

/// F(4, 3) for inputs that are enlarged twice, nearest pixel, and begin with the second pixel of a
/// pair: (a, b, b, c, c, d). Such a signal has no part at the point -1, whose product is left out.
pub(super) struct F4Enlarged;

impl Transform for F4Enlarged {
    const OUT: usize = 4;
    const ABSENT: Option<usize> = Some(2);

    fn weights() -> [[f64; 3]; MAX_IN] {
        quartic_weights(1.0, 2.0)
    }

    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::V; MAX_IN]) -> [S::V; MAX_IN] {
        quartic_input(s, d, 1.0, 2.0)
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::V; MAX_IN]) -> [S::V; MAX_OUT] {
        quartic_output(s, m, 1.0, 2.0)
    }
}

/// Rows (1, p, p^2) / product of (p - q) over the other points q, for p = 0, a, -a, b, -b; and the
/// last tap for infinity.
fn quartic_weights(a: f64, b: f64) -> [[f64; 3]; MAX_IN] {
    let points = [0.0, a, -a, b, -b];
    let mut rows = [[0.0, 0.0, 1.0]; MAX_IN];
    for (i, (row, p)) in rows.iter_mut().zip(points).enumerate() {
        let others = points.iter().enumerate().filter(|&(j, _)| j != i);
        let scale: f64 = others.map(|(_, q)| p - q).product();
        *row = [1.0 / scale, p / scale, p * p / scale];
    }
    rows
}

/// Row p: the coefficients of the product of (x - q) over the other points q.
#[inline(always)]
fn quartic_input<S: Simd>(s: S, d: [S::V; MAX_IN], a: f32, b: f32) -> [S::V; MAX_IN] {
    let [d0, d1, d2, d3, d4, d5] = d;
    let (a2, b2) = (a * a, b * b);
    let (product, sum) = (s.splat(a2 * b2), s.splat(-(a2 + b2)));
    let pair = |p: f32, other: f32| {
        let even = s.fma(s.splat(-other), d2, d4);
        let odd = s.fma(s.splat(-other), d1, d3);
        [s.fma(s.splat(p), odd, even), s.fma(s.splat(-p), odd, even)]
    };
    let ([pa, na], [pb, nb]) = (pair(a, b2), pair(b, a2));
    let zero = s.fma(product, d0, s.fma(sum, d2, d4));
    let infinity = s.fma(product, d1, s.fma(sum, d3, d5));
    [zero, pa, na, pb, nb, infinity]
}

/// Row k: p^k for every point, and 1 for infinity in the last.
#[inline(always)]
fn quartic_output<S: Simd>(s: S, m: [S::V; MAX_IN], a: f32, b: f32) -> [S::V; MAX_OUT] {
    let [m0, pa, na, pb, nb, infinity] = m;
    let (even_a, odd_a) = (s.add(pa, na), s.sub(pa, na));
    let (even_b, odd_b) = (s.add(pb, nb), s.sub(pb, nb));
    let sum = |ca: f32, xa, cb: f32, xb| s.fma(s.splat(ca), xa, s.mul(s.splat(cb), xb));
    [
        s.add(m0, s.add(even_a, even_b)),
        sum(a, odd_a, b, odd_b),
        sum(a * a, even_a, b * b, even_b),
        s.add(infinity, sum(a * a * a, odd_a, b * b * b, odd_b)),
    ]
}
