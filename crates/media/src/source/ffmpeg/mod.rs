//! Anything that the `ffmpeg` program reads, if it is installed: other formats of
//! files, addresses, screens and devices. Its pictures come through a pipe as
//! PPM, each with its size, and their times beside its messages.

mod probe;
mod process;

use std::io::{BufReader, Read};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use laterna_pipeline::{Image, Size};
use thiserror::Error;

use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request};
use super::player::{Frames, Next, Pace};
use super::spec::Given;
use super::threaded::{Threaded, latest};
pub use probe::Ffmpeg;
use process::{KillOnDrop, Pipes, Process};

/// Whatever no other kind claims.
pub(super) const KIND: Kind = Kind {
    name: "ffmpeg",
    accepts: "any other file, an address, or FORMAT:INPUT as after ffmpeg's -f and -i",
    stands_alone: false,
    claims: |_| true,
    open,
    list: None,
};

/// Formats that are devices: their pictures come when they come.
const DEVICES: &[&str] = &[
    "android_camera",
    "avfoundation",
    "decklink",
    "dshow",
    "fbdev",
    "gdigrab",
    "iec61883",
    "kmsgrab",
    "v4l2",
    "vfwcap",
    "x11grab",
    "xcbgrab",
];

/// Addresses of streams that never stop.
const STREAMS: &[&str] = &["rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"];

/// What ffmpeg is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// What errors call it.
    pub(super) name: String,
    /// Options before `-i`.
    pub(super) options: Vec<String>,
    /// What comes after `-i`.
    pub(super) input: String,
    pub(super) kind: InputKind,
}

/// How an input's pictures come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKind {
    /// A file on this machine.
    File,
    /// As fast as they are read.
    Stream,
    /// When there is one: the newest counts.
    Live,
}

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let input = match request.given {
        Given::Url(url) => of_address(url),
        Given::Named { .. } => of_argument(request.argument()),
        Given::Path(_) | Given::Stdin => of_file(request.argument()),
    };
    open_input(request, &input, "")
}

/// Opens a file that this program cannot read itself, for the reason `why`.
pub(super) fn open_file(request: &Request<'_>, why: &str) -> Result<Opened, SourceError> {
    open_input(request, &of_file(request.argument()), why)
}

fn of_file(path: &str) -> Input {
    // The prefix keeps a name with a colon from being taken for a protocol.
    let input = format!("file:{path}");
    Input { name: path.to_owned(), options: Vec::new(), input, kind: InputKind::File }
}

fn of_address(url: &str) -> Input {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_live = scheme.is_some_and(|scheme| STREAMS.contains(&scheme.as_str()));
    let kind = if is_live { InputKind::Live } else { InputKind::Stream };
    Input { name: without_password(url), options: Vec::new(), input: url.to_owned(), kind }
}

/// An address as it may be shown: what stands before an `@` is left out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => url.to_owned(),
    }
}

fn of_argument(argument: &str) -> Input {
    let is_word = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        text.len() > 1 && text.chars().all(fits)
    };
    match argument.split_once(':') {
        Some((_, rest)) if rest.starts_with("//") => of_address(argument),
        Some((format, input)) if is_word(format) => of_format(format, input),
        _ => of_file(argument),
    }
}

fn of_format(format: &str, input: &str) -> Input {
    let is_live = DEVICES.contains(&format);
    let kind = if is_live { InputKind::Live } else { InputKind::Stream };
    let options = vec!["-f".to_owned(), format.to_owned()];
    Input { name: format!("{format}:{input}"), options, input: input.to_owned(), kind }
}

/// Opens an input of ffmpeg's.
pub(super) fn open_input(
    request: &Request<'_>,
    input: &Input,
    why: &str,
) -> Result<Opened, SourceError> {
    let name = &input.name;
    let pipes = start(request, input, why)?;
    let info = match input.kind {
        InputKind::File => probe::info(name, &input.input),
        InputKind::Stream | InputKind::Live => Info::named(name),
    };
    let guard = Box::new(KillOnDrop(pipes.process.clone()));
    let frames = Ppm::new(input, pipes, info.fps);
    let failed = |source| SourceError::Io { name: name.clone(), source };
    if input.kind == InputKind::Live && request.pace == Pace::Live {
        let source = latest("ffmpeg", frames, request.clock, guard).map_err(failed)?;
        return Ok(Opened { source: Box::new(source), info });
    }
    let frames = Threaded::start("ffmpeg", || Ok(frames), Some(guard)).map_err(failed)?;
    if input.kind != InputKind::File {
        return Ok(request.play(frames, info));
    }
    let again = Again { frames, arguments: arguments(request, input), input: input.clone() };
    Ok(request.play(again, info))
}

