//! `laterna video`: paints a clip, every frame of it, the same each time.

mod audio;
mod painting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use laterna_control::Controls;
use laterna_control::log::{LARGEST_BYTES, Replay};
use laterna_media::sink::recorder::{self, Writer};
use laterna_media::source::{self, Info, Opened, Pace, Spec};
use laterna_pipeline::port::{Clock, Read, Source};
use laterna_pipeline::{Image, Size, SystemClock};

use crate::backends::BackendArgs;
use crate::console::{Console, Spinner};
use crate::error::{During, Failure};
use crate::live::{ControlArgs, painter};
use crate::picture::check_folder;
use painting::Painting;

/// Paint a clip: every frame, in order, with its own time.
///
/// The same clip and arguments give the same file, byte for byte. With --replay the controls
/// follow what was changed in a live session that was run with --log. Sound is kept where an
/// ffmpeg is installed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna video --input clip.mp4 --output painted.mp4 --prompt 'ink wash'
  laterna video --input clip.mkv --output painted.mp4 --size 768x512 --strength 0.6
  laterna video --input clip.mp4 --output again.mp4 --replay session.json")]
pub struct Args {
    /// The clip: a file, a folder of pictures, or whatever ffmpeg reads.
    #[arg(long, value_name = "CLIP")]
    input: Spec,
    /// The MP4 file to write.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    controls: ControlArgs,
    /// The log of a live session, whose controls are used instead of the arguments'; the size is
    /// still that of --size.
    #[arg(long, value_name = "LOG")]
    replay: Option<PathBuf>,
    /// H.264's quantizer, from 12, the best, to 51.
    #[arg(long, value_name = "Q", default_value_t = 20, value_parser = clap::value_parser!(u8).range(12..=51))]
    quantizer: u8,
    /// Replace the output if it exists.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// The length of the last frame of a clip of one.
const ONE_FRAME: Duration = Duration::from_millis(40);

/// Runs the command.
///
/// # Errors
/// If something given does not work, or the clip is damaged.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    check_output(&args.output, args.overwrite)?;
    let (model, controls) = args.controls.read(0.0, console)?;
    let script = args.script(controls.clone())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let Opened { source, info } =
        source::open(&args.input, &clock, Pace::Offline).during("cannot read the clip")?;
    let spinner = console.spinner("loading the model");
    let stage = painter(&model, controls.size, &args.backend, console)?;
    drop(spinner);

    let part = part_of(&args.output);
    let start = Instant::now();
    let made = args.paint(source, &info, Painting::new(Box::new(stage)), &script, &part, console);
    let frames = made.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    audio::keep(&args.input.to_string(), &part, console);
    let what = format!("cannot write {}", args.output.display());
    std::fs::rename(&part, &args.output).during(what)?;
    let (path, seconds) = (args.output.display(), start.elapsed().as_secs_f32());
    let rate = frames as f32 / seconds;
    console.note(format_args!("{path}: {frames} frames in {seconds:.1} s, {rate:.1} a second"));
    Ok(())
}

/// What is set when.
enum Script {
    Same(Box<Controls>),
    Replay { replay: Box<Replay>, size: laterna_control::Size },
}

impl Script {
    /// The controls of a frame at a time since the first.
    fn at(&self, time: Duration) -> Controls {
        match self {
            Self::Same(controls) => (**controls).clone(),
            Self::Replay { replay, size } => Controls { size: *size, ..replay.at(time).clone() },
        }
    }
}

impl Args {
    fn script(&self, controls: Controls) -> Result<Script, Failure> {
        let Some(path) = &self.replay else { return Ok(Script::Same(Box::new(controls))) };
        let what = format!("cannot replay {}", path.display());
        let bytes = path.metadata().during(&what)?.len();
        if bytes > LARGEST_BYTES {
            return Err(Failure::input(what, "it is too large for a log"));
        }
        let text = std::fs::read_to_string(path).during(&what)?;
        let replay = Replay::parse(&text).map_err(|error| Failure::input(what, error))?;
        Ok(Script::Replay { replay: Box::new(replay), size: controls.size })
    }

    fn paint(
        &self,
        mut source: Box<dyn Source>,
        info: &Info,
        mut painting: Painting,
        script: &Script,
        part: &Path,
        console: &Console,
    ) -> Result<u64, Failure> {
        let bar = bar(info, console);
        let size = painting.size();
        let mut writer = self.writer(part, size)?;
        let mut picture = Image::default();
        let (mut frames, mut length) = (0_u64, info_length(info));
        let (mut first, mut newest) = (None, Duration::ZERO);
        loop {
            let read = source.read(&mut picture);
            let read = read.map_err(|error| Failure::input("cannot read the clip", error))?;
            let time = match read {
                Read::Picture { captured } => captured,
                Read::Nothing => continue,
                Read::End => break,
            };
            if first.is_some() {
                length = time.saturating_sub(newest);
            }
            let start = *first.get_or_insert(time);
            let controls = script.at(time.saturating_sub(start));
            let painted = painting.frame(&picture, frames, time, &controls)?;
            writer.write(painted, time).during("cannot write the clip")?;
            newest = time;
            frames += 1;
            bar.step();
        }
        if frames == 0 {
            return Err(Failure::input("cannot read the clip", "it has no pictures"));
        }
        writer.finish(newest + length).during("cannot write the clip")?;
        Ok(frames)
    }

    fn writer(&self, part: &Path, size: Size) -> Result<Writer, Failure> {
        let options = recorder::Options {
            rate: recorder::Rate::Quality { quantizer: self.quantizer },
            overwrite: true,
            ..recorder::Options::default()
        };
        Writer::new(part, size, options).during("cannot write the clip")
    }
}

/// How long a frame is, if the container tells.
fn info_length(info: &Info) -> Duration {
    let fps = info.fps.filter(|fps| (0.1..1000.0).contains(fps));
    fps.map_or(ONE_FRAME, |fps| Duration::from_secs_f64(1.0 / fps))
}

fn bar(info: &Info, console: &Console) -> Spinner {
    let counted = info.duration.zip(info.fps).map(|(time, fps)| (time.as_secs_f64() * fps) as u64);
    match info.frames.or(counted) {
        Some(frames) => console.steps(frames as usize, "painting"),
        None => console.spinner("painting"),
    }
}

/// Where the clip is written until it is whole.
fn part_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    output.with_file_name(name)
}

fn check_output(output: &Path, overwrite: bool) -> Result<(), Failure> {
    let what = format!("cannot write {}", output.display());
    let is_mp4 = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
    if !is_mp4 {
        return Err(Failure::input(what, "only MP4 is written").hint("end the name in .mp4"));
    }
    if output.exists() && !overwrite {
        return Err(Failure::input(what, "it exists").hint("add --overwrite to replace it"));
    }
    check_folder(output)
}
