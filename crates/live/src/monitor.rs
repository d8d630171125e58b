//! The session's own sink: keeps the newest frame for snapshots, and holds the
//! frame rate target.

use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use laterna_control::Size;
use laterna_pipeline::govern::{Governor, Policy};
use laterna_pipeline::port::{Kind, PortError, Shown, Sink};

use crate::session::Inner;
use crate::sizes;

/// Time at a smaller size before a larger one is tried.
const PATIENCE: Duration = Duration::from_secs(6);

/// The governor and what it is for.
#[derive(Default)]
pub struct Target {
    governor: Mutex<Option<Governor>>,
}

impl Target {
    /// Holds `fps` from now on, by sizes up to `size`; 0 holds nothing.
    pub fn set(&self, fps: f32, size: Size) {
        let size = laterna_pipeline::Size::new(size.width, size.height);
        *self.lock() = (fps > 0.0).then(|| {
            let deadline = Duration::from_secs_f64(1.0 / f64::from(fps));
            Governor::new(Policy { deadline, patience: PATIENCE }, sizes::ladder(size))
        });
    }

    /// The size in use stays, because the next one could not be loaded.
    pub fn stay(&self, size: Size, now: Duration) {
        if let Some(governor) = &mut *self.lock() {
            governor.stay(laterna_pipeline::Size::new(size.width, size.height), now);
        }
    }

    fn observe(&self, shown: &Shown<'_>) -> Option<Size> {
        let (size, infer) = (shown.frame.painting.size(), shown.frame.trail.infer);
        let next = self.lock().as_mut()?.observe(size, infer.length(), infer.end)?;
        Some(Size { width: next.width, height: next.height })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Governor>> {
        self.governor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Monitor {
    pub session: Weak<Inner>,
}

impl Sink for Monitor {
    fn show(&mut self, shown: &Shown<'_>) -> Result<(), PortError> {
        let (Kind::Unique, Some(session)) = (shown.kind, self.session.upgrade()) else {
            return Ok(());
        };
        session.saw(shown.frame);
        if let Some(size) = session.target.observe(shown) {
            session.resize(size);
        }
        Ok(())
    }
}
