//! The one inner loop of this crate: a tile of C, a few rows by a few vectors, accumulated in
//! registers over taps and channels. It reads words of 32 bits: an f32 each, or two bf16 or four
//! bytes of neighbouring channels, and so counts channels in words.
//!
//! Rows of A are given by pointers, one set for each tap, so that a matrix product (one tap) and a
//! convolution (a tap for each kernel position) are the same loop and A is never copied.

use crate::aligned::LINE_BYTES;
use crate::isa::{MAX_TILE_ROWS, Simd, SimdOp};
use std::marker::PhantomData;

/// Floats in a cache line.
const LINE: usize = LINE_BYTES / size_of::<f32>();

/// For each row of a tile, the first of its `depth` contiguous floats of A.
pub(crate) type RowPointers = [*const f32; MAX_TILE_ROWS];

/// A run of memory of which every block of the inner loop prefetches a few lines.
#[derive(Clone, Copy)]
pub(crate) struct Later {
    pub start: *const f32,
    pub lines_per_block: usize,
}

impl Later {
    /// Nothing to prefetch.
    pub const NONE: Self = Self { start: std::ptr::null(), lines_per_block: 0 };

    /// What is left after `taps` runs of the inner loop over `depth`.
    pub fn after(self, taps: usize, depth: usize) -> Self {
        let lines = taps * (depth / LINE) * self.lines_per_block;
        Self { start: self.start.wrapping_add(lines * LINE), ..self }
    }
}

/// What the words of A and B are.
pub(crate) trait Words: Copy {
    /// Channels in a word.
    const CHANNELS: usize;
    /// Whether sums are integers, which become numbers only at the end.
    const IS_INTEGER: bool = false;
    /// c + a b
    fn multiply_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V;
    /// Writes a vector of channels to the words at `p`, of any alignment.
    ///
    /// # Safety
    /// `LANES / CHANNELS` words at `p` are writable.
    unsafe fn store<S: Simd>(s: S, p: *mut f32, v: S::V);
}

/// Each word is four bytes of neighbouring channels, unsigned in A and signed in B; sums are 32-bit
/// integers.
#[derive(Clone, Copy)]
pub(crate) struct Quads;

impl Words for Quads {
    const CHANNELS: usize = 4;
    const IS_INTEGER: bool = true;

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut f32, v: S::V) {
        // SAFETY: the caller's contract.
        unsafe { s.store_bytes(p, v) }
    }

    #[inline(always)]
    fn multiply_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.dot_quads(a, b, c)
    }
}

/// Each word is an f32.
#[derive(Clone, Copy)]
pub(crate) struct Floats;

/// Each word is two bf16 of neighbouring channels.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Pairs;

impl Words for Floats {
    const CHANNELS: usize = 1;

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut f32, v: S::V) {
        // SAFETY: the caller's contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    fn multiply_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.fma(a, b, c)
    }
}

impl Words for Bf16Pairs {
    const CHANNELS: usize = 2;

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut f32, v: S::V) {
        // SAFETY: the caller's contract.
        unsafe { s.store_bf16(p, v) }
    }

    #[inline(always)]
    fn multiply_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.dot_pairs(a, b, c)
    }
}

/// What the integers of a tile are multiplied by to be numbers: the product of a row's and a
/// column's, before what is added at the end.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    /// One for each row.
    pub rows: *const f32,
    /// One for each column; null while the sums are to stay integers.
    pub columns: *const f32,
    /// Added then, one for each column; null for nothing.
    pub bias: *const f32,
}

impl Scales {
    /// The sums stay what they are.
    pub const NONE: Self =
        Self { rows: std::ptr::null(), columns: std::ptr::null(), bias: std::ptr::null() };
}

