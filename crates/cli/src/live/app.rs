//! The session as the page's server sees it.

use std::sync::Arc;
use std::time::Duration;

use laterna_control::{Command, State};
use laterna_live::Session;
use laterna_media::sink::jpeg;
use laterna_pipeline::Image;
use laterna_pipeline::frame::Frame;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Clock, Sink};
use laterna_pipeline::stats::Snapshot;
use laterna_web::{App, Attachment, Demand, EncodeJpeg, Refused};

use super::ports::LivePorts;

/// A session with its ports and its clock.
pub struct Page {
    pub session: Session,
    pub ports: Arc<LivePorts>,
    pub clock: Arc<dyn Clock>,
}

impl App for Page {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn state(&self) -> State {
        self.session.state()
    }

    fn statistics(&self) -> Snapshot {
        self.session.statistics()
    }

    fn command(&self, command: Command) -> Result<(), Refused> {
        self.session.command(command).map_err(|refused| match refused {
            laterna_live::Refused::Invalid(invalid) => Refused::Invalid(invalid),
            laterna_live::Refused::Failed(error) => {
                Refused::Failed { why: error.to_string(), hint: None }
            }
            other => Refused::NotNow { why: other.to_string(), hint: None },
        })
    }

    fn attach(&self, name: &str, rate: Rate, sink: Box<dyn Sink>) -> Result<Attachment, Refused> {
        let id = self.session.add_sink(name, rate, sink).map_err(|error| Refused::Failed {
            why: format!("no thread can be started: {error}"),
            hint: None,
        })?;
        let session = self.session.clone();
        Ok(Attachment::new(id.number(), move || session.remove_sink(id)))
    }

    fn wait_for_demand(&self, limit: Duration) -> Demand {
        self.ports.wait_for_demand(limit)
    }

    fn push(&self, image: &mut Image, captured: Duration) {
        self.ports.push(image, captured);
    }

    fn frame(&self) -> Option<Arc<Frame>> {
        self.session.newest()
    }

    fn encoder(&self) -> Box<dyn EncodeJpeg> {
        Box::new(Jpeg(jpeg::Encoder::default()))
    }
}

struct Jpeg(jpeg::Encoder);

impl EncodeJpeg for Jpeg {
    fn encode(&mut self, image: &Image, quality: u8, out: &mut Vec<u8>) -> Result<(), String> {
        self.0.encode(image, quality, out).map_err(|error| error.to_string())
    }
}
