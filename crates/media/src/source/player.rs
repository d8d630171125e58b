//! From recorded pictures with times to a source: played in real time, where
//! pictures that come too late are left out, or read as fast as they are
//! wanted, each one with its time in the recording.

use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::port::{Aim, Clock, PortError, Read, Source};
use laterna_pipeline::{Bell, Image, Size};

use super::error::SourceError;

/// How pictures that have times of their own are given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// When they are due on the clock. `captured` is that time.
    #[default]
    Live,
    /// Every picture at once when it is asked for. `captured` is its time in
    /// the recording, from 0.
    Offline,
}

/// A read waits no longer than this.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

/// A recording that is further behind than this goes on from where it is: the
/// machine slept or the stream stood still.
const LOST: Duration = Duration::from_secs(1);

/// Pictures with times, in order.
pub(super) trait Frames: Send {
    /// Decodes the next picture into `image`.
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError>;

    /// Goes back to the first picture.
    fn rewind(&mut self) -> Result<(), SourceError>;

    /// Pictures before `at` need not be made, if leaving them out saves work.
    fn skip_to(&mut self, _at: Duration) {}

    /// Of pictures that are drawn for whichever moment they are asked for: how far
    /// apart they are at least. Played live they are never drawn ahead.
    fn drawn_every(&self) -> Option<Duration> {
        None
    }

    /// The size that drawn pictures are prepared for, see [`Source::aim`].
    fn aim(&mut self, _size: Size) {}
}

/// What came of asking for the next picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A picture that is shown `at` this time after the recording's start.
    Picture { at: Duration },
    /// None yet, though some milliseconds were waited for it.
    Later,
    /// No more.
    End,
}

/// The time of a number of ticks, of which there are so many a second.
///
/// # Panics
/// If there are none a second.
pub(super) fn time_of(ticks: u128, a_second: u128) -> Duration {
    let seconds = u64::try_from(ticks / a_second).unwrap_or(u64::MAX);
    Duration::new(seconds, (ticks % a_second * 1_000_000_000 / a_second) as u32)
}

/// A source that plays [`Frames`].
pub(super) struct Player<F> {
    frames: F,
    clock: Arc<dyn Clock>,
    pace: Pace,
    repeat: bool,
    /// The clock's time of the recording's time 0.
    start: Option<Duration>,
    /// The decoded picture and when it is due; of drawn ones, when the next is.
    held: Image,
    due: Option<Duration>,
    track: Track,
    /// Never rings: waiting for it is waiting for a deadline.
    never: Arc<Bell>,
}

impl<F: Frames> Player<F> {
    pub(super) fn new(frames: F, clock: &Arc<dyn Clock>, pace: Pace, repeat: bool) -> Self {
        let clock = Arc::clone(clock);
        let (start, held, due) = (None, Image::default(), None);
        let (track, never) = (Track::default(), Arc::default());
        Self { frames, clock, pace, repeat, start, held, due, track, never }
    }

    /// The next picture and its time since the first round's start.
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        match self.frames.next(image)? {
            Next::Picture { at } => Ok(Next::Picture { at: self.track.pass(at) }),
            Next::End if self.repeat && self.track.any => {
                self.frames.rewind()?;
                self.track.again();
                Ok(Next::Later)
            }
            other => Ok(other),
        }
    }

    fn read_offline(&mut self, image: &mut Image) -> Result<Read, SourceError> {
        Ok(match self.next(image)? {
            Next::Picture { at } => Read::Picture { captured: at },
            Next::Later => Read::Nothing,
            Next::End => Read::End,
        })
    }

    fn read_live(&mut self, image: &mut Image) -> Result<Read, SourceError> {
        let until = self.clock.now() + PATIENCE;
        let due = match self.due {
            Some(due) => due,
            None => match self.decode(until)? {
                Next::Picture { at } => at,
                Next::Later => return Ok(Read::Nothing),
                Next::End => return Ok(Read::End),
            },
        };
        self.due = Some(due);
        if !self.wait(due, until) {
            return Ok(Read::Nothing);
        }
        self.due = None;
        std::mem::swap(&mut self.held, image);
        Ok(Read::Picture { captured: due })
    }

    /// Draws a picture of this very moment, once the one before is over: `due`. If
    /// that had to be waited for, the reader may no longer want one.
    fn read_drawn(&mut self, interval: Duration, image: &mut Image) -> Result<Read, SourceError> {
        let (now, due) = (self.clock.now(), self.due.unwrap_or_default());
        let until = now + PATIENCE;
        if now < due {
            self.wait(due, until);
            return Ok(Read::Nothing);
        }
        Ok(match self.decode(until)? {
            Next::Picture { at } => {
                self.due = Some(at + interval);
                std::mem::swap(&mut self.held, image);
                Read::Picture { captured: at }
            }
            Next::Later => Read::Nothing,
            Next::End => Read::End,
        })
    }

    /// Decodes the next picture that is not over already, or the one at hand
    /// when `until` comes. `at` is a time of the clock.
    fn decode(&mut self, until: Duration) -> Result<Next, SourceError> {
        loop {
            if let Some(start) = self.start {
                self.frames.skip_to(self.clock.now().saturating_sub(start + self.track.offset));
            }
            let mut held = std::mem::take(&mut self.held);
            let next = self.next(&mut held);
            self.held = held;
            let now = self.clock.now();
            match next? {
                Next::Picture { at } => {
                    let due = self.due_at(at, now);
                    if due + self.track.interval >= now || now >= until {
                        return Ok(Next::Picture { at: due });
                    }
                }
                Next::Later if now >= until => return Ok(Next::Later),
                Next::Later => {}
                Next::End => return Ok(Next::End),
            }
        }
    }

    fn due_at(&mut self, at: Duration, now: Duration) -> Duration {
        let start = *self.start.get_or_insert(now.saturating_sub(at));
        let due = start + at;
        if due + LOST >= now {
            return due;
        }
        self.start = Some(now.saturating_sub(at));
        now
    }

    /// Waits for `due` but not beyond `until`; whether it has come.
    fn wait(&self, due: Duration, until: Duration) -> bool {
        let deadline = due.min(until);
        while self.clock.now() < deadline {
            self.clock.wait(&self.never, self.never.rings(), Some(deadline));
        }
        self.clock.now() >= due
    }
}

