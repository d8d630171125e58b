//! A sink's thread: shows the newest frame at the sink's rate, and says of each
//! picture whether it is new, the same again, or a blend.

use std::sync::Arc;
use std::time::Duration;

use super::outlets::Outlet;
use super::shared::Shared;
use crate::blend::interpolate;
use crate::event::Event;
use crate::frame::{Frame, Span};
use crate::guard::guarded;
use crate::image::Image;
use crate::pace::{Pacer, Rate, blend_weight};
use crate::port::{Clock, Kind, PortError, Shown, Sink};
use crate::slot::Taken;

/// After a pause the first blend takes no longer than this.
const LONGEST_BLEND: Duration = Duration::from_secs(1);

pub(super) struct Present {
    outlet: Arc<Outlet>,
    rate: Rate,
    sink: Box<dyn Sink>,
    newest: Option<Arc<Frame>>,
    /// The frame before, if pictures are blended.
    previous: Option<Arc<Frame>>,
    /// The newest sequence number that this sink has shown as it is.
    shown: Option<u64>,
    blend: Image,
}

/// A picture to show: of which frame, and what it is.
struct Choice {
    frame: Arc<Frame>,
    kind: Kind,
}

impl Present {
    pub(super) fn new(outlet: Arc<Outlet>, rate: Rate, sink: Box<dyn Sink>) -> Self {
        let (shown, blend) = (outlet.joined_at, Image::default());
        Self { outlet, rate, sink, newest: None, previous: None, shown, blend }
    }

    pub(super) fn run<S: Send + Sync + 'static>(mut self, shared: &Arc<Shared<S>>) {
        if let Err(error) = self.show_all(shared) {
            let name = Arc::clone(&self.outlet.name);
            shared.outlets.remove(self.outlet.id, &shared.stats);
            shared.report(Event::SinkFailed { name, error });
        }
    }

    fn show_all<S: Send + Sync + 'static>(&mut self, shared: &Shared<S>) -> Result<(), PortError> {
        let clock = &*shared.clock;
        let mut pacer = Pacer::new(self.rate, clock.now());
        while self.wait(clock, pacer.deadline()) {
            pacer.advance(clock.now());
            let Some(Choice { frame, kind }) = self.choose(clock.now()) else { continue };
            let image = if kind == Kind::Interpolated { &self.blend } else { &frame.painting };
            let begin = clock.now();
            guarded(|| self.sink.show(&Shown { frame: &frame, image, kind }))?;
            let show = Span { begin, end: clock.now() };
            shared.stats.shown(self.outlet.id.number(), kind, frame.trail.captured, show);
        }
        Ok(())
    }

    /// Waits until something is to be shown; false once the sink is closed.
    fn wait(&mut self, clock: &dyn Clock, deadline: Option<Duration>) -> bool {
        let slot = &self.outlet.slot;
        if let (true, Some(deadline)) = (self.rate.is_fixed(), deadline) {
            let open = slot.hold(clock, deadline);
            let frame = slot.try_take();
            frame.into_iter().for_each(|frame| self.receive(frame));
            return open;
        }
        match slot.take(clock, deadline) {
            Taken::Value(frame) => self.receive(frame),
            Taken::Late => {}
            Taken::Closed => return false,
        }
        true
    }

    fn receive(&mut self, frame: Arc<Frame>) {
        let before = self.newest.replace(frame);
        if self.rate.interpolates() {
            self.previous = before;
        }
    }

    fn choose(&mut self, now: Duration) -> Option<Choice> {
        let newest = self.newest.clone()?;
        match self.previous.clone().map(|previous| (weight(&previous, &newest, now), previous)) {
            Some((0, previous)) => Some(self.as_it_is(previous)),
            Some((weight, previous)) if weight < 256 => {
                self.blend.reset(newest.painting.size());
                let (from, to) = (previous.painting.rgb(), newest.painting.rgb());
                interpolate(self.blend.rgb_mut(), from, to, weight);
                Some(Choice { frame: newest, kind: Kind::Interpolated })
            }
            _ => Some(self.as_it_is(newest)),
        }
    }

    fn as_it_is(&mut self, frame: Arc<Frame>) -> Choice {
        let sequence = frame.trail.sequence;
        let is_new = self.shown.is_none_or(|shown| shown < sequence);
        if is_new {
            self.shown = Some(sequence);
        }
        Choice { frame, kind: if is_new { Kind::Unique } else { Kind::Repeated } }
    }
}

/// How far the display is from `previous` to `newest`, in 256ths; there is no way
/// between two scenes or sizes.
fn weight(previous: &Frame, newest: &Frame, now: Duration) -> u16 {
    let (before, after) = (&previous.trail, &newest.trail);
    if before.scene != after.scene || previous.painting.size() != newest.painting.size() {
        return 256;
    }
    let interval = after.finish.end.saturating_sub(before.finish.end);
    blend_weight(now, after.finish.end, interval.min(LONGEST_BLEND))
}
