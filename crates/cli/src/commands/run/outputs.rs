//! Where a live picture goes beside the page: a window, a recording, another
//! program, a virtual camera.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use laterna_control::{Change, Command, Level, State};
use laterna_live::{RECORDING_RATE, Session};
use laterna_media::sink::Filter;
use laterna_media::sink::stream::{Format, FrameRate, Stream, StreamSink};
use laterna_media::sink::virtual_camera::VirtualCamera;
use laterna_media::sink::window::{self, Feed, Key, Then, WindowError};
use laterna_pipeline::Size;
use laterna_pipeline::pace::Rate;
use laterna_pipeline::port::{Clock, Sink};

use crate::console::Console;
use crate::error::{During, Failure};
use crate::live::recorder;
use crate::picture::check_folder;

/// Where the picture goes beside the page.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Show a window.
    #[arg(long)]
    window: bool,
    /// Cover the screen with the window.
    #[arg(long, requires = "window")]
    full_screen: bool,
    /// Record to this MP4 file from the start.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write frames to standard output, for another program.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pipe: Option<PipeFormat>,
    /// Be a camera for other programs: a v4l2loopback device such as /dev/video10.
    #[arg(long, value_name = "DEVICE")]
    virtual_camera: Option<PathBuf>,
    /// Frames a second of the window, the pipe and the virtual camera.
    #[arg(long, value_name = "FPS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: u32,
    /// Blend from each painting to the next in those outputs, one painting later.
    #[arg(long)]
    interpolate: bool,
}

/// What is written to standard output.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PipeFormat {
    /// YUV4MPEG2, which ffmpeg, ffplay, mpv and OBS read.
    Y4m,
    /// Nothing but RGB bytes.
    Rgb24,
}

/// How far a key moves a share.
const STEP: f32 = 0.05;

impl OutputArgs {
    /// Whether the files can be made.
    ///
    /// # Errors
    /// If a folder is missing.
    pub fn check(&self) -> Result<(), Failure> {
        self.record.as_deref().map_or(Ok(()), check_folder)
    }

    fn rate(&self) -> Rate {
        Rate::Fixed { fps: f64::from(self.fps), interpolate: self.interpolate }
    }

    /// Opens them and adds them to the session; returns the window's end, which
    /// wants the main thread.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn attach(
        &self,
        session: &Session,
        clock: &Arc<dyn Clock>,
        console: &Console,
    ) -> Result<Option<WindowArgs>, Failure> {
        let add = |name: &str, rate: Rate, sink: Box<dyn Sink>| {
            session.add_sink(name, rate, sink).during(format_args!("cannot start the {name}"))
        };
        if let Some(path) = &self.record {
            let what = format!("cannot record to {}", path.display());
            let recorder = recorder(path, clock, *console).during(what)?;
            add("record", RECORDING_RATE, Box::new(recorder))?;
        }
        if let Some(format) = self.pipe {
            let format = match format {
                PipeFormat::Y4m => Format::Y4m,
                PipeFormat::Rgb24 => Format::Rgb24,
            };
            let rate = FrameRate { frames: self.fps, seconds: 1 };
            let stream = Stream::new(io::stdout(), format, rate).during("cannot write frames")?;
            let sink = StreamSink::new(stream, Arc::clone(clock));
            add("pipe", self.rate(), Box::new(sink))?;
        }
        if let Some(device) = &self.virtual_camera {
            let camera = VirtualCamera::open(device).during("cannot be a camera")?;
            add("virtual camera", self.rate(), Box::new(camera))?;
        }
        if !self.window {
            return Ok(None);
        }
        let (sink, feed) = window::pair();
        let rate =
            if self.interpolate { self.rate() } else { Rate::AtLeast { fps: f64::from(self.fps) } };
        add("window", rate, Box::new(sink))?;
        Ok(Some(WindowArgs { feed, full_screen: self.full_screen }))
    }
}

/// What a window is opened with.
pub struct WindowArgs {
    feed: Feed,
    full_screen: bool,
}

/// Shows the window until it is closed or the session ends.
///
/// # Errors
/// If there is no display.
pub fn show_window(
    window: WindowArgs,
    session: &Session,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    let size = session.state().controls.size;
    let options = window::Options {
        title: "laterna".to_owned(),
        size: Size::new(size.width, size.height),
        filter: Filter::default(),
        full_screen: window.full_screen,
    };
    let on_key = |key| press(session, key);
    let ended = || {
        session.wait_for_end(Duration::ZERO) || deadline.is_some_and(|end| Instant::now() >= end)
    };
    match window::run(options, window.feed, on_key, ended) {
        Ok(()) | Err(WindowError::Closed) => Ok(()),
        Err(error) => Err(error).during("cannot show a window"),
    }
}

/// The study's keys and a few more.
fn press(session: &Session, key: Key) -> Then {
    let State { controls, recording, .. } = session.state();
    let set = Command::Set;
    let blend = |by: f32| Change {
        camera: Some((controls.camera + by).clamp(0.0, 1.0)),
        ..Change::default()
    };
    let smooth = |by: f32| Change {
        smoothing: Some((controls.smoothing + by).clamp(0.0, 0.95)),
        ..Change::default()
    };
    let command = match key {
        Key::Char('q') | Key::Escape => return Then::Close,
        Key::Char('n') | Key::Right => Command::NextPrompt,
        Key::Char('p') | Key::Left => Command::PreviousPrompt,
        Key::Char('s') => Command::Snapshot,
        Key::Char('r') => Command::Record(recording.is_none()),
        Key::Char('+' | '=') => set(blend(STEP)),
        Key::Char('-') => set(blend(-STEP)),
        Key::Char('e') => set(smooth(STEP)),
        Key::Char('d') => set(smooth(-STEP)),
        Key::Char('m') => set(Change { mirror: Some(!controls.mirror), ..Change::default() }),
        _ => return Then::Stay,
    };
    if let Err(refused) = session.command(command) {
        session.notice(Level::Warning, refused.to_string());
    }
    Then::Stay
}
