//! `laterna run`: the live picture, from a camera to a page, a window, files
//! and other programs.

mod outputs;
mod summary;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use laterna_control::{Command, Level, Notice};
use laterna_live::{Session, Start};
use laterna_media::source::Spec;
use laterna_pipeline::SystemClock;
use laterna_pipeline::port::Clock;
use laterna_web::{Options, PORT, Server};

use crate::backends::BackendArgs;
use crate::console::{Console, print};
use crate::error::{During, Failure};
use crate::interrupt;
use crate::live::{AUTO, BROWSER, ControlArgs, Folder, LivePorts, Page};
use crate::picture::check_folder;
use outputs::OutputArgs;

/// Paint live: a camera, screen or clip goes in, a page in the browser shows the painting.
///
/// This is what `laterna` alone does. Everything can be changed while it runs: on the page,
/// through the API, by OSC, or with keys in the window (n p next and previous prompt, + - camera
/// blend, e d smoothing, s save a picture, r record, m mirror, f full screen, q quit).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna run
  laterna run --input clip.mp4 --prompt 'ink wash' --strength 0.6
  laterna run --input camera:1 --window --no-web
  laterna run --host 0.0.0.0 --token our-secret-of-16
  laterna run --no-web --pipe y4m | ffplay -")]
pub struct Args {
    /// Where pictures come from: auto, camera, camera:N, screen, synthetic, browser, a file, a
    /// folder, an address, or - (Y4M from another program).
    #[arg(long, value_name = "SOURCE", default_value = AUTO)]
    input: String,
    #[command(flatten)]
    controls: ControlArgs,
    /// Lower the size when the machine is too slow for so many frames a second, and restore it
    /// when it is not; 0 keeps the size.
    #[arg(long, value_name = "FPS", allow_negative_numbers = true, default_value_t = 0.0)]
    target_fps: f32,
    #[command(flatten)]
    outputs: OutputArgs,
    /// Serve no page.
    #[arg(long)]
    no_web: bool,
    /// The address that the page listens on. Other machines reach it only if this is not the
    /// default, and then need a token.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The port of the page; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// What clients must show [default: none on this machine, else a random one].
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// Take OSC messages on this address, such as 127.0.0.1:9000.
    #[arg(long, value_name = "IP:PORT")]
    osc: Option<SocketAddr>,
    /// Log every change of the controls, for `laterna video --replay`.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The folder of recordings and snapshots.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// At the end print all counts and times as JSON.
    #[arg(long)]
    json: bool,
    /// Draw each frame's number into the synthetic scene, to measure latency with.
    #[arg(long, hide = true)]
    frame_counter: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// How long the threads are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the terminal's line is renewed.
const SECOND: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// If something given does not work, or the page cannot be served.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    args.check()?;
    let (model, controls) = args.controls.read(args.target_fps, console)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let ports = Arc::new(LivePorts::new(
        Arc::clone(&clock),
        args.backend.clone(),
        *console,
        Folder(args.folder.clone()),
        &args.input,
        args.frame_counter,
    ));
    let told = *console;
    let session = Session::start(Start {
        clock: Arc::clone(&clock),
        ports: Arc::clone(&ports) as _,
        controls,
        model,
        source: args.input.clone(),
        log: args.open_log()?,
        on_notice: Arc::new(move |notice| tell(&told, notice)),
    })
    .during("cannot start")?;
    let feed = args.outputs.attach(&session, &clock, console)?;
    let server = args.serve(&session, ports, &clock)?;
    if let Some(server) = &server {
        console.note(format_args!("open {}", server.url()));
    }
    let asked = session.clone();
    interrupt::on_interrupt(move || drop(asked.command(Command::Quit)));
    let shown = match feed {
        Some(feed) => outputs::show_window(feed, &session, args.deadline()),
        None => {
            args.wait(&session, console);
            Ok(())
        }
    };
    if let Some(server) = server {
        server.stop();
    }
    let last = session.stop(PATIENCE);
    interrupt::forget();
    shown?;
    if args.json {
        return print(serde_json::to_string_pretty(&last).unwrap_or_default());
    }
    summary::lines(&last).iter().for_each(|line| console.note(line));
    Ok(())
}

impl Args {
    /// Whether the arguments make sense, as far as can be said before anything
    /// is opened.
    fn check(&self) -> Result<(), Failure> {
        if self.input != AUTO && self.input != BROWSER {
            let spec: Result<Spec, _> = self.input.parse();
            spec.map_err(|error| Failure::input("cannot use --input", error))?;
        }
        if !self.folder.is_dir() {
            let what = format!("cannot use --folder {}", self.folder.display());
            return Err(Failure::input(what, "there is no such folder").hint("create it first"));
        }
        if self.duration.is_some_and(|seconds| Duration::try_from_secs_f64(seconds).is_err()) {
            return Err(Failure::input("cannot use --duration", "it is no length of time"));
        }
        self.outputs.check()
    }

    fn open_log(&self) -> Result<Option<Box<dyn io::Write + Send>>, Failure> {
        let Some(path) = &self.log else { return Ok(None) };
        check_folder(path)?;
        let what = format!("cannot write {}", path.display());
        Ok(Some(Box::new(File::create(path).during(what)?)))
    }

    fn serve(
        &self,
        session: &Session,
        ports: Arc<LivePorts>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Server>, Failure> {
        if self.no_web {
            return Ok(None);
        }
        let options = Options {
            address: SocketAddr::new(self.host, self.port),
            token: self.token.clone(),
            osc: self.osc,
            ..Options::default()
        };
        let page = Page { session: session.clone(), ports, clock: Arc::clone(clock) };
        Server::start(options, Arc::new(page)).during("cannot serve the page").map(Some)
    }

    fn deadline(&self) -> Option<Instant> {
        self.duration.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds))
    }

    /// Waits for the end, with a line on the terminal that tells how it goes.
    fn wait(&self, session: &Session, console: &Console) {
        let deadline = self.deadline();
        let line = io::stderr().is_terminal().then(|| console.spinner("starting"));
        loop {
            let left = deadline.map_or(SECOND, |end| end.saturating_duration_since(Instant::now()));
            if session.wait_for_end(left.min(SECOND)) || left.is_zero() {
                return;
            }
            if let Some(line) = &line {
                line.say(summary::status(&session.statistics()));
            }
        }
    }
}

fn tell(console: &Console, notice: &Notice) {
    match notice.level {
        Level::Info => console.note(&notice.text),
        Level::Warning | Level::Error => console.warn(&notice.text),
    }
}
