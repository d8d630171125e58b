//! Walks over the elements of a row-major result while following operands that have strides of
//! their own: broadcast operands (stride 0) and permuted ones.

/// The largest number of axes that strided kernels take.
pub const MAX_RANK: usize = 6;

/// The axes of a row-major result and the strides, in elements, of `N` operands along them.
///
/// Axes of extent 1 are dropped, and neighbours that every operand passes through without a jump
/// are merged, so the innermost axis is as long as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk<const N: usize> {
    rank: usize,
    extents: [usize; MAX_RANK],
    strides: [[usize; N]; MAX_RANK],
}

impl<const N: usize> Walk<N> {
    /// A walk over `extents`; `strides[n]` are those of operand n, one an axis.
    pub(crate) fn new(extents: &[usize], strides: [&[usize]; N]) -> Self {
        assert!(extents.len() <= MAX_RANK, "at most {MAX_RANK} axes");
        assert!(strides.iter().all(|s| s.len() == extents.len()), "one stride an axis");
        let mut walk = Self { rank: 0, extents: [1; MAX_RANK], strides: [[1; N]; MAX_RANK] };
        for (axis, &extent) in extents.iter().enumerate().filter(|&(_, &extent)| extent != 1) {
            walk.push(extent, strides.map(|s| s[axis]));
        }
        walk.rank = walk.rank.max(1);
        walk
    }

    fn push(&mut self, extent: usize, strides: [usize; N]) {
        let joins = |outer: [usize; N]| (0..N).all(|n| outer[n] == strides[n] * extent);
        if self.rank > 0 && joins(self.strides[self.rank - 1]) {
            self.extents[self.rank - 1] *= extent;
        } else {
            self.extents[self.rank] = extent;
            self.rank += 1;
        }
        self.strides[self.rank - 1] = strides;
    }

    /// The merged axes, outermost first, at least one.
    pub(crate) fn extents(&self) -> &[usize] {
        &self.extents[..self.rank]
    }

    /// The operands' strides along each merged axis.
    pub(crate) fn strides(&self) -> &[[usize; N]] {
        &self.strides[..self.rank]
    }

    /// The operands' strides along the innermost axis.
    #[inline(always)]
    pub(crate) fn inner_strides(&self) -> [usize; N] {
        self.strides[self.rank - 1]
    }

    /// The number of elements of the result.
    pub(crate) fn elements(&self) -> usize {
        self.extents().iter().product()
    }

    /// The length that operand n must have at least.
    pub(crate) fn reach(&self, n: usize) -> usize {
        if self.elements() == 0 {
            return 0;
        }
        let axes = self.extents().iter().zip(self.strides());
        1 + axes.map(|(extent, strides)| (extent - 1) * strides[n]).sum::<usize>()
    }

    /// The elements `start .. start + len` of the result as runs along the innermost axis.
    #[inline(always)]
    pub(crate) fn runs(&self, start: usize, len: usize) -> Runs<'_, N> {
        let mut runs = Runs { walk: self, done: 0, len, index: [0; MAX_RANK], offsets: [0; N] };
        let mut rest = start;
        for axis in (0..self.rank).rev() {
            let index = rest % self.extents[axis].max(1);
            rest /= self.extents[axis].max(1);
            runs.index[axis] = index;
            for n in 0..N {
                runs.offsets[n] += index * self.strides[axis][n];
            }
        }
        runs
    }
}

/// A stretch of the result along the innermost axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run<const N: usize> {
    /// First element, counted from the start of the range asked for.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
    /// Where each operand's first element lies.
    pub offsets: [usize; N],
}

/// The iterator of [`Walk::runs`].
pub(crate) struct Runs<'a, const N: usize> {
    walk: &'a Walk<N>,
    done: usize,
    len: usize,
    index: [usize; MAX_RANK],
    offsets: [usize; N],
}

impl<const N: usize> Runs<'_, N> {
    /// Moves `steps` along `axis`, forwards.
    #[inline(always)]
    fn step(&mut self, axis: usize, steps: usize) {
        self.index[axis] += steps;
        for n in 0..N {
            self.offsets[n] += steps * self.walk.strides[axis][n];
        }
    }

    /// Returns to the start of `axis`, whose end has been reached.
    #[inline(always)]
    fn rewind(&mut self, axis: usize) {
        self.index[axis] = 0;
        for n in 0..N {
            self.offsets[n] -= self.walk.extents[axis] * self.walk.strides[axis][n];
        }
    }
}

impl<const N: usize> Iterator for Runs<'_, N> {
    type Item = Run<N>;

    #[inline(always)]
    fn next(&mut self) -> Option<Run<N>> {
        if self.done == self.len {
            return None;
        }
        let mut axis = self.walk.rank - 1;
        let len = (self.walk.extents[axis] - self.index[axis]).min(self.len - self.done);
        let run = Run { start: self.done, len, offsets: self.offsets };
        self.done += len;
        self.step(axis, len);
        while axis > 0 && self.index[axis] == self.walk.extents[axis] {
            self.rewind(axis);
            axis -= 1;
            self.step(axis, 1);
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_merge_where_no_operand_jumps() {
        let same = Walk::new(&[2, 1, 3, 4], [&[12, 99, 4, 1], &[12, 7, 4, 1]]);
        assert_eq!(same.extents(), [24]);
        let channel = Walk::new(&[2, 3, 4], [&[12, 4, 1], &[0, 0, 1]]);
        assert_eq!((channel.extents(), channel.inner_strides()), (&[6, 4][..], [1, 1]));
        let scalar = Walk::new(&[2, 3], [&[3, 1], &[0, 0]]);
        assert_eq!((scalar.extents(), scalar.inner_strides()), (&[6][..], [1, 0]));
        assert_eq!(Walk::<1>::new(&[], [&[]]).elements(), 1);
    }

    #[test]
    fn runs_visit_every_element_in_order_from_any_start() {
        let walk = Walk::new(&[2, 3, 5], [&[1, 10, 2]]);
        let offset = |i: usize| i / 15 + i / 5 % 3 * 10 + i % 5 * 2;
        for start in 0..30 {
            for len in 0..=30 - start {
                let runs: Vec<_> = walk.runs(start, len).collect();
                let visited = runs
                    .iter()
                    .flat_map(|run| (0..run.len).map(|i| (run.start + i, run.offsets[0] + i * 2)));
                let want = (0..len).map(|i| (i, offset(start + i)));
                assert!(visited.eq(want), "{start} {len}");
            }
        }
        assert_eq!(walk.reach(0), 1 + 1 + 20 + 8);
    }
}
