//! What inference wants: pictures of which size, and from when on. Pictures that
//! come long before the model is free would be prepared only to be replaced, and
//! the model may be running on the same cores.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bell::Bell;
use crate::image::Size;
use crate::port::Clock;
use crate::sync::lock;

/// A camera's picture is wanted so many times the length of its making before the
/// expected end of an inference, and this share of the inference earlier, as one may
/// end early. The later, the fresher the picture is.
const SUPPLIES: f64 = 1.5;
const EARLY: f64 = 0.03;

/// The same of a picture that is drawn when it is wanted: no newer one comes while it
/// is made, and all of its lead is latency.
const DRAWN_SUPPLIES: f64 = 1.2;
const DRAWN_EARLY: f64 = 0.01;

/// But never longer before the end than this share of the inference, or than
/// this: a slow model would otherwise share its cores with pictures in vain.
const LONGEST_SHARE: f64 = 0.2;
const LONGEST_LEAD_S: f64 = 0.05;

/// The model waits up to this share of an inference for a picture that is being
/// prepared, rather than take the one before it: what that costs in rate is far
/// less than what it saves in latency.
const SETTLE: f64 = 0.04;

/// Weight of the newest frame in the expected lengths of the next.
const NEWEST: f64 = 0.25;

/// What the model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Pictures of this size.
    pub size: Size,
    /// In a device's memory, if they are there.
    pub surface: bool,
}

/// The line from inference back to preparation.
#[derive(Debug, Default)]
pub struct Demand {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    wanted: Option<Wanted>,
    /// When the next picture is wanted.
    from: Duration,
    /// When the next one is to be drawn.
    draw_from: Duration,
    /// When a fresher picture is worth drawing than the one that was drawn last.
    stale: Duration,
    /// Expected length of an inference in seconds.
    length: f64,
    /// Expected length of making a picture ready, in seconds, once one was made.
    supply: Option<f64>,
    is_preparing: bool,
    closed: bool,
}

impl State {
    /// How long before the expected end of an inference a picture is wanted, in
    /// seconds.
    fn lead(&self) -> f64 {
        self.lead_of(SUPPLIES, EARLY)
    }

    /// As [`State::lead`], of one that is drawn.
    fn drawn_lead(&self) -> f64 {
        self.lead_of(DRAWN_SUPPLIES, DRAWN_EARLY)
    }

    fn lead_of(&self, supplies: f64, early: f64) -> f64 {
        let longest = (LONGEST_SHARE * self.length).min(LONGEST_LEAD_S);
        let enough = self.supply.map(|supply| supplies * supply + early * self.length);
        enough.map_or(longest, |lead| lead.min(longest))
    }
}

impl Demand {
    /// What the model reads; none if there is no model.
    pub fn set_wanted(&self, wanted: Option<Wanted>) {
        self.change(|state| {
            if state.wanted != wanted {
                state.length = 0.0;
            }
            state.wanted = wanted;
        });
    }

    /// What the model reads; none if there is no model.
    pub fn wanted(&self) -> Option<Wanted> {
        lock(&self.state).wanted
    }

    /// The model begins a frame: no picture is wanted until it is nearly done.
    pub fn begin(&self, now: Duration) {
        self.change(|state| {
            let before_end = |lead: f64| now + Duration::from_secs_f64(state.length - lead);
            let (from, draw_from) = (before_end(state.lead()), before_end(state.drawn_lead()));
            (state.from, state.draw_from) = (from, draw_from);
            state.stale = Duration::ZERO;
        });
    }

    /// The model is free since `now`, after a frame of this length: a picture is
    /// wanted.
    pub fn end(&self, now: Duration, length: Duration) {
        self.change(|state| {
            let share = if state.length == 0.0 { 1.0 } else { NEWEST };
            state.length += share * (length.as_secs_f64() - state.length);
            state.from = state.from.min(now);
            state.draw_from = state.draw_from.min(now);
        });
    }

    /// The model has passed over a picture and is free: another is wanted now.
    pub fn again(&self) {
        self.change(|state| state.stale = Duration::ZERO);
    }

    /// A picture came from its source at that time: for one inference, one is enough, unless
    /// it has to wait.
    pub fn drawn(&self, at: Duration) {
        self.change(|state| state.stale = at + Duration::from_secs_f64(state.drawn_lead()));
    }

    /// A picture that was captured then is ready now.
    pub fn supplied(&self, captured: Duration, now: Duration) {
        self.change(|state| {
            let took = now.saturating_sub(state.from.max(captured)).as_secs_f64();
            let before = state.supply.unwrap_or(took);
            state.supply = Some(before + NEWEST * (took - before));
        });
    }

    /// A picture is being prepared, or no longer.
    pub fn set_preparing(&self, is_preparing: bool) {
        self.change(|state| state.is_preparing = is_preparing);
    }

    /// The model is free: waits a moment for the picture in preparation.
    pub fn settle(&self, clock: &dyn Clock) {
        let limit = SETTLE * lock(&self.state).length;
        let deadline = clock.now() + Duration::from_secs_f64(limit);
        loop {
            let seen = self.bell.rings();
            let is_settled = !lock(&self.state).is_preparing;
            if is_settled || clock.now() >= deadline {
                return;
            }
            clock.wait(&self.bell, seen, Some(deadline));
        }
    }

    /// No picture is wanted any more.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.bell.ring();
    }

    /// Waits until a picture is wanted and says which, or none once closed.
    pub fn wait(&self, clock: &dyn Clock) -> Option<Wanted> {
        self.wait_until(clock, |state| state.from)
    }

    /// As [`Demand::wait`], for pictures that are drawn when they are wanted.
    pub fn wait_to_draw(&self, clock: &dyn Clock) -> Option<Wanted> {
        self.wait_until(clock, |state| state.draw_from.max(state.stale))
    }

    fn wait_until(&self, clock: &dyn Clock, time: fn(&State) -> Duration) -> Option<Wanted> {
        loop {
            let seen = self.bell.rings();
            let (wanted, from, closed) = {
                let state = lock(&self.state);
                (state.wanted, time(&state), state.closed)
            };
            if closed {
                return None;
            }
            if wanted.is_some() && clock.now() >= from {
                return wanted;
            }
            clock.wait(&self.bell, seen, wanted.map(|_| from));
        }
    }
}
