//! When a sink shows something, and what: the newest picture at once, the same
//! one again when nothing new came, or blends on a fixed grid.

use std::time::Duration;

/// How often a sink shows a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// Each new picture at once, none twice.
    #[default]
    Arrival,
    /// Each new picture at once, and the last one again whenever a period has
    /// passed without.
    AtLeast {
        /// Pictures a second.
        fps: f64,
    },
    /// One picture each period, whether it is new or not.
    Fixed {
        /// Pictures a second.
        fps: f64,
        /// Blend from each generated picture to the next, one generated frame
        /// later than without.
        interpolate: bool,
    },
}

impl Rate {
    /// The period, if there is one; rates below one an hour or not a number
    /// count as one an hour.
    fn period(self) -> Option<Duration> {
        let (Self::AtLeast { fps } | Self::Fixed { fps, .. }) = self else { return None };
        let fps = if fps >= 1.0 / 3600.0 { fps.min(1e6) } else { 1.0 / 3600.0 };
        Some(Duration::from_secs_f64(1.0 / fps))
    }

    /// Whether pictures wait for the grid.
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed { .. })
    }

    /// Whether pictures are blended.
    pub fn interpolates(self) -> bool {
        matches!(self, Self::Fixed { interpolate: true, .. })
    }
}

/// The time of a sink's next picture.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    rate: Rate,
    period: Option<Duration>,
    next: Duration,
}

impl Pacer {
    /// A pacer whose first period begins `now`.
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, period: rate.period(), next: now }
    }

    /// When something is to be shown even if nothing new comes.
    pub fn deadline(&self) -> Option<Duration> {
        self.period.map(|_| self.next)
    }

    /// Notes that something was due and shown, beginning `now`. Periods missed
    /// by a slow sink are left out rather than made up for.
    pub fn advance(&mut self, now: Duration) {
        let Some(period) = self.period else { return };
        if !self.rate.is_fixed() {
            self.next = now + period;
            return;
        }
        self.next += period;
        if self.next <= now {
            let behind = (now - self.next).as_nanos() / period.as_nanos().max(1) + 1;
            self.next += period.saturating_mul(u32::try_from(behind).unwrap_or(u32::MAX));
        }
    }
}

/// How far a display at `now` is on its way from one picture to the next, in
/// 256ths: 0 is the old picture, 256 the new one, which arrived at `arrived` and
/// `interval` after the old one.
pub fn blend_weight(now: Duration, arrived: Duration, interval: Duration) -> u16 {
    let elapsed = now.saturating_sub(arrived);
    if elapsed >= interval {
        return 256;
    }
    (256.0 * elapsed.as_secs_f64() / interval.as_secs_f64()).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_fixed_rate_stays_on_its_grid() {
        let mut pacer = Pacer::new(Rate::Fixed { fps: 100.0, interpolate: false }, 5 * MS);
        let mut times = Vec::new();
        for late in [0, 3, 35, 0, 10] {
            let due = pacer.deadline().unwrap();
            times.push(due.as_millis());
            pacer.advance(due + late * MS);
        }
        assert_eq!(times, [5, 15, 25, 65, 75]);
        assert_eq!(pacer.deadline(), Some(95 * MS));
    }

    #[test]
    fn a_repeat_is_due_one_period_after_the_last_picture() {
        let mut pacer = Pacer::new(Rate::AtLeast { fps: 10.0 }, Duration::ZERO);
        pacer.advance(37 * MS);
        assert_eq!(pacer.deadline(), Some(137 * MS));
        assert_eq!(Pacer::new(Rate::Arrival, MS).deadline(), None);
    }

    #[test]
    fn odd_rates_have_a_period() {
        for fps in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            let mut pacer = Pacer::new(Rate::Fixed { fps, interpolate: false }, MS);
            pacer.advance(2 * MS);
            assert!(pacer.deadline() > Some(MS), "{fps}");
        }
    }

    #[test]
    fn the_weight_runs_from_old_to_new() {
        let weight = |now: u32| blend_weight(now * MS, 10 * MS, 40 * MS);
        assert_eq!([5, 10, 20, 30, 50, 99].map(weight), [0, 0, 64, 128, 256, 256]);
        assert_eq!(blend_weight(MS, MS, Duration::ZERO), 256);
    }
}