/// A file that is read from its beginning by another process each round.
struct Again {
    frames: Threaded,
    arguments: Vec<String>,
    input: Input,
}

impl Frames for Again {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        self.frames.next(image)
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        let pipes = spawn(&self.input, &self.arguments, "")?;
        let guard = Box::new(KillOnDrop(pipes.process.clone()));
        let frames = Ppm::new(&self.input, pipes, None);
        let failed = |source| SourceError::Io { name: self.input.name.clone(), source };
        self.frames = Threaded::start("ffmpeg", || Ok(frames), Some(guard)).map_err(failed)?;
        Ok(())
    }
}

fn start(request: &Request<'_>, input: &Input, why: &str) -> Result<Pipes, SourceError> {
    spawn(input, &arguments(request, input), why)
}

fn spawn(input: &Input, arguments: &[String], why: &str) -> Result<Pipes, SourceError> {
    let mut command = Command::new("ffmpeg");
    command.args(arguments);
    Process::start(command).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            SourceError::NoFfmpeg { name: input.name.clone(), why: why.to_owned() }
        }
        _ => SourceError::Io { name: "ffmpeg".to_owned(), source },
    })
}

fn arguments(request: &Request<'_>, input: &Input) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
    add(&["-nostdin", "-hide_banner", "-loglevel", "error"]);
    add(&Vec::from_iter(input.options.iter().map(String::as_str)));
    if input.kind == InputKind::Live {
        // Do not gather pictures before the first is shown.
        add(&["-fflags", "nobuffer"]);
    }
    add(&["-i", &input.input, "-map", "0:v:0", "-an", "-sn", "-dn"]);
    add(&["-vf", &filters(request.want.size, file_fps(request, input))]);
    add(if probe::has_fps_mode() { &["-fps_mode", "passthrough"] } else { &["-vsync", "0"] });
    add(&["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
    arguments
}

/// The rate that a recording is brought to, if one is wanted.
fn file_fps(request: &Request<'_>, input: &Input) -> Option<f64> {
    let is_recording = input.kind != InputKind::Live;
    request.want.fps.filter(|fps| is_recording && (0.01..=1000.0).contains(fps))
}

/// Shrinks pictures to those that just cover `size`, and writes the time of each
/// on the error output: the filter prints only frames that have some metadata.
fn filters(size: Option<Size>, fps: Option<f64>) -> String {
    let fps = fps.map(|fps| format!("fps={fps},")).unwrap_or_default();
    let size = size.filter(|size| size.area() > 0).map(|Size { width, height }| {
        format!("scale='min(iw,{width})':'min(ih,{height})':force_original_aspect_ratio=increase,")
    });
    let times = r"metadata=mode=add:key=laterna:value=1,metadata=mode=print:direct=1:file=pipe\\:2";
    format!("{fps}{}{times}", size.unwrap_or_default())
}

/// What is wrong with what ffmpeg wrote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum PpmError {
    #[error("its pictures have a header that is none")]
    Header,
    #[error("it ended in the middle of a picture")]
    Truncated,
}

/// PPM pictures and their times.
struct Ppm {
    input: Input,
    output: BufReader<ChildStdout>,
    process: Process,
    times: Receiver<Duration>,
    last: Option<Duration>,
    /// From one picture to the next, if ffmpeg does not say.
    interval: Duration,
}

/// How long a picture waits for its time.
const TIME_PATIENCE: Duration = Duration::from_secs(1);

impl Ppm {
    fn new(input: &Input, pipes: Pipes, fps: Option<f64>) -> Self {
        let Pipes { process, output, times } = pipes;
        let interval = Duration::try_from_secs_f64(1.0 / fps.unwrap_or(25.0)).unwrap_or_default();
        let (input, output) = (input.clone(), BufReader::with_capacity(1 << 16, output));
        Self { input, output, process, times, last: None, interval }
    }

    fn time(&mut self) -> Duration {
        let guess = self.last.map_or(Duration::ZERO, |last| last + self.interval);
        let time = self.times.recv_timeout(TIME_PATIENCE).unwrap_or(guess);
        self.last = Some(time);
        time
    }

    fn failed(&self, why: String) -> SourceError {
        let Input { name, input, .. } = &self.input;
        // An address is shown without its password here too.
        SourceError::Ffmpeg { name: name.clone(), why: why.replace(input, name) }
    }
}

impl Frames for Ppm {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        match read_ppm(&mut self.output, image) {
            Ok(true) => Ok(Next::Picture { at: self.time() }),
            Ok(false) => match self.process.finish() {
                Ok(()) => Ok(Next::End),
                Err(why) => Err(self.failed(why)),
            },
            Err(fault) => {
                self.process.kill();
                let why = self.process.finish().err();
                Err(self.failed(why.unwrap_or_else(|| fault.to_string())))
            }
        }
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        Err(self.failed("a pipe has no beginning to go back to".to_owned()))
    }
}

