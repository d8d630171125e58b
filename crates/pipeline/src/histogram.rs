//! A histogram of durations in bounded memory: 64 buckets to each power of two
//! of microseconds, as HdrHistogram lays them out, so that a percentile is at
//! most 1/64 too long and never too short.

use std::time::Duration;

use serde::Serialize;

/// Buckets to each power of two, as a power of two.
const BITS: u32 = 6;

/// Longer durations count as 2^32 microseconds, 71 minutes.
const MAX_US: u64 = u32::MAX as u64;

const BUCKETS: usize = (32 - BITS as usize + 1) << BITS;

/// Counts of durations.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Box<[u32]>,
    count: u64,
    sum: Duration,
    max: Duration,
}

/// What a histogram comes to, in milliseconds; all zero where nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Durations counted.
    pub count: u64,
    /// Their mean, exact.
    pub mean_ms: f64,
    /// Half are no longer.
    pub p50_ms: f64,
    /// 95 in 100 are no longer.
    pub p95_ms: f64,
    /// 99 in 100 are no longer.
    pub p99_ms: f64,
    /// The longest, exact.
    pub max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = vec![0; BUCKETS].into_boxed_slice();
        Self { buckets, count: 0, sum: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, length: Duration) {
        let us = u64::try_from(length.as_micros()).unwrap_or(MAX_US).min(MAX_US);
        let bucket = &mut self.buckets[bucket(us)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(length);
        self.max = self.max.max(length);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.sum, self.max) = (0, Duration::ZERO, Duration::ZERO);
    }

    /// The percentiles.
    pub fn percentiles(&self) -> Percentiles {
        Self::joint([self])
    }

    /// The percentiles of several histograms as if they were one.
    pub fn joint<const N: usize>(parts: [&Self; N]) -> Percentiles {
        let count: u64 = parts.iter().map(|part| part.count).sum();
        let sum: Duration = parts.iter().map(|part| part.sum).sum();
        let max = parts.iter().map(|part| part.max).max().unwrap_or_default();
        let quantile = |per_cent: u64| {
            let rank = (count * per_cent).div_ceil(100);
            millis(Duration::from_micros(value_at(parts, rank)).min(max))
        };
        Percentiles {
            count,
            mean_ms: millis(sum) / count.max(1) as f64,
            p50_ms: quantile(50),
            p95_ms: quantile(95),
            p99_ms: quantile(99),
            max_ms: millis(max),
        }
    }
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

/// The upper end of the bucket that holds the duration of this rank, from 1.
fn value_at<const N: usize>(parts: [&Histogram; N], rank: u64) -> u64 {
    let mut below = 0;
    for i in 0..BUCKETS {
        below += parts.iter().map(|part| u64::from(part.buckets[i])).sum::<u64>();
        if below >= rank && below > 0 {
            return upper(i);
        }
    }
    0
}

/// Values below 64 have a bucket each; above, a value's leading 7 bits name it.
fn bucket(us: u64) -> usize {
    let shift = (u64::BITS - us.leading_zeros()).saturating_sub(BITS + 1);
    ((shift as usize) << BITS) + (us >> shift) as usize
}

/// The first value past a bucket; below 64 the value itself, which is exact.
fn upper(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let lead = (bucket - (shift << BITS)) as u64;
    if shift == 0 { lead } else { (lead + 1) << shift }
}

/// Durations since the start, and of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    total: Histogram,
    recent: [Histogram; 2],
    next_window: Duration,
}

/// Half of what [`Timing::recent`] covers: it spans one to two windows.
const WINDOW: Duration = Duration::from_secs(5);

impl Timing {
    /// Counts a duration that ended `now`.
    pub fn record(&mut self, now: Duration, length: Duration) {
        self.turn(now);
        self.total.record(length);
        self.recent[0].record(length);
    }

    /// Percentiles since the start.
    pub fn total(&self) -> Percentiles {
        self.total.percentiles()
    }

    /// Percentiles of the five to ten seconds before `now`.
    pub fn recent(&mut self, now: Duration) -> Percentiles {
        self.turn(now);
        let [current, previous] = &self.recent;
        Histogram::joint([current, previous])
    }

    fn turn(&mut self, now: Duration) {
        if now < self.next_window {
            return;
        }
        self.recent.swap(0, 1);
        self.recent[0].clear();
        if now >= self.next_window + WINDOW {
            self.recent[1].clear();
        }
        self.next_window = now + WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_narrow_and_holds_its_value() {
        let mut us = 0;
        while us <= MAX_US {
            let i = bucket(us);
            assert!(i < BUCKETS, "{us}");
            let width = upper(i).max(us) - us;
            assert!(upper(i) >= us && width <= us / 64 + 1, "{us}: {}", upper(i));
            us += us / 97 + 1;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        (1..=1000).rev().for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let found = histogram.percentiles();
        for (found, sorted) in [(found.p50_ms, 500.0), (found.p95_ms, 950.0), (found.p99_ms, 990.0)]
        {
            assert!(found >= sorted && found <= sorted * (1.0 + 1.0 / 64.0), "{found} {sorted}");
        }
        assert_eq!((found.count, found.mean_ms, found.max_ms), (1000, 500.5, 1000.0));
    }

    #[test]
    fn nothing_and_the_endless_are_counted_too() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        histogram.record(Duration::MAX);
        assert_eq!(histogram.percentiles().count, 1);
    }

    #[test]
    fn recent_forgets_what_is_old() {
        let mut timing = Timing::default();
        let second = Duration::from_secs(1);
        (0..20).for_each(|i| timing.record(i * second, i * second));
        let recent = timing.recent(20 * second);
        assert!(recent.count >= 5 && recent.count <= 10, "{}", recent.count);
        assert_eq!(timing.total().count, 20);
        assert_eq!(timing.recent(60 * second).count, 0);
    }
}
