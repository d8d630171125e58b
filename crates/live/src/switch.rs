//! The source of a session: whichever one is wanted, opened while the pipeline
//! runs.

use std::sync::Arc;
use std::time::Duration;

use laterna_pipeline::port::{Aim, Clock, OpenSource, PortError, Read, Source};
use laterna_pipeline::settings::Live;
use laterna_pipeline::{Bell, Image};

use crate::hub::Hub;
use crate::ports::Ports;

/// How long a source that has ended is waited for before it is asked whether
/// another one is wanted.
const IDLE: Duration = Duration::from_millis(20);

/// What is wanted of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub spec: String,
    /// Counts the requests, so that the same name opens it anew.
    pub request: u64,
}

/// What opens the wanted source, for the pipeline.
pub fn opener(
    ports: Arc<dyn Ports>,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    wanted: Arc<Live<Wanted>>,
) -> OpenSource {
    Box::new(move || {
        let want = wanted.get().value;
        let (source, choice) = ports.open_source(&want.spec)?;
        hub.source_opened(choice);
        Ok(Box::new(Switch {
            ports: Arc::clone(&ports),
            clock: Arc::clone(&clock),
            hub: Arc::clone(&hub),
            wanted: Arc::clone(&wanted),
            request: want.request,
            source,
            has_ended: false,
        }))
    })
}

struct Switch {
    ports: Arc<dyn Ports>,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    wanted: Arc<Live<Wanted>>,
    request: u64,
    source: Box<dyn Source>,
    has_ended: bool,
}

impl Source for Switch {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        self.follow();
        if self.has_ended {
            self.clock.wait(&Arc::new(Bell::default()), 0, Some(self.clock.now() + IDLE));
            return Ok(Read::Nothing);
        }
        let read = self.source.read(image)?;
        if read != Read::End {
            return Ok(read);
        }
        self.has_ended = true;
        self.hub.source_ended();
        Ok(Read::Nothing)
    }

    fn rests(&self) -> bool {
        self.source.rests() && !self.has_ended
    }

    fn aim(&mut self, aim: Aim) {
        self.source.aim(aim);
    }

    fn note(&mut self) -> Option<String> {
        self.source.note()
    }
}

impl Switch {
    /// Opens the source that is wanted now; if it cannot be, the old one stays.
    fn follow(&mut self) {
        let want = self.wanted.get().value;
        if want.request == self.request {
            return;
        }
        self.request = want.request;
        match self.ports.open_source(&want.spec) {
            Ok((source, choice)) => {
                (self.source, self.has_ended) = (source, false);
                self.hub.source_opened(choice);
            }
            Err(error) => self.hub.source_refused(&want.spec, &error),
        }
    }
}
