//! The governor behind `--target-fps`: from how long recent frames took, when
//! to work at a smaller size, and when at a larger one again. It only decides;
//! whoever asks it loads the stage.

use std::time::Duration;

use crate::image::Size;

/// Frames between two decisions: enough for a median that one slow frame does
/// not move.
pub const WINDOW: usize = 12;

/// A size is left when the median frame is this much longer than the deadline.
const TOO_SLOW: f64 = 1.05;

/// A larger size is tried when its frames are expected to take less than this
/// share of the deadline. Between the two nothing changes (hysteresis).
const EASY: f64 = 0.85;

/// What the governor is to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Longest time for one frame: one over the target rate.
    pub deadline: Duration,
    /// Time at a smaller size before a larger one is tried.
    pub patience: Duration,
}

/// What the governor knows.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The sizes to choose from, largest first.
    pub sizes: &'a [Size],
    /// The one in use, as an index.
    pub current: usize,
    /// Lengths of the newest frames at the current size, since it was taken up.
    pub recent: &'a [Duration],
    /// What a frame costs at each size, in any unit: only ratios matter.
    pub costs: &'a [f64],
    /// For how long the current size has been in use.
    pub since_change: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Keep,
    /// Go down to this index of the sizes.
    Lower(usize),
    /// Go up to this index of the sizes.
    Restore(usize),
}

/// Decides from the newest [`WINDOW`] frames; with fewer it keeps the size.
pub fn decide(policy: &Policy, observed: &Observed<'_>) -> Decision {
    let Some(window) = observed.recent.last_chunk::<WINDOW>() else { return Decision::Keep };
    let (median, deadline) = (median(*window), policy.deadline.as_secs_f64());
    if median > TOO_SLOW * deadline {
        return lower(observed, median, deadline);
    }
    if observed.since_change < policy.patience {
        return Decision::Keep;
    }
    restore(observed, median, deadline)
}

fn median(mut window: [Duration; WINDOW]) -> f64 {
    window.sort_unstable();
    window[WINDOW / 2].as_secs_f64()
}

/// The largest smaller size that is expected to hold the deadline, or the
/// smallest.
fn lower(observed: &Observed<'_>, median: f64, deadline: f64) -> Decision {
    let smaller = observed.current + 1..observed.sizes.len();
    let holds = |&to: &usize| expected(observed, median, to) <= deadline;
    match smaller.clone().find(holds).or(smaller.last()) {
        Some(to) => Decision::Lower(to),
        None => Decision::Keep,
    }
}

/// The next larger size, if its frames are expected to be easy.
fn restore(observed: &Observed<'_>, median: f64, deadline: f64) -> Decision {
    match observed.current.checked_sub(1) {
        Some(to) if expected(observed, median, to) < EASY * deadline => Decision::Restore(to),
        _ => Decision::Keep,
    }
}

/// The length of a frame at another size, in seconds.
fn expected(observed: &Observed<'_>, median: f64, to: usize) -> f64 {
    median * observed.costs[to] / observed.costs[observed.current]
}

/// The decisions over time: keeps what [`decide`] needs. A size costs its area
/// until a switch has shown what it costs beside another one; so one that is
/// slower than its area is not tried again and again.
#[derive(Clone, Debug)]
pub struct Governor {
    policy: Policy,
    sizes: Vec<Size>,
    costs: Vec<f64>,
    current: usize,
    /// The size before the last switch and its last median in seconds.
    left: Option<(usize, f64)>,
    recent: Vec<Duration>,
    changed: Duration,
}

impl Governor {
    /// Starts at the first of `sizes`, which go from large to small.
    pub fn new(policy: Policy, sizes: Vec<Size>) -> Self {
        let costs = sizes.iter().map(|size| size.area() as f64).collect();
        let recent = Vec::with_capacity(WINDOW);
        Self { policy, sizes, costs, current: 0, left: None, recent, changed: Duration::ZERO }
    }

    /// Takes in a frame that was inferred at `size` in `length` and ended `now`,
    /// and returns the size to load, if another than before. Frames of other
    /// sizes, made while the switch is under way, tell nothing.
    pub fn observe(&mut self, size: Size, length: Duration, now: Duration) -> Option<Size> {
        if self.sizes.get(self.current) != Some(&size) {
            self.changed = now;
            return None;
        }
        self.remember(length);
        let observed = Observed {
            sizes: &self.sizes,
            current: self.current,
            recent: &self.recent,
            costs: &self.costs,
            since_change: now.saturating_sub(self.changed),
        };
        match decide(&self.policy, &observed) {
            Decision::Keep => None,
            Decision::Lower(to) | Decision::Restore(to) => Some(self.change(to, now)),
        }
    }

