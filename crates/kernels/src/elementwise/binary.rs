//! Arithmetic on two operands with NumPy broadcasting. One kernel serves all cases: runs along the
//! innermost axis on which each operand is either contiguous or constant.

use crate::chunks::{for_each_chunk, task_elements};
use crate::isa::{Isa, Simd, SimdOp, Variant, pick, run, variants};
use crate::lanes::{Lanewise, for_lanes};
use crate::pool::Pool;
use crate::strided::{MAX_RANK, Run, Walk};
use std::ops::Range;

/// An element-wise function of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
}

impl Binary {
    /// Every function, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, a: S::V, b: S::V) -> S::V {
        match self {
            Self::Add => s.add(a, b),
            Self::Sub => s.sub(a, b),
            Self::Mul => s.mul(a, b),
            Self::Div => s.div(a, b),
        }
    }
}

/// How two operands are read to make a result of their joint shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    walk: Walk<2>,
}

impl Broadcast {
    /// The broadcast of the shapes `a` and `b`, in the order in which they lie in memory: aligned
    /// at the last axis, an axis that is missing or of extent 1 is repeated. `None` if extents
    /// clash or there are more than [`MAX_RANK`] axes.
    pub fn new(a: &[usize], b: &[usize]) -> Option<Self> {
        let rank = a.len().max(b.len());
        let (a, b) = (aligned(a, rank)?, aligned(b, rank)?);
        let mut joint = [1; MAX_RANK];
        for (joint, (&a, &b)) in joint.iter_mut().zip(a.iter().zip(&b)) {
            *joint = match (a, b) {
                (1, extent) | (extent, 1) => extent,
                (a, b) if a == b => a,
                _ => return None,
            };
        }
        Some(Self { walk: Walk::new(&joint, [&strides(&a), &strides(&b)]) })
    }

    /// The number of elements of the result.
    pub fn elements(&self) -> usize {
        self.walk.elements()
    }
}

/// `shape` behind as many axes of extent 1 as make up [`MAX_RANK`].
fn aligned(shape: &[usize], rank: usize) -> Option<[usize; MAX_RANK]> {
    let mut extents = [1; MAX_RANK];
    (rank <= MAX_RANK).then(|| extents[MAX_RANK - shape.len()..].copy_from_slice(shape))?;
    Some(extents)
}

/// Row-major strides, 0 where the extent is 1.
fn strides(extents: &[usize; MAX_RANK]) -> [usize; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let mut step = 1;
    for (stride, &extent) in strides.iter_mut().zip(extents).rev() {
        *stride = if extent == 1 { 0 } else { step };
        step *= extent;
    }
    strides
}

type Entry = fn(Binary, &Broadcast, &[f32], &[f32], usize, &mut [f32]);

static VARIANTS: &[Variant<Entry>] = variants!(entry: Entry);

fn entry<S: Simd>(
    function: Binary,
    broadcast: &Broadcast,
    a: &[f32],
    b: &[f32],
    start: usize,
    out: &mut [f32],
) {
    run::<S, _>(Part { function, walk: &broadcast.walk, a, b, start, out });
}

/// out = function(a, b), the operands read as `broadcast` says.
///
/// # Panics
/// When a slice is too short for the shapes that `broadcast` was made from.
pub fn binary(
    isa: Isa,
    pool: &Pool,
    function: Binary,
    broadcast: &Broadcast,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) {
    assert_eq!(out.len(), broadcast.elements(), "out has the joint shape");
    let needed = [broadcast.walk.reach(0), broadcast.walk.reach(1)];
    assert!(a.len() >= needed[0] && b.len() >= needed[1], "operands fit the shapes");
    let part = pick(VARIANTS, isa);
    let task = task_elements(pool, out.len());
    for_each_chunk(pool, out, task, |index, out| {
        part(function, broadcast, a, b, index * task, out);
    });
}

/// The elements `start .. start + out.len()` of the result.
struct Part<'a> {
    function: Binary,
    walk: &'a Walk<2>,
    a: &'a [f32],
    b: &'a [f32],
    start: usize,
    out: &'a mut [f32],
}

impl SimdOp for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for Run { start, len, offsets: [a, b] } in self.walk.runs(self.start, self.out.len()) {
            let out = &mut self.out[start..][..len];
            let (row_a, constant_a) = (&self.a[a..], Constant(self.a[a]));
            let (row_b, constant_b) = (&self.b[b..], Constant(self.b[b]));
            // An operand that is not constant along the innermost axis is contiguous there.
            match self.walk.inner_strides() {
                [0, 0] => combine(s, self.function, constant_a, constant_b, out),
                [0, _] => combine(s, self.function, constant_a, Row(&row_b[..len]), out),
                [_, 0] => combine(s, self.function, Row(&row_a[..len]), constant_b, out),
                [_, _] => combine(s, self.function, Row(&row_a[..len]), Row(&row_b[..len]), out),
            }
        }
    }
}

/// One operand along a run.
trait Operand: Copy {
    /// The elements of `at`, at most one vector.
    fn read<S: Simd>(self, s: S, at: Range<usize>) -> S::V;
}

#[derive(Clone, Copy)]
struct Row<'a>(&'a [f32]);

impl Operand for Row<'_> {
    #[inline(always)]
    fn read<S: Simd>(self, s: S, at: Range<usize>) -> S::V {
        s.read(&self.0[at])
    }
}

#[derive(Clone, Copy)]
struct Constant(f32);

impl Operand for Constant {
    #[inline(always)]
    fn read<S: Simd>(self, s: S, _: Range<usize>) -> S::V {
        s.splat(self.0)
    }
}

#[inline(always)]
fn combine<S: Simd>(s: S, function: Binary, a: impl Operand, b: impl Operand, out: &mut [f32]) {
    let len = out.len();
    match function {
        Binary::Add => for_lanes(s, len, Combine { function: Binary::Add, a, b, out }),
        Binary::Sub => for_lanes(s, len, Combine { function: Binary::Sub, a, b, out }),
        Binary::Mul => for_lanes(s, len, Combine { function: Binary::Mul, a, b, out }),
        Binary::Div => for_lanes(s, len, Combine { function: Binary::Div, a, b, out }),
    }
}

/// One run of the result.
struct Combine<'a, A, B> {
    function: Binary,
    a: A,
    b: B,
    out: &'a mut [f32],
}

impl<A: Operand, B: Operand> Lanewise for Combine<'_, A, B> {
    #[inline(always)]
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>) {
        let (a, b) = (self.a.read(s, at.clone()), self.b.read(s, at.clone()));
        s.write(&mut self.out[at], self.function.apply(s, a, b));
    }
}
