//! The system's clock, for everything but tests.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::bell::Bell;
use crate::frame::{Span, Step};
use crate::port::Clock;

/// Time since the value was made, from the system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&self, bell: &Arc<Bell>, seen: u64, deadline: Option<Duration>) {
        match deadline {
            Some(deadline) => bell.wait_for(seen, deadline.saturating_sub(self.now())),
            None => bell.wait(seen),
        }
    }

    fn spawn(
        &self,
        name: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<JoinHandle<()>, io::Error> {
        Builder::new().name(name.to_owned()).spawn(body)
    }

    fn time(&self, _: Step, work: &mut dyn FnMut()) -> Span {
        let begin = self.now();
        work();
        Span { begin, end: self.now() }
    }
}
