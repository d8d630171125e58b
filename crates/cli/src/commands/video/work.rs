//! A clip from its source to the part file, frame by frame, and where it goes on
//! after an interruption.

use std::fs::File;
use std::io;
use std::time::Duration;

use laterna_control::Controls;
use laterna_control::log::Replay;
use laterna_live::Painter;
use laterna_media::sink::recorder::{Mark, Options, Writer};
use laterna_media::source::{Info, Opened};
use laterna_pipeline::Image;
use laterna_pipeline::port::{Read, Source};

use super::checkpoint::{Checkpoint, Progress};
use super::job::Job;
use super::painting::Painting;
use super::place::Place;
use crate::console::{Console, Spinner};
use crate::digest::Digest;
use crate::error::{During, Failure};
use crate::interrupt::uninterrupted;

/// Frames from one checkpoint to the next. It decides the bytes of the clip, each
/// of them beginning with a picture that is coded alone; more would save few of
/// these, since players are to find one every two seconds anyway.
pub const INTERVAL: u64 = 60;

/// The length of the last frame of a clip of one.
const ONE_FRAME: Duration = Duration::from_millis(40);

const READ: &str = "cannot read the clip";
const WRITE: &str = "cannot write the clip";

/// What is set when.
pub enum Script {
    /// The same all along.
    Same(Box<Controls>),
    /// What was set in a live session, but for the size.
    Replay {
        /// Its log.
        replay: Box<Replay>,
        /// The size.
        size: laterna_control::Size,
    },
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

/// What a clip is made from.
pub struct Task<'a> {
    /// Opens the clip at its first picture.
    pub open: &'a dyn Fn() -> Result<Opened, Failure>,
    pub script: Script,
    pub options: Options,
    /// Frames from one checkpoint to the next.
    pub interval: u64,
    pub place: Place,
    /// What is painted; none if it cannot be read again from its beginning.
    pub job: Option<Job>,
}

/// A clip that is being painted.
struct Work<'a> {
    task: &'a Task<'a>,
    source: Box<dyn Source>,
    painting: Painting,
    writer: Writer,
    progress: Progress,
    /// How long the newest frame is shown.
    length: Duration,
    /// The part file up to the last checkpoint.
    part: Written,
}

/// What of the part file was digested.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    length_bytes: u64,
    digest: Digest,
}

/// What was made.
pub struct Made {
    /// Frames of the clip.
    pub frames: u64,
    /// Those of them that were painted now.
    pub painted: u64,
}

impl Task<'_> {
    /// What an earlier run of the same job has left; says why if it is of no use.
    pub fn left_over(&self, console: &Console) -> Option<Checkpoint> {
        if !self.place.can_be_resumed() {
            return None;
        }
        let found = match &self.job {
            Some(job) => Checkpoint::read(&self.place.checkpoint).and_then(|found| {
                let differences = found.job.differences(job).join(", ");
                if differences.is_empty() {
                    Ok(found)
                } else {
                    Err(format!("changed: {differences}"))
                }
            }),
            None => Err("the input cannot be read a second time".to_owned()),
        };
        found.map_err(|why| start_over(console, &why)).ok()
    }

    /// Paints the clip into the part file, from where `left` says.
    ///
    /// # Errors
    /// If something cannot be read, painted or written.
    pub fn paint(
        &self,
        painter: Painter,
        left: Option<Checkpoint>,
        console: &Console,
    ) -> Result<Made, Failure> {
        let opened = (self.open)()?;
        let total = total(&opened.info);
        let bar = match total {
            Some(frames) => console.steps(frames as usize, "painting"),
            None => console.spinner("painting"),
        };
        let work = self.begin(opened, painter, left, console)?;
        let before = work.progress.frames;
        if before > 0 {
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            console.note(format_args!("resuming at frame {}{of}", before + 1));
            bar.begin_at(before);
        }
        let frames = work.run(&bar)?;
        Ok(Made { frames, painted: frames - before })
    }

    fn begin(
        &self,
        opened: Opened,
        painter: Painter,
        left: Option<Checkpoint>,
        console: &Console,
    ) -> Result<Work<'_>, Failure> {
        let Opened { mut source, info } = opened;
        let mut painting = Painting::new(painter);
        let length = info_length(&info);
        if let Some(left) = left {
            let (progress, part) = (left.progress, left.written());
            match self.take_up(left, &mut *source, &mut painting) {
                Ok(writer) => {
                    let task = self;
                    return Ok(Work { task, source, painting, writer, progress, length, part });
                }
                Err(why) => start_over(console, &why),
            }
            source = (self.open)()?.source;
        }
        self.place.forget()?;
        let writer = Writer::new(&self.place.part, painting.size(), self.options).during(WRITE)?;
        let (progress, part) = (Progress::default(), Written::default());
        Ok(Work { task: self, source, painting, writer, progress, length, part })
    }

    /// Brings part, source and painting to where they were left; else says why,
    /// and the painting has not changed.
    fn take_up(
        &self,
        left: Checkpoint,
        source: &mut dyn Source,
        painting: &mut Painting,
    ) -> Result<Writer, String> {
        let writer = Writer::resume(&self.place.part, painting.size(), self.options, &left.mark);
        let writer = writer.map_err(|error| error.to_string())?;
        let mut found = Written::default();
        let read = found.extend(&self.place, left.mark.length_bytes);
        read.map_err(|error| format!("{}: {error}", self.place.part.display()))?;
        if found.digest != left.part {
            return Err(format!("{} is damaged", self.place.part.display()));
        }
        skip(source, &left.progress)?;
        painting.recall(left.memory)?;
        Ok(writer)
    }
}

