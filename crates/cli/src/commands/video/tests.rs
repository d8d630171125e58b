//! A clip that was interrupted anywhere and is gone on with is the clip of one run;
//! where it cannot be, it begins anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use laterna_media::source::{self, Opened, Pace};
use laterna_pipeline::port::{Clock, PortError, Read, Source};
use laterna_pipeline::{Image, SystemClock};
use tempfile::TempDir;

use super::Args;
use super::work::Made;
use crate::console::Console;
use crate::error::{During, Failure};

/// Frames of the clip, and from one checkpoint to the next.
const FRAMES: u64 = 11;
const INTERVAL: u64 = 4;

/// Prompts glide over the checkpoints, and frames hang on those before.
const LOG: &str = "\
    {\"laterna_log\":1,\"at_ms\":0,\"set\":{\"feedback\":0.4,\"smoothing\":0.6,\"glide_s\":0.8}}\n\
    {\"at_ms\":200,\"set\":{\"prompts\":[{\"text\":\"pop art\"}],\"seed\":7}}\n\
    {\"at_ms\":600,\"set\":{\"prompts\":[{\"text\":\"pencil sketch\",\"weight\":0.3}]}}\n";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Fails after so many pictures.
struct Stops {
    source: Box<dyn Source>,
    left: u64,
}

impl Source for Stops {
    fn read(&mut self, image: &mut Image) -> Result<Read, PortError> {
        if self.left == 0 {
            return Err("the plug was pulled".into());
        }
        let read = self.source.read(image)?;
        self.left -= u64::from(matches!(read, Read::Picture { .. }));
        Ok(read)
    }
}

/// A folder with a clip and a log.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("clip.y4m"), clip()).unwrap();
        fs::write(desk.path("log.json"), LOG).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Paints `a.mp4`, up to a number of pictures if one is given.
    fn paint(&self, more: &[&str], stop: Option<u64>) -> Result<Made, Failure> {
        let given = [
            ("--input", self.path("clip.y4m")),
            ("--output", self.path("a.mp4")),
            ("--replay", self.path("log.json")),
        ];
        let given = given.iter().flat_map(|(name, path)| [*name, path.to_str().unwrap()]);
        let fixed = ["laterna", "--size", "64", "--threads", "1", "--overwrite"];
        let line = fixed.into_iter().chain(given).chain(more.iter().copied());
        let args = Line::try_parse_from(line).unwrap().args;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let open = || {
            let Opened { source, info } =
                source::open(&args.input, &clock, Pace::Offline).during("cannot read the clip")?;
            let source = Box::new(Stops { source, left: stop.unwrap_or(u64::MAX) });
            Ok(Opened { source, info })
        };
        args.run(&open, INTERVAL, &Console::new(true, false))
    }

    fn interrupt(&self, more: &[&str], after: u64) {
        let error = self.paint(more, Some(after)).err().unwrap().to_string();
        assert_eq!(error, "cannot read the clip: the plug was pulled");
        assert!(!self.path("a.mp4").exists());
        let kept = after > INTERVAL;
        for name in ["a.mp4.part", "a.mp4.resume"] {
            assert_eq!(self.path(name).exists(), kept, "{name} after {after}");
        }
    }

    /// Paints the rest and takes the clip away, which is alone then.
    fn finish(&self, more: &[&str]) -> (u64, Vec<u8>) {
        let made = self.paint(more, None).unwrap();
        assert_eq!(made.frames, FRAMES);
        let clip = fs::read(self.path("a.mp4")).unwrap();
        fs::remove_file(self.path("a.mp4")).unwrap();
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 2, "only what was given is left");
        (made.painted, clip)
    }
}

