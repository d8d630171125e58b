//! Standard input: YUV4MPEG2 or JPEGs, known by their first bytes. A named pipe
//! is read the same way.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use laterna_pipeline::Image;

use super::error::SourceError;
use super::kinds::{Claim, Info, Kind, Opened, Request};
use super::mjpeg::Mjpeg;
use super::player::{Frames, Next};
use super::spec::Given;
use super::threaded::Threaded;
use super::y4m::{self, Y4m};

/// `-`, and named pipes.
pub(super) const KIND: Kind = Kind {
    name: "stdin",
    accepts: "`-` or a named pipe: YUV4MPEG2, or JPEG pictures one after the other",
    stands_alone: true,
    claims: |claim| *claim.given == Given::Stdin || is_pipe(claim),
    open,
    list: None,
};

#[cfg(unix)]
fn is_pipe(claim: &Claim<'_>) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let metadata = claim.path().and_then(|path| path.metadata().ok());
    metadata.is_some_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Claim<'_>) -> bool {
    false
}

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let name = match request.argument() {
        "" | "-" => "standard input".to_owned(),
        path => path.to_owned(),
    };
    let (path, fps) = (request.path(), request.want.fps_or(super::mjpeg::FPS));
    let (stream, is_stdin) = (name.clone(), name == "standard input");
    let open = move || {
        let input: Box<dyn Read + Send> =
            if is_stdin { Box::new(io::stdin()) } else { Box::new(open_pipe(&path)?) };
        Stream::new(BufReader::with_capacity(1 << 16, input), &stream, fps)
    };
    let frames = Threaded::start("stdin", open, None);
    let frames = frames.map_err(|source| SourceError::Io { name: name.clone(), source })?;
    Ok(request.play(frames, Info::named(&name)))
}

/// Waits until somebody writes to the pipe.
fn open_pipe(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|error| SourceError::io(path, error))
}

/// A stream of a format that its first bytes tell.
enum Stream<R> {
    Y4m(Y4m<R>),
    Mjpeg(Mjpeg<R>),
}

impl<R: BufRead> Stream<R> {
    fn new(mut input: R, name: &str, fps: f64) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Io { name: name.to_owned(), source };
        match input.fill_buf().map_err(failed)?.first() {
            Some(first) if *first == y4m::MAGIC[0] => Y4m::new(input, name).map(Self::Y4m),
            Some(0xFF | b'-' | b'\r') => Ok(Self::Mjpeg(Mjpeg::new(input, name, fps))),
            Some(_) => Err(SourceError::damaged(name, "it is neither YUV4MPEG2 nor JPEG")),
            None => Err(SourceError::damaged(name, "it is empty")),
        }
    }
}

impl<R: BufRead + Send> Frames for Stream<R> {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        match self {
            Self::Y4m(stream) => stream.next(image),
            Self::Mjpeg(stream) => stream.next(image),
        }
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        match self {
            Self::Y4m(stream) => stream.rewind(),
            Self::Mjpeg(stream) => stream.rewind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        let kind = |bytes: &'static [u8]| match Stream::new(bytes, "pipe", 30.0) {
            Ok(Stream::Y4m(_)) => "y4m".to_owned(),
            Ok(Stream::Mjpeg(_)) => "mjpeg".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(kind(b"YUV4MPEG2 W2 H2\n"), "y4m");
        assert_eq!(kind(b"\xFF\xD8\xFF"), "mjpeg");
        assert_eq!(kind(b"--frame\r\n"), "mjpeg");
        assert_eq!(kind(b"RIFF"), "pipe is damaged: it is neither YUV4MPEG2 nor JPEG");
        assert_eq!(kind(b""), "pipe is damaged: it is empty");
        assert!(kind(b"YUV3").contains("no YUV4MPEG2 header") || kind(b"YUV3").contains("no end"));
    }
}
