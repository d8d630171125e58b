//! The loop of a kernel over the vectors of its slices: whole vectors first, without a check for
//! the end in their way, then the rest.

use crate::isa::Simd;
use std::ops::Range;

/// The body of a loop over elements that are independent of each other.
pub(crate) trait Lanewise {
    /// Handles the elements of `at`, at most one vector. Must be `#[inline(always)]`, and its
    /// slices be cut to the length of the loop where that starts: then no bounds are checked.
    fn step<S: Simd>(&mut self, s: S, at: Range<usize>);
}

/// Runs `body` over `0..len`.
#[inline(always)]
pub(crate) fn for_lanes<S: Simd>(s: S, len: usize, mut body: impl Lanewise) {
    let mut start = 0;
    while start + S::LANES <= len {
        body.step(s, start..start + S::LANES);
        start += S::LANES;
    }
    if start < len {
        body.step(s, start..len);
    }
}