/// One product C = init + A B of a tile, with A by row pointers.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// Row pointers of each tap.
    pub a: &'a [RowPointers],
    /// Floats in each row of A, of one tap.
    pub depth: usize,
    /// Floats from a row to the one that the next tile reads in its place, which is prefetched;
    /// 0 for none.
    pub ahead: usize,
    /// Packed B: `[taps, depth, vectors * LANES]`.
    pub b: *const f32,
    /// What to add the product to, laid out like C; null for nothing. May be C itself.
    pub init: *const f32,
    /// Floats from one row of `init` to the next; 0 when all rows begin with the same.
    pub init_stride: usize,
    /// What to add to the sums at the end, laid out like C; null for nothing.
    pub add: *const f32,
    /// Floats from one row of `add` to the next.
    pub add_stride: usize,
    /// Of sums that are integers: what to multiply them by.
    pub scales: Scales,
    /// C: rows of `vectors * LANES` floats.
    pub c: *mut f32,
    /// Floats from one row of C to the next.
    pub c_stride: usize,
    /// Weights that are needed later, to be prefetched on the way.
    pub later: Later,
}

/// Computes `product` for a tile of `rows <= S::TILE_ROWS` rows and `vectors <= S::TILE_VECTORS`.
///
/// # Safety
/// For every tap the first `rows` pointers of A have `depth` readable floats, B has
/// `taps * depth * vectors * LANES` readable floats, C has `rows` writable rows, and `init` and `add`,
/// unless null, as many readable ones; `scales` has one for each of those rows and columns, or none.
#[inline]
pub(crate) unsafe fn multiply<S: Simd, W: Words>(
    s: S,
    rows: usize,
    vectors: usize,
    product: Product<'_>,
) {
    macro_rules! tile {
        ($($rows:literal)*) => {
            match (rows, vectors) {
                $(
                    ($rows, 1) if has::<S>($rows, 1) => s.vectorize(Tile::<W, $rows, 1>::new(product)),
                    ($rows, 2) if has::<S>($rows, 2) => s.vectorize(Tile::<W, $rows, 2>::new(product)),
                    ($rows, 3) if has::<S>($rows, 3) => s.vectorize(Tile::<W, $rows, 3>::new(product)),
                    ($rows, 4) if has::<S>($rows, 4) => s.vectorize(Tile::<W, $rows, 4>::new(product)),
                )*
                _ => unreachable!("a tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    tile!(6 5 4 3 2 1)
}

/// Whether the set's tile is at least this large; a constant once inlined, so that no code is made
/// for tiles that do not exist.
#[inline(always)]
const fn has<S: Simd>(rows: usize, vectors: usize) -> bool {
    rows <= S::TILE_ROWS && vectors <= S::TILE_VECTORS
}

struct Tile<'a, W, const ROWS: usize, const VECTORS: usize>(Product<'a>, PhantomData<W>);

impl<'a, W, const ROWS: usize, const VECTORS: usize> Tile<'a, W, ROWS, VECTORS> {
    #[inline(always)]
    fn new(product: Product<'a>) -> Self {
        Self(product, PhantomData)
    }
}

impl<W: Words, const ROWS: usize, const VECTORS: usize> SimdOp for Tile<'_, W, ROWS, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let p = self.0;
        let width = VECTORS * S::LANES;
        let mut acc = [[s.zero(); VECTORS]; ROWS];
        if !p.init.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, v) in row.iter_mut().enumerate() {
                    // SAFETY: `multiply` requires ROWS rows of VECTORS vectors in `init`.
                    *v = unsafe { s.load(p.init.add(i * p.init_stride + j * S::LANES)) };
                }
            }
        }
        let mut tap = p;
        for rows in p.a {
            // SAFETY: `multiply` requires `depth` floats at each row pointer and at B for the tap.
            unsafe { accumulate::<S, W, ROWS, VECTORS>(s, rows, &tap, &mut acc) };
            tap.b = tap.b.wrapping_add(p.depth * width);
            tap.later = tap.later.after(1, p.depth);
        }
        if W::IS_INTEGER && !p.scales.columns.is_null() {
            // SAFETY: `multiply` requires as many scales as rows and columns.
            unsafe { scale(s, &p.scales, &mut acc) };
        }
        if !p.add.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, v) in row.iter_mut().enumerate() {
                    // SAFETY: `multiply` requires ROWS rows of VECTORS vectors in `add`.
                    let add = unsafe { s.load(p.add.add(i * p.add_stride + j * S::LANES)) };
                    *v = s.add(*v, add);
                }
            }
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                // SAFETY: `multiply` requires ROWS rows of VECTORS vectors in C.
                unsafe { s.store(p.c.add(i * p.c_stride + j * S::LANES), *v) };
            }
        }
    }
}

