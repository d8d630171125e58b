//! A token bucket: so many messages a second, some of them at once.

use std::time::Duration;

/// Says how long to wait before the next message is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_s: f64,
    filled: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket of two seconds' messages. `now` is of any clock that only
    /// goes on.
    pub(crate) fn new(per_s: f64, now: Duration) -> Self {
        let per_s = per_s.max(0.1);
        Self { per_s, filled: 2.0 * per_s, at: now }
    }

    /// Takes one message out and says how long it has to wait.
    pub(crate) fn take(&mut self, now: Duration) -> Duration {
        let gained = now.saturating_sub(self.at).as_secs_f64() * self.per_s;
        self.at = now;
        self.filled = (self.filled + gained).min(2.0 * self.per_s) - 1.0;
        Duration::from_secs_f64((-self.filled / self.per_s).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10.0, Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..20 {
            assert_eq!(bucket.take(now), Duration::ZERO);
        }
        for _ in 0..100 {
            now += bucket.take(now);
        }
        assert!((9.9..10.1).contains(&now.as_secs_f64()), "{now:?}");
        now += Duration::from_secs(3600);
        let free = (0..100).take_while(|_| bucket.take(now).is_zero()).count();
        assert_eq!(free, 20);
    }
}