fn start_over(console: &Console, why: &str) {
    console.warn(format_args!("starting over: {why}"));
}

/// Reads the pictures of the frames that are painted.
fn skip(source: &mut dyn Source, progress: &Progress) -> Result<(), String> {
    let (mut picture, mut newest) = (Image::default(), None);
    for _ in 0..progress.frames {
        newest = next(source, &mut picture).map_err(|failure| failure.to_string())?;
    }
    match newest {
        Some(newest) if newest == progress.newest => Ok(()),
        _ => Err("the clip's pictures come at other times".to_owned()),
    }
}

/// The time of the next picture, which is then in `picture`; none at the end.
fn next(source: &mut dyn Source, picture: &mut Image) -> Result<Option<Duration>, Failure> {
    loop {
        match source.read(picture).map_err(|error| Failure::input(READ, error))? {
            Read::Picture { captured } => return Ok(Some(captured)),
            Read::Nothing => {}
            Read::End => return Ok(None),
        }
    }
}

impl Work<'_> {
    /// Paints what is left, and ends the part file; gives the number of frames.
    fn run(mut self, bar: &Spinner) -> Result<u64, Failure> {
        let mut picture = Image::default();
        let resumed = self.progress.frames;
        while let Some(time) = next(&mut *self.source, &mut picture)? {
            let frames = self.progress.frames;
            if frames > resumed && frames.is_multiple_of(self.task.interval) {
                self.checkpoint(time)?;
            }
            self.frame(&picture, time)?;
            bar.step();
        }
        let Progress { frames, newest, .. } = self.progress;
        if frames == 0 {
            return Err(Failure::input(READ, "it has no pictures"));
        }
        self.writer.finish(newest + self.length).during(WRITE)?;
        Ok(frames)
    }

    fn frame(&mut self, picture: &Image, time: Duration) -> Result<(), Failure> {
        let Progress { frames, first, newest } = self.progress;
        if frames > 0 {
            self.length = time.saturating_sub(newest);
        }
        let first = if frames > 0 { first } else { time };
        let controls = self.task.script.at(time.saturating_sub(first));
        let painted = self.painting.frame(picture, frames, time, &controls)?;
        self.writer.write(painted, time).during(WRITE)?;
        self.progress = Progress { frames: frames + 1, first, newest: time };
        Ok(())
    }

    /// Keeps everything up to here, before the frame that is shown from `next` on.
    fn checkpoint(&mut self, next: Duration) -> Result<(), Failure> {
        let mark = self.writer.mark(next).during(WRITE)?;
        match (mark, &self.task.job) {
            (Some(mark), Some(job)) => self.keep(mark, job.clone()),
            _ => Ok(()),
        }
    }

    fn keep(&mut self, mark: Mark, job: Job) -> Result<(), Failure> {
        self.part.extend(&self.task.place, mark.length_bytes).during(WRITE)?;
        let (progress, part) = (self.progress, self.part.digest);
        let checkpoint = Checkpoint { job, progress, mark, part, memory: self.painting.memory() };
        uninterrupted(|| checkpoint.write(&self.task.place.checkpoint)).during(WRITE)
    }
}

impl Checkpoint {
    fn written(&self) -> Written {
        Written { length_bytes: self.mark.length_bytes, digest: self.part }
    }
}

impl Written {
    /// Takes in what was written since, up to `length_bytes`.
    fn extend(&mut self, place: &Place, length_bytes: u64) -> io::Result<()> {
        let mut part = File::open(&place.part)?;
        let more = length_bytes.saturating_sub(self.length_bytes);
        self.digest.update_from(&mut part, self.length_bytes, more)?;
        self.length_bytes = length_bytes;
        Ok(())
    }
}

/// How long a frame is, if the container tells.
fn info_length(info: &Info) -> Duration {
    let fps = info.fps.filter(|fps| (0.1..1000.0).contains(fps));
    fps.map_or(ONE_FRAME, |fps| Duration::from_secs_f64(1.0 / fps))
}

/// How many frames there are, if the container tells.
fn total(info: &Info) -> Option<u64> {
    let counted = info.duration.zip(info.fps).map(|(time, fps)| (time.as_secs_f64() * fps) as u64);
    info.frames.or(counted)
}