/// acc = numbers of the integers, plus the bias.
///
/// # Safety
/// There are ROWS scales of rows, VECTORS vectors of those of columns, and as many of the bias.
#[inline(always)]
unsafe fn scale<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    scales: &Scales,
    acc: &mut [[S::V; VECTORS]; ROWS],
) {
    for j in 0..VECTORS {
        // SAFETY: the caller's contract.
        let column = unsafe { s.load(scales.columns.add(j * S::LANES)) };
        let bias = match scales.bias.is_null() {
            true => s.zero(),
            // SAFETY: the caller's contract.
            false => unsafe { s.load(scales.bias.add(j * S::LANES)) },
        };
        for (i, row) in acc.iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            let scale = s.mul(s.splat(unsafe { *scales.rows.add(i) }), column);
            row[j] = s.fma(s.integers_to_f32(row[j]), scale, bias);
        }
    }
}

/// acc += A B over one tap, whose B is `p.b`.
///
/// # Safety
/// The first ROWS pointers have `depth` readable floats, and B has `depth * VECTORS * LANES`.
#[inline(always)]
unsafe fn accumulate<S: Simd, W: Words, const ROWS: usize, const VECTORS: usize>(
    s: S,
    rows: &RowPointers,
    p: &Product<'_>,
    acc: &mut [[S::V; VECTORS]; ROWS],
) {
    // Unrolled so that the loop's own instructions are few beside the multiply-adds.
    const UNROLL: usize = 4;
    let (b, depth) = (p.b, p.depth);
    let mut later = p.later.start;
    let mut k = 0;
    while k + LINE <= depth {
        if p.ahead != 0 {
            for row in &rows[..ROWS] {
                s.prefetch_far(row.wrapping_add(k + p.ahead));
            }
        }
        for _ in 0..p.later.lines_per_block {
            s.prefetch_far(later);
            later = later.wrapping_add(LINE);
        }
        for _ in 0..LINE / UNROLL {
            for u in 0..UNROLL {
                // SAFETY: k + u < depth.
                unsafe { step_of::<S, W, ROWS, VECTORS>(s, rows, k + u, b, acc) };
            }
            k += UNROLL;
        }
    }
    while k < depth {
        // SAFETY: k < depth.
        unsafe { step_of::<S, W, ROWS, VECTORS>(s, rows, k, b, acc) };
        k += 1;
    }
}

/// acc[i] += a[i][k] * b[k].
///
/// # Safety
/// The first ROWS pointers have more than k readable words, and B more than k rows of VECTORS.
#[inline(always)]
pub(crate) unsafe fn step_of<S: Simd, W: Words, const ROWS: usize, const VECTORS: usize>(
    s: S,
    rows: &RowPointers,
    k: usize,
    b: *const f32,
    acc: &mut [[S::V; VECTORS]; ROWS],
) {
    let mut weights = [s.zero(); VECTORS];
    for (j, w) in weights.iter_mut().enumerate() {
        // SAFETY: row k of B is inside by the caller's contract.
        *w = unsafe { s.load(b.add((k * VECTORS + j) * S::LANES)) };
    }
    for (row, acc) in rows.iter().zip(acc) {
        // SAFETY: k < depth floats are readable at each row pointer.
        let a = s.splat(unsafe { *row.add(k) });
        for (w, acc) in weights.iter().zip(acc) {
            *acc = W::multiply_add(s, a, *w, *acc);
        }
    }
}