impl<F: Frames> Source for Player<F> {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        Ok(match (self.pace, self.frames.drawn_every()) {
            (Pace::Live, None) => self.read_live(image)?,
            (Pace::Live, Some(interval)) => self.read_drawn(interval, image)?,
            (Pace::Offline, _) => self.read_offline(image)?,
        })
    }

    fn rests(&self) -> bool {
        self.frames.drawn_every().is_some() && self.pace == Pace::Live
    }

    fn aim(&mut self, aim: Aim) {
        self.frames.aim(aim.size);
    }
}

/// Where in the recording, and in which round, the player is.
#[derive(Debug)]
struct Track {
    /// Where this round begins.
    offset: Duration,
    /// This round's last picture, and how long after the one before.
    last: Duration,
    interval: Duration,
    /// Whether this round had a picture.
    any: bool,
}

impl Default for Track {
    fn default() -> Self {
        let interval = Duration::from_millis(40);
        Self { offset: Duration::ZERO, last: Duration::ZERO, interval, any: false }
    }
}

impl Track {
    fn pass(&mut self, at: Duration) -> Duration {
        if self.any && at > self.last {
            self.interval = at - self.last;
        }
        (self.last, self.any) = (at, true);
        self.offset + at
    }

    /// The last picture of a round stays as long as the one before it.
    fn again(&mut self) {
        self.offset += self.last + self.interval;
        (self.last, self.any) = (Duration::ZERO, false);
    }
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::Size;
    use laterna_pipeline::sim::SimClock;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Pictures of one pixel whose value is their number, 10 ms apart; making
    /// one takes `cost`.
    struct Numbers {
        clock: SimClock,
        cost: Duration,
        count: u8,
        next: u8,
    }

    impl Frames for Numbers {
        fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
            if self.next == self.count {
                return Ok(Next::End);
            }
            self.clock.sleep(self.cost);
            image.reset(Size::new(1, 1));
            image.rgb_mut().fill(self.next);
            self.next += 1;
            Ok(Next::Picture { at: u32::from(self.next - 1) * 10 * MS })
        }

        fn rewind(&mut self) -> Result<(), SourceError> {
            self.next = 0;
            Ok(())
        }
    }

    /// Numbers and times in ms of the pictures that come, until `limit` or the end.
    fn play(count: u8, cost: Duration, pace: Pace, repeat: bool, limit: usize) -> Vec<(u8, u128)> {
        let clock = SimClock::new();
        clock.sleep(1000 * MS);
        let frames = Numbers { clock: clock.clone(), cost, count, next: 0 };
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let mut player = Player::new(frames, &shared, pace, repeat);
        let (mut image, mut seen) = (Image::default(), Vec::new());
        while seen.len() < limit {
            let before = clock.now();
            let read = player.read(&mut image).unwrap();
            assert!(clock.now() - before <= PATIENCE + 2 * cost);
            match read {
                Read::Picture { captured } => seen.push((image.rgb()[0], captured.as_millis())),
                Read::Nothing => {}
                Read::End => break,
            }
        }
        seen
    }

    #[test]
    fn a_recording_plays_in_real_time() {
        let seen = play(4, Duration::ZERO, Pace::Live, false, 9);
        assert_eq!(seen, [(0, 1000), (1, 1010), (2, 1020), (3, 1030)]);
    }

    #[test]
    fn offline_every_picture_comes_with_its_time() {
        let seen = play(3, 50 * MS, Pace::Offline, false, 9);
        assert_eq!(seen, [(0, 0), (1, 10), (2, 20)]);
    }

    #[test]
    fn a_recording_begins_again_where_the_last_picture_is_over() {
        let seen = play(2, Duration::ZERO, Pace::Live, true, 5);
        assert_eq!(seen, [(0, 1000), (1, 1010), (0, 1020), (1, 1030), (0, 1040)]);
        let seen = play(2, Duration::ZERO, Pace::Offline, true, 3);
        assert_eq!(seen, [(0, 0), (1, 10), (0, 20)]);
        assert_eq!(play(0, Duration::ZERO, Pace::Live, true, 5), []);
    }

    #[test]
    fn a_slow_decoder_leaves_pictures_out_and_keeps_time() {
        let seen = play(40, 15 * MS, Pace::Live, false, 10);
        assert_eq!(seen.len(), 10);
        for pair in seen.windows(2) {
            assert!(pair[1].0 > pair[0].0 && pair[1].1 > pair[0].1, "{seen:?}");
        }
        assert!(seen[9].0 > 9, "{seen:?}");
    }

    #[test]
    fn a_hopelessly_slow_decoder_shows_what_it_has() {
        let seen = play(9, 1500 * MS, Pace::Live, false, 9);
        assert_eq!(
            seen.iter().map(|&(number, _)| number).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
    }
}
