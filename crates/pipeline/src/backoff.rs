//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Long enough not to burden a machine, short enough to go unnoticed.
const FIRST: Duration = Duration::from_millis(250);

/// A camera that is plugged in again is found within this time.
const LAST: Duration = Duration::from_secs(4);

/// Successes in a row after which a failure counts as the first again: what
/// works once between failures does not work.
const SOUND: u32 = 30;

/// Waits that double; the first failure is not waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    successes: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: Duration::ZERO, successes: 0 }
    }

    /// It failed: the wait before it is tried again.
    pub(crate) fn fail(&mut self) -> Duration {
        let wait = self.next;
        self.next = (2 * wait).clamp(FIRST, LAST);
        self.successes = 0;
        wait
    }

    /// It worked.
    pub(crate) fn succeed(&mut self) {
        self.successes = self.successes.saturating_add(1);
        if self.successes == SOUND {
            self.next = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_until_it_works_for_a_while() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..7).map(|_| backoff.fail().as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 1000, 2000, 4000, 4000]);
        backoff.succeed();
        assert_eq!(backoff.fail(), LAST);
        (0..SOUND).for_each(|_| backoff.succeed());
        assert_eq!(backoff.fail(), Duration::ZERO);
    }
}
