//! Count, mean and summed squared deviation of a set of numbers, which merge without
//! cancellation (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for
//! computing sample variances").

use super::split;

/// The moments of a set; the default is those of the empty set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    pub mean: f64,
    /// Sum of (x - mean)^2.
    squares: f64,
}

impl Moments {
    /// Floats of the stored form.
    pub const STORED: usize = 4;

    /// Of columns of `count` numbers each, given for every column a shift and the sums of
    /// x - shift and of (x - shift)^2.
    #[inline(always)]
    pub fn of_columns(count: usize, shifts: &[f32], sums: &[f32], squares: &[f32]) -> Self {
        let n = count as f64;
        let inverse = 1.0 / n;
        let column_mean = |shift: f32, sum: f32| f64::from(shift) + f64::from(sum) * inverse;
        let means = || shifts.iter().zip(sums).map(|(&shift, &sum)| column_mean(shift, sum));
        let mean = means().sum::<f64>() / shifts.len() as f64;
        let mut total = 0.0;
        for ((column, &sum), &squares) in means().zip(sums).zip(squares) {
            let within = f64::from(squares) - f64::from(sum) * f64::from(sum) * inverse;
            total += within + n * (column - mean) * (column - mean);
        }
        Self { count: n * shifts.len() as f64, mean, squares: total }
    }

    /// Of the union of two sets.
    #[inline(always)]
    pub fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }

    /// The mean squared deviation.
    pub fn variance(self) -> f64 {
        self.squares / self.count
    }

    /// Writes the moments as [`Self::STORED`] floats, the mean with double precision. Counts are
    /// exact up to 2^24.
    pub fn store(self, out: &mut [f32]) {
        let (high, low) = split(self.mean);
        out.copy_from_slice(&[self.count as f32, high, low, self.squares as f32]);
    }

    /// Reads what [`Self::store`] wrote.
    pub fn load(stored: &[f32]) -> Self {
        let [count, high, low, squares] = [0, 1, 2, 3].map(|i| f64::from(stored[i]));
        Self { count, mean: high + low, squares }
    }
}