/// Pixels of a picture: 8192 x 8192.
const MAX_AREA: usize = 1 << 26;

/// Reads one picture; false at the end.
fn read_ppm(input: &mut impl Read, image: &mut Image) -> Result<bool, PpmError> {
    let mut magic = [0; 3];
    match input.read(&mut magic[..1]) {
        Ok(0) => return Ok(false),
        Ok(_) => input.read_exact(&mut magic[1..]).map_err(|_| PpmError::Truncated)?,
        Err(_) => return Err(PpmError::Truncated),
    }
    let numbers = [read_number(input)?, read_number(input)?, read_number(input)?];
    let [width, height, largest] = numbers;
    let area = width.saturating_mul(height);
    if magic != *b"P6\n" || largest != 255 || !(1..=MAX_AREA).contains(&area) {
        return Err(PpmError::Header);
    }
    image.reset(Size { width, height });
    input.read_exact(image.rgb_mut()).map_err(|_| PpmError::Truncated)?;
    Ok(true)
}

/// Reads digits and the one blank after them.
fn read_number(input: &mut impl Read) -> Result<usize, PpmError> {
    let mut number = 0_usize;
    for _ in 0..8 {
        let mut byte = [0];
        input.read_exact(&mut byte).map_err(|_| PpmError::Truncated)?;
        match byte[0] {
            digit @ b'0'..=b'9' => number = number * 10 + usize::from(digit - b'0'),
            b' ' | b'\n' => return Ok(number),
            _ => break,
        }
    }
    Err(PpmError::Header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_files_addresses_or_formats() {
        let kind = |argument| {
            let Input { name, options, input, kind } = of_argument(argument);
            (name, options.join(" "), input, kind)
        };
        let expect = |name: &str, options: &str, input: &str, kind| {
            (name.to_owned(), options.to_owned(), input.to_owned(), kind)
        };
        use InputKind::{File, Live, Stream};
        assert_eq!(kind("a.mkv"), expect("a.mkv", "", "file:a.mkv", File));
        assert_eq!(kind("a:b.mkv"), expect("a:b.mkv", "", "file:a:b.mkv", File));
        assert_eq!(kind(r"C:\a.mkv"), expect(r"C:\a.mkv", "", r"file:C:\a.mkv", File));
        assert_eq!(
            kind("dshow:video=My Cam"),
            expect("dshow:video=My Cam", "-f dshow", "video=My Cam", Live)
        );
        assert_eq!(kind("lavfi:testsrc"), expect("lavfi:testsrc", "-f lavfi", "testsrc", Stream));
        assert_eq!(kind("http://h/a"), expect("http://h/a", "", "http://h/a", Stream));
        assert_eq!(
            kind("rtsp://u:p@h/a@b"),
            expect("rtsp://…@h/a@b", "", "rtsp://u:p@h/a@b", Live)
        );
    }

    #[test]
    fn pictures_are_read_one_by_one() {
        let mut image = Image::default();
        let mut two: &[u8] = b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz";
        assert_eq!(read_ppm(&mut two, &mut image), Ok(true));
        assert_eq!((image.size(), image.rgb()), (Size::new(2, 1), &b"abcdef"[..]));
        assert_eq!(read_ppm(&mut two, &mut image), Ok(true));
        assert_eq!((image.size(), image.rgb()), (Size::new(1, 1), &b"xyz"[..]));
        assert_eq!(read_ppm(&mut two, &mut image), Ok(false));
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let read = |mut bytes: &[u8]| read_ppm(&mut bytes, &mut Image::default());
        for header in [
            &b"P5\n2 1\n255\nabcdef"[..],
            b"P6\n2 1\n65535\nabcdef",
            b"P6\n0 1\n255\n",
            b"P6\n9999999 9999999\n255\n",
            b"P6\n99999999999999 1\n255\n",
            b"P6\n-2 1\n255\nabcdef",
        ] {
            assert_eq!(read(header), Err(PpmError::Header));
        }
        for end in 1..b"P6\n2 1\n255\nabcdef".len() {
            assert_eq!(read(&b"P6\n2 1\n255\nabcdef"[..end]), Err(PpmError::Truncated));
        }
    }

    #[test]
    fn filters_are_joined() {
        let times = filters(None, None);
        assert!(times.starts_with("metadata=mode=add") && times.ends_with("pipe\\\\:2"), "{times}");
        let all = filters(Some(Size::new(640, 480)), Some(12.5));
        assert!(all.starts_with("fps=12.5,scale='min(iw,640)':'min(ih,480)'"), "{all}");
        assert!(all.ends_with(&times));
    }
}
