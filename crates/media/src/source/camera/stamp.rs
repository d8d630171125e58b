//! From the driver's time to the pipeline's.

use std::time::Duration;

/// A stamp older than this is not believed.
const OLDEST: Duration = Duration::from_secs(1);

/// When a picture was caught, as a time of the pipeline's clock: as long ago as
/// the driver's `stamp` is on its own clock, which now reads `driver_now`.
pub(super) fn captured(now: Duration, driver_now: Duration, stamp: Option<Duration>) -> Duration {
    let age = stamp.and_then(|stamp| driver_now.checked_sub(stamp));
    now.saturating_sub(age.filter(|age| *age <= OLDEST).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stamp_is_moved_to_the_pipelines_clock() {
        let at = |stamp| captured(5000 * MS, 90_000 * MS, stamp);
        assert_eq!(at(Some(89_967 * MS)), 4967 * MS);
        for not_believed in [None, Some(90_001 * MS), Some(80_000 * MS)] {
            assert_eq!(at(not_believed), 5000 * MS);
        }
        assert_eq!(captured(10 * MS, 90_000 * MS, Some(89_900 * MS)), Duration::ZERO);
    }
}
