//! Ranges and interpolation with the roundings of the numpy and torch functions
//! that diffusers builds its schedules with: a timestep is often a value rounded
//! at .5, so the order of operations decides which step is taken.

/// `numpy.linspace(start, stop, count)` in f64.
pub(super) fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / (count.max(2) - 1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    if count > 1 {
        values[count - 1] = stop;
    }
    values
}

/// `torch.linspace(start, stop, count, dtype=float32)`: the step is f32, each
/// half counts from its own end, and a value is rounded once.
pub(super) fn linspace_f32(start: f32, stop: f32, count: usize) -> Vec<f32> {
    let step = f64::from((stop - start) / (count.max(2) - 1) as f32);
    let from_start = |i: usize| (f64::from(start) + step * i as f64) as f32;
    let from_stop = |i: usize| (f64::from(stop) - step * (count - 1 - i) as f64) as f32;
    (0..count).map(|i| if i == 0 || i < count / 2 { from_start(i) } else { from_stop(i) }).collect()
}

/// The first `count` values of `numpy.arange(start, 0, -step)`, fewer if the
/// range ends earlier. numpy sometimes yields one value too many, a zero with a
/// rounding error; `count` leaves it out.
pub(super) fn arange_down(start: f64, step: f64, count: usize) -> Vec<f64> {
    let delta = (start - step) - start;
    let length = (start / step).ceil() as usize;
    (0..length.min(count)).map(|i| start + i as f64 * delta).collect()
}

/// `numpy.interp(x, [0, 1, 2 ...], values)`.
pub(super) fn interpolate(x: f64, values: &[f32]) -> f64 {
    let last = values.len() - 1;
    if x >= last as f64 {
        return f64::from(values[last]);
    }
    let low = x.max(0.0) as usize;
    let (from, to) = (f64::from(values[low]), f64::from(values[low + 1]));
    (to - from) * (x.max(0.0) - low as f64) + from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_reach_their_ends() {
        assert_eq!(linspace(0.0, 1.0, 5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(linspace(3.0, 7.0, 1), [3.0]);
        assert_eq!(linspace_f32(1.0, 2.0, 3), [1.0, 1.5, 2.0]);
        assert_eq!(linspace_f32(1.0, 2.0, 1), [1.0]);
        assert_eq!(arange_down(1000.0, 250.0, 9), [1000.0, 750.0, 500.0, 250.0]);
    }

    #[test]
    fn arange_leaves_out_the_rounding_remainder() {
        let step = 1000.0 / 61.0;
        assert_eq!(arange_down(1000.0, step, 62).len(), 62);
        assert_eq!(arange_down(1000.0, step, 61).len(), 61);
    }

    #[test]
    fn interpolation_is_linear_and_clamped() {
        let values = [1.0, 3.0, 7.0];
        let at = |x| interpolate(x, &values);
        assert_eq!(
            [at(-1.0), at(0.5), at(1.0), at(1.75), at(2.0), at(9.0)],
            [1.0, 2.0, 3.0, 6.0, 7.0, 7.0]
        );
    }
}