    /// Goes back to `size`, when what should replace it could not be loaded.
    pub fn stay(&mut self, size: Size, now: Duration) {
        if let Some(index) = self.sizes.iter().position(|&other| other == size) {
            self.change(index, now);
            self.left = None;
        }
    }

    fn remember(&mut self, length: Duration) {
        if self.recent.len() == WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(length);
        let Some(median) = self.median() else { return };
        if let Some((left, before)) = self.left.take() {
            self.costs[self.current] = self.costs[left] * median / before;
        }
    }

    fn median(&self) -> Option<f64> {
        self.recent.last_chunk().copied().map(median).filter(|&median| median > 0.0)
    }

    fn change(&mut self, to: usize, now: Duration) -> Size {
        self.left = self.median().map(|median| (self.current, median));
        self.recent.clear();
        (self.current, self.changed) = (to, now);
        self.sizes[to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [Size; 3] = [Size::new(512, 512), Size::new(384, 384), Size::new(320, 320)];
    const MS: Duration = Duration::from_millis(1);
    const POLICY: Policy =
        Policy { deadline: Duration::from_millis(50), patience: Duration::from_secs(3) };

    fn decision(current: usize, frame: Duration, since_change: Duration) -> Decision {
        let (recent, costs) = ([frame; WINDOW], SIZES.map(|size| size.area() as f64));
        let sizes = &SIZES;
        decide(&POLICY, &Observed { sizes, current, recent: &recent, costs: &costs, since_change })
    }

    #[test]
    fn the_deadline_is_held_by_the_largest_size_that_can() {
        let second = Duration::from_secs(1);
        assert_eq!(decision(0, 50 * MS, second), Decision::Keep);
        assert_eq!(decision(0, 52 * MS, second), Decision::Keep);
        assert_eq!(decision(0, 60 * MS, second), Decision::Lower(1));
        assert_eq!(decision(0, 120 * MS, second), Decision::Lower(2));
        assert_eq!(decision(0, 900 * MS, second), Decision::Lower(2));
        assert_eq!(decision(2, 900 * MS, second), Decision::Keep);
    }

    #[test]
    fn a_larger_size_is_tried_when_it_is_easy_and_not_too_soon() {
        let (early, late) = (Duration::from_secs(1), Duration::from_secs(9));
        assert_eq!(decision(1, 20 * MS, late), Decision::Restore(0));
        assert_eq!(decision(1, 20 * MS, early), Decision::Keep);
        assert_eq!(decision(1, 25 * MS, late), Decision::Keep);
        assert_eq!(decision(0, MS, late), Decision::Keep);
    }

    #[test]
    fn one_slow_frame_and_too_few_frames_change_nothing() {
        let mut recent = [40 * MS; WINDOW];
        recent[5] = Duration::from_secs(2);
        let mut observed = Observed {
            sizes: &SIZES,
            current: 0,
            recent: &recent,
            costs: &[3.0, 2.0, 1.0],
            since_change: Duration::from_secs(9),
        };
        assert_eq!(decide(&POLICY, &observed), Decision::Keep);
        let slow = [Duration::from_secs(1); WINDOW - 1];
        observed.recent = &slow;
        assert_eq!(decide(&POLICY, &observed), Decision::Keep);
    }

    /// Frame times in proportion to area^power, in ms at 512x512.
    fn simulate(at_512: impl Fn(u64) -> f64, power: f64, frames: u64) -> Vec<(u64, Size)> {
        let mut governor = Governor::new(POLICY, SIZES.to_vec());
        let (mut size, mut now, mut changes) = (SIZES[0], Duration::ZERO, Vec::new());
        for frame in 0..frames {
            let share = size.area() as f64 / SIZES[0].area() as f64;
            let length = Duration::from_secs_f64(at_512(frame) * share.powf(power) / 1e3);
            now += length;
            if let Some(to) = governor.observe(size, length, now) {
                changes.push((frame, to));
                size = to;
            }
        }
        changes
    }

    #[test]
    fn a_slow_spell_lowers_and_then_restores() {
        let spell = |frame| if (100..400).contains(&frame) { 75.0 } else { 35.0 };
        let changes = simulate(spell, 1.0, 1000);
        let sizes: Vec<_> = changes.iter().map(|&(_, size)| size).collect();
        assert_eq!(sizes, [SIZES[1], SIZES[0]]);
        assert!(changes[0].0 < 100 + WINDOW as u64 && changes[1].0 >= 400, "{changes:?}");
    }

    #[test]
    fn a_size_slower_than_its_area_does_not_make_it_swing() {
        let changes = simulate(|_| 60.0, 1.8, 5000);
        assert_eq!(changes.len(), 1, "{changes:?}");
    }
}
