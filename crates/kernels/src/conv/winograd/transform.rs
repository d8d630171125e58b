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
    /// G g
    fn filter<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; MAX_IN];
    /// B^T d
    fn input<S: Simd>(s: S, d: [S::V; MAX_IN]) -> [S::V; MAX_IN];
    /// A^T m
    fn output<S: Simd>(s: S, m: [S::V; MAX_IN]) -> [S::V; MAX_OUT];

    /// Whether a position of the tile has a product, being row * IN + column.
    fn is_present(position: usize) -> bool {
        let [row, column] = [position / Self::IN, position % Self::IN];
        Self::ABSENT.is_none_or(|absent| row != absent && column != absent)
    }
}

/// The columns of a transformed tile, of which the first `Transform::IN` are set. Not cleared, since
/// that would take as long as a quarter of the transform. No closures: the compiler may leave one
/// outside the vectorised function.
pub(super) struct Columns<T, C>([MaybeUninit<C>; MAX_IN], PhantomData<T>);

impl<T: Transform, C: Copy> Columns<T, C> {
    #[inline(always)]
    pub fn unset() -> Self {
        Self([MaybeUninit::uninit(); MAX_IN], PhantomData)
    }

    #[inline(always)]
    pub fn set(&mut self, j: usize, column: C) {
        self.0[j].write(column);
    }
}

impl<T: Transform, V: Copy, const LEN: usize> Columns<T, [V; LEN]> {
    /// Element i of every column; `none` beyond.
    ///
    /// # Safety
    /// The first `Transform::IN` columns are set.
    #[inline(always)]
    pub unsafe fn row(&self, none: V, i: usize) -> [V; MAX_IN] {
        let mut row = [none; MAX_IN];
        for (v, column) in row[..T::IN].iter_mut().zip(&self.0) {
            // SAFETY: the first IN columns are set.
            *v = unsafe { column.assume_init_ref() }[i];
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
    fn filter<S: Simd>(s: S, [g0, g1, g2]: [S::V; 3]) -> [S::V; MAX_IN] {
        let half = s.splat(0.5);
        let (even, odd, zero) = (s.mul(half, s.add(g0, g2)), s.mul(half, g1), s.zero());
        [g0, s.add(even, odd), s.sub(even, odd), g2, zero, zero]
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
    fn filter<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; MAX_IN] {
        quartic_filter(s, g, 0.625, 1.5)
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
    fn filter<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; MAX_IN] {
        quartic_filter(s, g, 1.0, 2.0)
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

/// G g with the rows of [`quartic_weights`].
#[inline(always)]
fn quartic_filter<S: Simd>(s: S, g: [S::V; 3], a: f32, b: f32) -> [S::V; MAX_IN] {
    let (a2, b2) = (a * a, b * b);
    let ([pa, na], [pb, nb]) = (filter_pair(s, g, a, b2), filter_pair(s, g, b, a2));
    [s.mul(s.splat((a2 * b2).recip()), g[0]), pa, na, pb, nb, g[2]]
}

/// The rows of the points p and -p, where the other pair has the square `other`.
#[inline(always)]
fn filter_pair<S: Simd>(s: S, [g0, g1, g2]: [S::V; 3], p: f32, other: f32) -> [S::V; 2] {
    let square = p * p;
    let scale = (2.0 * square * (square - other)).recip();
    let even = s.fma(s.splat(square), g2, g0);
    let odd = s.mul(s.splat(p * scale), g1);
    let scale = s.splat(scale);
    [s.fma(scale, even, odd), s.sub(s.mul(scale, even), odd)]
}

/// Row p: the coefficients of the product of (x - q) over the other points q.
#[inline(always)]
fn quartic_input<S: Simd>(s: S, d: [S::V; MAX_IN], a: f32, b: f32) -> [S::V; MAX_IN] {
    let [d0, d1, d2, d3, d4, d5] = d;
    let (a2, b2) = (a * a, b * b);
    let (product, sum) = (s.splat(a2 * b2), s.splat(-(a2 + b2)));
    let ([pa, na], [pb, nb]) = (input_pair(s, d, a, b2), input_pair(s, d, b, a2));
    let zero = s.fma(product, d0, s.fma(sum, d2, d4));
    let infinity = s.fma(product, d1, s.fma(sum, d3, d5));
    [zero, pa, na, pb, nb, infinity]
}

/// The rows of the points p and -p, where the other pair has the square `other`.
#[inline(always)]
fn input_pair<S: Simd>(s: S, d: [S::V; MAX_IN], p: f32, other: f32) -> [S::V; 2] {
    let [_, d1, d2, d3, d4, _] = d;
    let even = s.fma(s.splat(-other), d2, d4);
    let odd = s.fma(s.splat(-other), d1, d3);
    [s.fma(s.splat(p), odd, even), s.fma(s.splat(-p), odd, even)]
}

/// Row k: p^k for every point, and 1 for infinity in the last.
#[inline(always)]
fn quartic_output<S: Simd>(s: S, m: [S::V; MAX_IN], a: f32, b: f32) -> [S::V; MAX_OUT] {
    let [m0, pa, na, pb, nb, infinity] = m;
    let (even_a, odd_a) = (s.add(pa, na), s.sub(pa, na));
    let (even_b, odd_b) = (s.add(pb, nb), s.sub(pb, nb));
    [
        s.add(m0, s.add(even_a, even_b)),
        weighted(s, a, odd_a, b, odd_b),
        weighted(s, a * a, even_a, b * b, even_b),
        s.add(infinity, weighted(s, a * a * a, odd_a, b * b * b, odd_b)),
    ]
}

/// ca xa + cb xb
#[inline(always)]
fn weighted<S: Simd>(s: S, ca: f32, xa: S::V, cb: f32, xb: S::V) -> S::V {
    s.fma(s.splat(ca), xa, s.mul(s.splat(cb), xb))
}