/// A bright bar that moves; all else changes with the first picture
/// behind a checkpoint, which is a cut.
fn clip() -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W64 H64 F10:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..FRAMES as usize {
        bytes.extend_from_slice(b"FRAME\n");
        let dark = if frame < 4 { 40 } else { 180 };
        bytes.extend((0..64 * 64).map(|i| if (i % 64) / 8 == frame % 8 { 235 } else { dark }));
        bytes.extend([110; 32 * 32]);
        bytes.extend([150; 32 * 32]);
    }
    bytes
}

fn flip(path: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_resumed_clip_is_the_clip_of_one_run() {
    let desk = Desk::new();
    let (painted, whole) = desk.finish(&[]);
    assert_eq!(painted, FRAMES);
    // Before, at and after checkpoints, which come once the next picture is read.
    for (after, left) in [(0, 11), (3, 11), (4, 11), (5, 7), (8, 7), (9, 3), (11, 3)] {
        desk.interrupt(&[], after);
        let (painted, clip) = desk.finish(&[]);
        assert_eq!(painted, left, "interrupted after {after}");
        assert!(clip == whole, "interrupted after {after}");
    }
    // Again and again.
    for after in [6, 7, 10] {
        desk.interrupt(&[], after);
    }
    assert!(desk.finish(&[]) == (3, whole));
}

#[test]
fn a_clip_that_only_lacks_its_name_is_the_clip_of_one_run() {
    let desk = Desk::new();
    desk.interrupt(&[], 10);
    let checkpoint = fs::read(desk.path("a.mp4.resume")).unwrap();
    let (_, whole) = desk.finish(&[]);
    fs::write(desk.path("a.mp4.part"), &whole).unwrap();
    fs::write(desk.path("a.mp4.resume"), checkpoint).unwrap();
    assert!(desk.finish(&[]) == (3, whole));
}

#[test]
fn what_has_changed_begins_anew() {
    let desk = Desk::new();
    let (_, whole) = desk.finish(&[]);
    let changed: [&[&str]; 2] = [&["--quantizer", "30"], &["--restart"]];
    for more in changed {
        desk.interrupt(&[], 6);
        let (painted, clip) = desk.finish(more);
        assert_eq!((painted, clip == whole), (FRAMES, more == ["--restart"]), "{more:?}");
        assert!(clip == desk.finish(more).1, "{more:?}");
    }
    desk.interrupt(&[], 6);
    let clip = File::options().write(true).open(desk.path("clip.y4m")).unwrap();
    clip.set_modified(SystemTime::now() - Duration::from_secs(9)).unwrap();
    assert!(desk.finish(&[]) == (FRAMES, whole));
    desk.interrupt(&[], 6);
    fs::write(desk.path("log.json"), LOG.lines().next().unwrap().to_owned() + "\n").unwrap();
    assert_eq!(desk.finish(&[]).0, FRAMES);
}

#[test]
fn what_is_damaged_begins_anew() {
    let desk = Desk::new();
    let (_, whole) = desk.finish(&[]);
    let damages: [&dyn Fn(); 6] = [
        &|| flip(&desk.path("a.mp4.resume"), |length| length - 1),
        &|| fs::write(desk.path("a.mp4.resume"), "").unwrap(),
        &|| fs::write(desk.path("a.mp4.resume"), "nonsense, and a lot of it").unwrap(),
        &|| flip(&desk.path("a.mp4.part"), |_| 900),
        &|| fs::write(desk.path("a.mp4.part"), "x").unwrap(),
        &|| fs::remove_file(desk.path("a.mp4.part")).unwrap(),
    ];
    for (index, damage) in damages.iter().enumerate() {
        desk.interrupt(&[], 6);
        damage();
        assert!(desk.finish(&[]) == (FRAMES, whole.clone()), "damage {index}");
    }
}

#[test]
fn a_failure_says_that_the_same_command_goes_on() {
    let desk = Desk::new();
    let hint = |after| format!("{:?}", desk.paint(&[], Some(after)).err().unwrap());
    assert!(!hint(2).contains("the same command"));
    assert!(hint(6).contains("the same command"));
}
