//! The plain definition of a permutation of axes.

/// What [`super::permute`] computes.
pub fn permute(extents: &[usize], axes: &[usize], x: &[f32], out: &mut [f32]) {
    for (flat, &value) in x.iter().enumerate() {
        let index =
            |axis: usize| flat / extents[axis + 1..].iter().product::<usize>() % extents[axis];
        let to = axes.iter().fold(0, |to, &axis| to * extents[axis] + index(axis));
        out[to] = value;
    }
}
