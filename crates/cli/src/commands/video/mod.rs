//! `laterna video`: paints a clip, every frame of it, the same each time.

mod audio;
mod checkpoint;
mod job;
mod painting;
mod place;
#[cfg(test)]
mod tests;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use laterna_control::log::{LARGEST_BYTES, Replay};
use laterna_control::{Activity, Controls};
use laterna_media::sink::recorder::{Options, Rate};
use laterna_media::source::{self, Opened, Pace, Spec};
use laterna_pipeline::SystemClock;
use laterna_pipeline::port::Clock;

use crate::backends::BackendArgs;
use crate::console::Console;
use crate::error::{During, Failure};
use crate::live::{ControlArgs, painter};
use crate::model::ModelArgs;
use crate::picture::check_folder;
use job::Job;
use place::Place;
use work::{INTERVAL, Made, Script, Task};

/// Paint a clip: every frame, in order, with its own time.
///
/// The same clip and arguments give the same file, byte for byte. With --replay the controls
/// follow what was changed in a live session that was run with --log. Sound is kept where an
/// ffmpeg is installed.
///
/// A clip that was interrupted is gone on with by the same command, from its last checkpoint, and
/// becomes the same file. Until it is whole it is in FILE.part and FILE.resume; if the input, an
/// option or the program has changed, they are not used.
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
    /// Begin with the first frame, whatever an interrupted run has left.
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs the command.
///
/// # Errors
/// If something given does not work, or the clip is damaged.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let open = || source::open(&args.input, &clock, Pace::Offline).during("cannot read the clip");
    args.run(&open, INTERVAL, console).map(drop)
}

impl Args {
    fn run(
        &self,
        open: &dyn Fn() -> Result<Opened, Failure>,
        interval: u64,
        console: &Console,
    ) -> Result<Made, Failure> {
        check_output(&self.output, self.overwrite)?;
        let (model, controls) = self.controls.read(0.0, console)?;
        let (script, size) = (self.script(&controls)?, controls.size);
        let clip = self.input.recording();
        let opened = ModelArgs { model: model.name.clone() }.open(console)?;
        let backend = self.backend.settled(&opened, console)?;
        let job = |clip| Job::of(self, clip, &model, &opened, &controls, &backend);
        let job = clip.map(job).transpose()?;
        let (place, options) = (self.place(), self.options());
        let task = Task { open, script, options, interval, place, job };
        let left = if self.restart { None } else { task.left_over(console) };
        let spinner = console.spinner("loading the model");
        let tell = |activity: Activity| spinner.say(activity.what);
        let painter = painter(&model, size, &backend, console, &tell)?;
        drop(spinner);

        let start = Instant::now();
        let _lock = task.place.lock()?;
        let made =
            task.paint(painter, left, console).map_err(|failure| task.place.fail(failure))?;
        let whole = audio::keep(&self.input.to_string(), &task.place.part, console);
        task.place.finish(&whole)?;
        self.tell(&made, start.elapsed().as_secs_f32(), console);
        Ok(made)
    }

    fn tell(&self, made: &Made, seconds: f32, console: &Console) {
        let Made { frames, painted } = *made;
        let (path, rate) = (self.output.display(), painted as f32 / seconds);
        let now = if painted < frames { format!(", {painted} now") } else { String::new() };
        console.note(format_args!(
            "{path}: {frames} frames{now} in {seconds:.1} s, {rate:.1} a second"
        ));
    }

    fn script(&self, controls: &Controls) -> Result<Script, Failure> {
        let Some(path) = &self.replay else { return Ok(Script::Same(Box::new(controls.clone()))) };
        let what = format!("cannot replay {}", path.display());
        let bytes = path.metadata().during(&what)?.len();
        if bytes > LARGEST_BYTES {
            return Err(Failure::input(what, "it is too large for a log"));
        }
        let text = std::fs::read_to_string(path).during(&what)?;
        let replay = Replay::parse(&text).map_err(|error| Failure::input(what, error))?;
        Ok(Script::Replay { replay: Box::new(replay), size: controls.size })
    }

    fn options(&self) -> Options {
        let rate = Rate::Quality { quantizer: self.quantizer };
        Options { rate, overwrite: true, ..Options::default() }
    }

    fn place(&self) -> Place {
        Place::of(&self.output)
    }
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
